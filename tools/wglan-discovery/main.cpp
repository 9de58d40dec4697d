// SPDX-License-Identifier: Apache-2.0
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <cstdio>

#include <boost/asio/signal_set.hpp>

#include "agent/base/notify.h"
#include "agent/discovery/clock_sync.h"
#include "tools/wglan-discovery/service/options.h"

namespace {

namespace asio = boost::asio;
using wglan::Error;
using wglan::ErrorKind;
using namespace wglan::discovery_service;

constexpr std::chrono::seconds kCertificateCheck{60};

// A connection is a descriptor; the soft limit is often 1024.
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

// Changes when the file is replaced or rewritten.
std::pair<std::uint64_t, std::int64_t> stamp(const std::string& file) {
    struct stat info{};
    if (file.empty() || ::stat(file.c_str(), &info) != 0) return {0, 0};
    return {info.st_ino, info.st_mtim.tv_sec * 1000000000L + info.st_mtim.tv_nsec};
}

class Program {
public:
    explicit Program(ProgramOptions options) : options_(std::move(options)), signals_(io_), check_(io_) {}

    wglan::Result<> start() {
        service_ = make_service(io_, options_.service, wglan::system_clock(), wglan::make_clock_check(),
                                random_epoch());
        auto server = wglan::listen_tcp(io_, options_.endpoint, options_.http, service_->handler());
        if (!server) return wglan::Failure(server.error());
        server_ = std::move(*server);
        signals_.add(SIGTERM);
        signals_.add(SIGINT);
        signals_.add(SIGHUP);
        await_signal();
        seen_ = stamps();
        if (!options_.certificate_file.empty()) await_check();
        spdlog::info("wglan-discovery {} listens on {} ({})", kVersion, server_->local().to_string(),
                     options_.certificate_file.empty() ? "plain HTTP" : "TLS");
        if (auto told = wglan::notify_service_manager("READY=1"); !told)
            spdlog::warn("{}", told.error().message());
        return {};
    }

    void run() { io_.run(); }

private:
    void await_signal() {
        signals_.async_wait([this](boost::system::error_code error, int signal) {
            if (error) return;
            if (signal != SIGHUP) return finish();
            reload();
            await_signal();
        });
    }

    void await_check() {
        check_.expires_after(kCertificateCheck);
        check_.async_wait([this](boost::system::error_code error) {
            if (error) return;
            if (stamps() != seen_) reload();
            await_check();
        });
    }

    std::array<std::pair<std::uint64_t, std::int64_t>, 2> stamps() const {
        return {stamp(options_.certificate_file), stamp(options_.key_file)};
    }

    void reload() {
        seen_ = stamps();
        auto done = server_->reload_certificates();
        if (!done) return spdlog::error("the old certificate stays in use: {}", done.error().message());
        spdlog::info("certificates read again");
    }

    void finish() {
        spdlog::info("stopping");
        if (auto told = wglan::notify_service_manager("STOPPING=1"); !told)
            spdlog::debug("{}", told.error().message());
        check_.cancel();
        service_->stop();
        server_->stop();
        signals_.clear();
    }

    ProgramOptions options_;
    asio::io_context io_{1};
    asio::signal_set signals_;
    asio::steady_timer check_;
    std::array<std::pair<std::uint64_t, std::int64_t>, 2> seen_{};
    std::shared_ptr<Service> service_;
    std::unique_ptr<wglan::HttpServer> server_;
};

int run(int argc, char** argv) {
    auto parsed = parse_arguments(argc, argv);
    if (parsed.exit_status >= 0) return parsed.exit_status;
    auto format = wglan::parse_log_format(parsed.options.log_format);
    auto logging = wglan::setup_logging(format ? *format : wglan::LogFormat::text, parsed.options.log_level);
    if (!logging) {
        std::fprintf(stderr, "wglan-discovery: %s\n", logging.error().message().c_str());
        return 2;
    }
    if (auto crypto = wglan::init_crypto(); !crypto) {
        spdlog::error("{}", crypto.error().message());
        return 1;
    }
    raise_descriptor_limit();
    Program program(std::move(parsed.options));
    if (auto started = program.start(); !started) {
        spdlog::error("{}", started.error().message());
        const auto kind = started.error().kind();
        const bool misconfigured = kind == ErrorKind::invalid || kind == ErrorKind::not_found;
        return misconfigured ? 2 : 1;  // not_found: a certificate or key file
    }
    program.run();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "wglan-discovery: %s\n", error.what());
        return 1;
    }
}
