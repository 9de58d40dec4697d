// SPDX-License-Identifier: Apache-2.0
// From what was read to what counts: token, discovery ID, node name, and rules across keys.
#include <sys/stat.h>

#include <algorithm>
#include <map>

#include "agent/base/file.h"
#include "agent/base/text.h"
#include "config/draft.h"
#include "config/scalars.h"

namespace wglan::config {
namespace {

constexpr std::size_t kMinToken = 16;
constexpr char kTokenVariable[] = "WGLAN_CLUSTER_TOKEN";
constexpr char kTokenFileVariable[] = "WGLAN_CLUSTER_TOKEN_FILE";

std::string variable(const ConfigInput& input, const std::string& name) {
    const auto found = input.environment.find(name);
    return found == input.environment.end() ? std::string() : found->second;
}

void warn_if_readable(const std::string& path, const char* holds, std::vector<std::string>& warnings) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0 || (status.st_mode & 077U) == 0) return;
    const char digits[] = {'0', static_cast<char>('0' + ((status.st_mode >> 6) & 7U)),
                           static_cast<char>('0' + ((status.st_mode >> 3) & 7U)),
                           static_cast<char>('0' + (status.st_mode & 7U)), '\0'};
    warnings.push_back(path + ": holds " + holds + " and has mode " + digits +
                       ", so that others can read it; `chmod 600` it");
}

struct FoundToken {
    Secret token;
    std::string origin;  // for messages: "FILE:LINE: cluster.token", "WGLAN_CLUSTER_TOKEN"
};

Result<FoundToken> from_file(const std::string& path, const std::string& origin, Draft& draft,
                             std::vector<std::string>& files) {
    files.push_back(path);
    auto token = read_secret_file(path);
    if (!token) return fail_with(token, origin);
    warn_if_readable(path, "the cluster token", draft.warnings);
    return FoundToken{std::move(*token), origin + " (" + path + ")"};
}

// The document's token first, then the environment's.
Result<FoundToken> find_token(Draft& draft, const ConfigInput& input, std::vector<std::string>& files) {
    const std::string token_key = draft.token_where.to_string() + ": cluster.token";
    const std::string file_key = draft.token_file_where.to_string() + ": cluster.tokenFile";
    if (!draft.token.empty() && !draft.token_file.empty())
        return fail(ErrorKind::invalid, file_key + ": cluster.token is given too, at " +
                                            draft.token_where.to_string() + "; accepted: one of them");
    if (!draft.token.empty()) {
        if (draft.token_where.file)
            warn_if_readable(*draft.token_where.file, "the cluster token", draft.warnings);
        return FoundToken{std::move(draft.token), token_key};
    }
    if (!draft.token_file.empty()) return from_file(draft.token_file, file_key, draft, files);

    std::string text = variable(input, kTokenVariable);
    const std::string path = variable(input, kTokenFileVariable);
    if (!text.empty() && !path.empty())
        return fail(ErrorKind::invalid, std::string(kTokenVariable) + " and " + kTokenFileVariable +
                                            " are both set; accepted: one of them");
    if (!path.empty()) return from_file(path, kTokenFileVariable, draft, files);
    text.resize(text.find_last_not_of(" \t\r\n\v\f") + 1);
    return FoundToken{Secret::take(text), kTokenVariable};
}

Result<> set_token(Draft& draft, const ConfigInput& input, std::vector<std::string>& files) {
    auto found = find_token(draft, input, files);
    if (!found) {
        if (!input.token_required && found.error().kind() != ErrorKind::invalid) return {};
        return Failure(found.error());
    }
    const Secret& token = found->token;
    const bool given = !token.empty() || found->origin != kTokenVariable;
    if (!given) {
        if (!input.token_required) return {};
        return fail(ErrorKind::invalid,
                    (input.file.empty() ? std::string("configuration") : input.file) +
                        ": cluster.token: no token is given; accepted: cluster.token, cluster.tokenFile, " +
                        kTokenVariable + " or " + kTokenFileVariable + " (`wglanctl token new` makes one)");
    }
    if (token.size() < kMinToken)
        return fail(ErrorKind::invalid, found->origin + ": the token has only " +
                                            std::to_string(token.size()) + " bytes; accepted: at least " +
                                            std::to_string(kMinToken) +
                                            " bytes (`wglanctl token new` makes one)");
    if (const std::string why = token_weakness(token.text()); !why.empty()) {
        draft.config.cluster.weak_token = true;
        draft.warnings.push_back(found->origin + ": the token is weak, " + why +
                                 "; `wglanctl token new` makes a strong one");
    }
    draft.config.cluster.token = std::make_shared<const Secret>(std::move(found->token));
    return {};
}

// The service knows a cluster by this; the default lets the token alone be enough.
void set_discovery_id(Draft& draft) {
    Config::Cluster& cluster = draft.config.cluster;
    if (draft.discovery_id)
        cluster.discovery_id = hex_encode(sha256(as_bytes(*draft.discovery_id)));
    else if (cluster.token)
        cluster.discovery_id = hex_encode(sha256(cluster.token->bytes()));
}

Result<> set_node_name(Draft& draft, const ConfigInput& input) {
    std::string& name = draft.config.node.name;
    if (!name.empty()) return {};
    const std::string from_environment = variable(input, "NODE_NAME");
    const bool has_variable = !from_environment.empty();
    const std::string& given = has_variable ? from_environment : input.host_name;
    name = to_lower(given);
    if (is_node_name(name)) return {};
    return fail(
        ErrorKind::invalid,
        std::string(has_variable ? "NODE_NAME" : "node.name (from the host name)") + ": " + quote(given) +
            " is no host name; accepted: letters, digits, dots and dashes (RFC 1123), also as node.name");
}

void check_mark(Draft& draft, Reading& reading) {
    const Config::Interface& interface = draft.config.interface;
    if ((interface.firewall_mark & ~interface.firewall_mark_mask) == 0) return;
    reading.fail(
        ErrorKind::invalid, draft.mark_where, "interface.firewallMark",
        "the mark has bits outside interface.firewallMarkMask; accepted: a mark within its mask (set both)");
}

void check_static_peers(Draft& draft) {
    std::map<std::string, std::size_t> names;
    std::map<PublicKey, std::size_t> keys;
    std::map<IpAddress, std::size_t> addresses;
    const auto& peers = draft.config.discovery.static_peers;
    for (std::size_t i = 0; i < peers.size(); ++i) {
        Section& section = draft.static_sections[i];
        const auto taken = [&](const char* key, const std::string& shown, std::size_t first) {
            section.fail(key, shown + " is already that of the peer at " +
                                  draft.static_sections[first].where_of(key).to_string());
        };
        if (const auto [at, fresh] = names.emplace(peers[i].name, i); !fresh)
            taken("name", quote(peers[i].name), at->second);
        if (const auto [at, fresh] = keys.emplace(peers[i].public_key, i); !fresh)
            taken("publicKey", quote(to_string(peers[i].public_key)), at->second);
        if (peers[i].address)
            if (const auto [at, fresh] = addresses.emplace(*peers[i].address, i); !fresh)
                taken("address", peers[i].address->to_string(), at->second);
        if (peers[i].name == draft.config.node.name)
            section.fail("name", quote(peers[i].name) + " is this node's own name (node.name)");
    }
}

void check_services(Draft& draft) {
    for (const ServiceConfig& service : draft.config.discovery.services) {
        constexpr std::string_view kPlain = "http://";
        if (!service.url.starts_with(kPlain)) continue;
        std::string host = service.url.substr(kPlain.size());
        host.resize(std::min(host.find('/'), host.size()));
        if (host.find(':', host.rfind(']') == std::string::npos ? 0 : host.rfind(']')) == std::string::npos)
            host += ":80";
        const auto parsed = HostPort::parse(host);
        const auto address =
            parsed ? IpAddress::parse(parsed->host) : Result<IpAddress>(Failure(parsed.error()));
        if ((address && address->is_loopback()) || (parsed && parsed->host == "localhost")) continue;
        draft.warnings.push_back("discovery.services: " + quote(service.url) +
                                 " is plain HTTP: records stay sealed, but who talks to whom can be seen and "
                                 "withheld; use https");
    }
}

void keep_first(Reading& reading, const Result<>& result) {
    if (!result && !reading.failed()) reading.error = result.error();
}

}  // namespace

void finish_draft(Draft& draft, const ConfigInput& input, Reading& reading, std::vector<std::string>& files) {
    if (reading.failed()) return;
    keep_first(reading, set_node_name(draft, input));
    check_mark(draft, reading);
    check_static_peers(draft);
    check_services(draft);
    if (!reading.failed()) keep_first(reading, set_token(draft, input, files));
    set_discovery_id(draft);
    if (draft.private_key_where.file)
        warn_if_readable(*draft.private_key_where.file, "a private key", draft.warnings);
}

}  // namespace wglan::config
