// SPDX-License-Identifier: Apache-2.0
// --cleanup: everything of ours goes, and nothing of anybody else.
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <spdlog/spdlog.h>

#include "agent/app/agent.h"
#include "agent/app/modes.h"
#include "agent/app/privileges.h"
#include "agent/http/client.h"
#include "agent/http/server.h"

namespace wglan {
namespace {

bool agent_answers(const std::string& socket) {
    asio::io_context io(1);
    HttpClientOptions options;
    options.request_timeout = Milliseconds(2000);
    auto client = make_unix_http_client(io, socket, options);
    bool answers = false;
    HttpRequest request;
    request.target = "/v1/keys";
    asio::co_spawn(
        io,
        [&]() -> Task<void> {
            auto response = co_await client->request(request);
            answers = response.has_value();
        },
        asio::detached);
    io.run();
    return answers;
}

// Annotations and conditions of a Node stay until they are taken away.
constexpr Milliseconds kWithdrawLimit{30'000};

// Where a token and an identity are there. Fails where something stays for good.
Result<> withdraw_record(const Config& config) {
    if (!config.cluster.token) return {};
    StateDir state(config.interface.private_key_file);
    auto identity = state.existing_identity(config.interface.private_key.get());
    if (!identity) return {};
    const std::uint64_t sequence = state.sequence() + 1;
    if (auto stored = state.store_sequence(sequence); !stored) spdlog::warn("{}", stored.error().message());
    asio::io_context io(1);
    auto sources = make_sources(io, config, *identity);
    if (!sources) return fail_with(sources, "the record is not withdrawn");
    Result<> done;
    asio::co_spawn(
        io, [&]() -> Task<void> { done = co_await (*sources)->withdraw(sequence, kWithdrawLimit); },
        asio::detached);
    io.run();
    (*sources)->stop();
    return done;
}

Result<bool> owns_interface(const Config& config, const Link& link, WireGuard& wireguard) {
    std::optional<WgDevice> device;
    if (auto dumped = wireguard.dump()) device = std::move(*dumped);
    const StateDir state(config.interface.private_key_file);
    auto identity = state.existing_identity(config.interface.private_key.get());
    // Without an identity no key is ours: a device has at least a zero one.
    PublicKey own;
    own.bytes.fill(0xff);
    if (identity) own = identity->public_key;
    const bool unsigned_ours =
        config.interface.external_wireguard_go || state.interface_noted(config.interface.name);
    return check_owner(link, device, own, unsigned_ours).has_value();
}

Result<> remove_interface(const Config& config, Netlink& netlink) {
    auto link = netlink.link(config.interface.name);
    const bool userspace = link && link->kind != "wireguard";
    const LinkMaker links{[&](const std::string& name) { return netlink.create_wireguard(name); },
                          [&](const std::string& name) { return netlink.remove_link(name); }};
    auto wireguard = userspace ? make_userspace_wireguard(config.interface.name)
                               : make_kernel_wireguard(config.interface.name, links);
    if (!link) {
        if (link.error().kind() != ErrorKind::not_found) return Failure(link.error());
        return {};
    }
    auto ours = owns_interface(config, *link, *wireguard);
    if (ours && !*ours) {
        spdlog::warn("{} isn't ours and stays", config.interface.name);
        return {};
    }
    spdlog::info("removing {}", config.interface.name);
    return wireguard->remove_device();
}

}  // namespace

Result<> clean_up(const Config& config) {
    auto netlink = make_netlink();
    if (!netlink) return fail_with(netlink, "open netlink");
    std::optional<Error> first;
    const auto note = [&](const Result<>& result) {
        if (result) return;
        spdlog::error("{}", result.error().message());
        if (!first) first = result.error();
    };
    if (auto routes = (*netlink)->routes(kRouteProtocol)) {
        // What keeps clear text in goes first: alone, it would drop what is on its way.
        std::ranges::stable_partition(
            *routes, [](const Route& route) { return route.type == RouteType::unreachable; });
        for (const Route& route : *routes) note((*netlink)->remove_route(route));
        if (!routes->empty()) spdlog::info("removed {} routes", routes->size());
    } else {
        note(Failure(routes.error()));
    }
    note(remove_dataplane(config.bpf.pin_path));
    note(remove_interface(config, **netlink));
    // Of an agent that was killed.
    if (auto removed = remove_stale_socket(config.control.socket); !removed)
        spdlog::debug("{}", removed.error().message());
    if (first) return Failure(*first);
    return {};
}

int run_cleanup(const ConfigInput& input) {
    ConfigInput relaxed = input;
    relaxed.token_required = false;
    auto loaded = load_config(relaxed);
    if (!loaded) {
        (void)exit_status(loaded.error());
        return kExitUsage;
    }
    if (agent_answers(loaded->config.control.socket)) {
        spdlog::error("an agent is running here ({} answers); stop it first", loaded->config.control.socket);
        return kExitFailure;
    }
    if (auto allowed = check_privileges(); !allowed) return exit_status(allowed.error());
    const Config& config = loaded->config;
    // First, while what is on its way here still arrives.
    const auto withdrawn = withdraw_record(config);
    const auto done = clean_up(config);
    if (!withdrawn) {
        spdlog::error("{}", withdrawn.error().message());
        const auto keys = std::filesystem::path(config.interface.private_key_file).parent_path();
        std::printf(
            "the kernel is %s, and what this node said of itself is not withdrawn: repeat --cleanup, "
            "and keep %s until then, since nothing can be withdrawn without its keys\n",
            done ? "clean" : "not clean", keys.c_str());
    }
    if (!done || !withdrawn) return kExitFailure;
    std::printf("nothing of WgLAN is left on this node but its state directory\n");
    return kExitOk;
}

}  // namespace wglan
