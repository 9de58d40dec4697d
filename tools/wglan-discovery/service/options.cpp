// SPDX-License-Identifier: Apache-2.0
#include "tools/wglan-discovery/service/options.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <map>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "agent/base/file.h"
#include "agent/base/unique_fd.h"

namespace wglan::discovery_service {
namespace {

using Reader = std::function<Result<>(const YAML::Node&, const std::string& key)>;
using Keys = std::map<std::string, Reader>;

class Document {
public:
    explicit Document(std::string file) : file_(std::move(file)) {}

    Failure wrong(const YAML::Node& node, const std::string& key, const std::string& what) const {
        const int line = node.Mark().line;
        return fail(ErrorKind::invalid,
                    fmt::format("{}:{}: {}: {}", file_, line < 0 ? 1 : line + 1, key, what));
    }

    Result<> section(const YAML::Node& node, const std::string& path, const Keys& keys) const {
        if (node.IsNull()) return {};
        std::string known;
        for (const auto& [name, reader] : keys) known += (known.empty() ? "" : ", ") + name;
        if (!node.IsMap())
            return wrong(node, path.empty() ? "document" : path, "a map is accepted, of: " + known);
        for (const auto& item : node) {
            const auto name = item.first.IsScalar() ? item.first.Scalar() : std::string("?");
            auto reader = keys.find(name);
            const std::string full = path.empty() ? name : path + "." + name;
            if (reader == keys.end()) return wrong(item.first, full, "unknown key; accepted: " + known);
            if (auto done = reader->second(item.second, full); !done) return done;
        }
        return {};
    }

    Reader text(std::string& out) const {
        return [this, &out](const YAML::Node& node, const std::string& key) -> Result<> {
            if (!node.IsScalar()) return wrong(node, key, "a string is accepted");
            out = node.Scalar();
            return {};
        };
    }
    Reader flag(bool& out) const {
        return [this, &out](const YAML::Node& node, const std::string& key) -> Result<> {
            if (!node.IsScalar() || (node.Scalar() != "true" && node.Scalar() != "false"))
                return wrong(node, key, "true or false is accepted");
            out = node.Scalar() == "true";
            return {};
        };
    }
    template <class Number>
    Reader number(Number& out, std::size_t least, std::size_t most, std::size_t unit = 1) const {
        return [this, &out, least, most, unit](const YAML::Node& node, const std::string& key) -> Result<> {
            unsigned long long value = 0;
            const bool good = node.IsScalar() && YAML::convert<unsigned long long>::decode(node, value);
            if (!good || value < least || value > most)
                return wrong(node, key, fmt::format("a number from {} to {} is accepted", least, most));
            out = static_cast<Number>(value * unit);
            return {};
        };
    }
    Reader map(Keys keys) const {
        return [this, keys = std::move(keys)](const YAML::Node& node, const std::string& key) {
            return section(node, key, keys);
        };
    }

private:
    std::string file_;
};

bool has_ipv6() {
    UniqueFd probe(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return probe.valid() && ::access("/proc/net/if_inet6", R_OK) == 0;
}

struct Overrides {
    std::string config, listen, certificate, key, log_format, log_level;
    bool insecure = false;
    std::size_t max_clusters = 0;
    double rate = -1;
};

Result<> gather(const CLI::App& app, const Overrides& given, ProgramOptions& options) {
    if (!given.config.empty()) {
        auto text = read_file(given.config, 1U << 20);
        if (!text) return fail_with(text, "--config");
        if (auto done = read_options(*text, given.config, options); !done) return done;
    }
    if (app.count("--listen") != 0) options.listen = given.listen;
    if (app.count("--tls-cert") != 0) options.certificate_file = given.certificate;
    if (app.count("--tls-key") != 0) options.key_file = given.key;
    if (app.count("--insecure-http") != 0) options.insecure_http = true;
    if (app.count("--max-clusters") != 0) options.service.store.clusters = given.max_clusters;
    if (app.count("--rate") != 0) {
        options.service.rate = given.rate;
        options.service.burst = std::max(options.service.burst, given.rate);
    }
    if (app.count("--log-format") != 0) options.log_format = given.log_format;
    if (app.count("--log-level") != 0) options.log_level = given.log_level;
    return check_options(options);
}

}  // namespace

Result<> read_options(std::string_view text, const std::string& file, ProgramOptions& options) {
    const Document document(file);
    auto& store = options.service.store;
    const Keys limits{
        {"clusters", document.number(store.clusters, 1, 10000000)},
        {"nodesPerCluster", document.number(store.nodes, 1, 10000)},
        {"memoryMiB", document.number(store.bytes, 16, 1U << 20, 1U << 20)},
        {"ratePerSecond", document.number(options.service.rate, 0, 1000000)},
        {"burst", document.number(options.service.burst, 1, 1000000)},
        {"connections", document.number(options.http.max_connections, 1, 1000000)},
        {"connectionsPerClient", document.number(options.http.max_connections_per_client, 0, 1000000)},
    };
    const Keys keys{
        {"listen", document.text(options.listen)},
        {"tls", document.map({{"certFile", document.text(options.certificate_file)},
                              {"keyFile", document.text(options.key_file)}})},
        {"insecureHTTP", document.flag(options.insecure_http)},
        {"limits", document.map(limits)},
        {"log", document.map({{"format", document.text(options.log_format)},
                              {"level", document.text(options.log_level)}})},
    };
    try {
        return document.section(YAML::Load(std::string(text)), "", keys);
    } catch (const YAML::Exception& error) {
        return fail(ErrorKind::invalid,
                    fmt::format("{}:{}: not YAML: {}", file, error.mark.line < 0 ? 1 : error.mark.line + 1,
                                error.msg));
    }
}

Result<> check_options(ProgramOptions& options) {
    if (options.listen.empty()) {
        auto any = IpAddress::parse(has_ipv6() ? "::" : "0.0.0.0");
        options.endpoint = {*any, kDefaultPort};
    } else {
        auto endpoint = Endpoint::parse(options.listen);
        if (!endpoint) return fail_with(endpoint, "--listen");
        options.endpoint = *endpoint;
    }
    if (options.certificate_file.empty() != options.key_file.empty())
        return fail(ErrorKind::invalid,
                    "TLS needs both --tls-cert and --tls-key (tls.certFile, tls.keyFile)");
    const bool tls = !options.certificate_file.empty();
    if (!tls && !options.insecure_http && !options.endpoint.address.is_loopback())
        return fail(ErrorKind::invalid, "no TLS for " + options.endpoint.to_string() +
                                            ": give --tls-cert and --tls-key, listen on a loopback address "
                                            "(--listen 127.0.0.1:51821), or "
                                            "accept plain HTTP with --insecure-http");
    if (tls && options.insecure_http)
        return fail(ErrorKind::invalid, "--insecure-http contradicts --tls-cert: leave one of them out");
    if (options.log_format.empty()) options.log_format = ::isatty(STDERR_FILENO) == 1 ? "text" : "json";
    if (auto format = parse_log_format(options.log_format); !format) return fail_with(format, "--log-format");
    options.http.certificate_file = options.certificate_file;
    options.http.key_file = options.key_file;
    return {};
}

Parsed parse_arguments(int argc, char** argv) {
    Parsed parsed;
    parsed.options.http.max_body = 2 * kMaxEnvelopeJson;
    parsed.options.http.max_connections = 16384;
    Overrides given;
    CLI::App app("Discovery service of WgLAN: keeps sealed records of nodes and tells watchers of changes.");
    app.set_version_flag("--version", std::string("wglan-discovery ") + kVersion);
    app.add_option("--config", given.config, "YAML file with the same settings");
    app.add_option("--listen", given.listen, "ADDRESS:PORT, default [::]:51821 (IPv4 too)");
    app.add_option("--tls-cert", given.certificate, "certificate chain, PEM");
    app.add_option("--tls-key", given.key, "its private key, PEM");
    app.add_flag("--insecure-http", given.insecure, "plain HTTP on an address that isn't loopback");
    app.add_option("--max-clusters", given.max_clusters, "clusters kept at most")
        ->check(CLI::Range(1, 10000000));
    app.add_option("--rate", given.rate, "requests a second from one client address, 0 = no limit")
        ->check(CLI::Range(0.0, 1000000.0));
    app.add_option("--log-format", given.log_format, "text or json; default: text on a terminal");
    app.add_option("--log-level", given.log_level, "trace, debug, info, warn or error");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        const int status = app.exit(error);
        parsed.exit_status = status == 0 ? 0 : 2;
        return parsed;
    }
    if (auto done = gather(app, given, parsed.options); !done) {
        std::fprintf(stderr, "wglan-discovery: %s\n", done.error().message().c_str());
        parsed.exit_status = 2;
    }
    return parsed;
}

}  // namespace wglan::discovery_service
