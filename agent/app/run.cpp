// SPDX-License-Identifier: Apache-2.0
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <spdlog/spdlog.h>

#include "agent/app/agent.h"
#include "agent/app/modes.h"
#include "agent/base/notify.h"

namespace wglan {

namespace {

void tell_service_manager(std::string_view state) {
    if (auto told = notify_service_manager(state); !told) spdlog::warn("{}", told.error().message());
}

}  // namespace

int exit_status(const Error& error) {
    spdlog::error("{}", error.message());
    return error.kind() == ErrorKind::invalid || error.kind() == ErrorKind::unsupported ? kExitUsage
                                                                                        : kExitFailure;
}

// Files that the configuration names, on this host: another may have them.
std::vector<std::string> missing_files(const Config& config) {
    std::vector<std::string> missing;
    const auto look = [&](const std::string& setting, const std::string& file) {
        if (!file.empty() && ::access(file.c_str(), R_OK) != 0)
            missing.push_back(setting + ": " + file + ": " + std::strerror(errno));
    };
    look("discovery.kubernetes.kubeconfig", config.discovery.kubernetes.kubeconfig);
    for (const ServiceConfig& service : config.discovery.services)
        look("discovery.services: caFile of " + service.url, service.ca_file);
    for (const StaticPeer& peer : config.discovery.static_peers)
        look("discovery.static: presharedKeyFile of " + peer.name, peer.preshared_key_file);
    return missing;
}

int run_check(const ConfigInput& input) {
    auto loaded = load_config(input);
    if (!loaded) {
        (void)exit_status(loaded.error());
        return kExitUsage;
    }
    for (const std::string& warning : loaded->warnings) spdlog::warn("{}", warning);
    for (const std::string& file : missing_files(loaded->config)) spdlog::warn("{}", file);
    std::printf("%s: valid\n", input.file.empty() ? "configuration" : input.file.c_str());
    return kExitOk;
}

int run_agent(const ConfigInput& input) {
    auto loaded = load_config(input);
    if (!loaded) {
        (void)exit_status(loaded.error());
        return kExitUsage;
    }
    // A peer that hangs up must not end us.
    std::signal(SIGPIPE, SIG_IGN);
    asio::io_context io(1);
    Agent agent(io, input, std::move(*loaded));
    if (auto started = agent.start(); !started) {
        (void)exit_status(started.error());
        return kExitFailure;
    }
    asio::signal_set ends(io, SIGTERM, SIGINT);
    asio::signal_set reloads(io, SIGHUP);
    bool clean = false;
    ends.async_wait([&](const boost::system::error_code& error, int signal) {
        if (error) return;
        spdlog::info("ending on signal {}", signal);
        tell_service_manager("STOPPING=1");
        clean = agent.config().agent.cleanup_on_exit;
        if (!clean) {
            agent.stop();
            io.stop();
            return;
        }
        asio::co_spawn(
            io,
            [&]() -> Task<void> {
                co_await agent.withdraw();
                agent.stop();
                io.stop();
            },
            asio::detached);
    });
    std::function<void()> wait_reload = [&] {
        reloads.async_wait([&](const boost::system::error_code& error, int) {
            if (error) return;
            (void)agent.reload();
            wait_reload();
        });
    };
    wait_reload();
    tell_service_manager("READY=1");
    io.run();
    if (!clean) return kExitOk;
    auto done = clean_up(agent.config());
    return done ? kExitOk : exit_status(done.error());
}

}  // namespace wglan
