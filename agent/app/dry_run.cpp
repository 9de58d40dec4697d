// SPDX-License-Identifier: Apache-2.0
// --dry-run: the plan that a start would carry out, worked out without changing anything.
#include <cstdio>

#include <boost/asio/steady_timer.hpp>
#include <spdlog/spdlog.h>

#include "agent/app/agent.h"
#include "agent/app/guard_keeper.h"
#include "agent/app/modes.h"
#include "agent/app/wiring.h"

namespace wglan {
namespace {

constexpr Seconds kWaitForSources{5};

Identity identity_or_stand_in(const Config& config) {
    StateDir state(config.interface.private_key_file);
    auto existing = state.existing_identity(config.interface.private_key.get());
    if (existing) return std::move(*existing);
    Identity identity;
    identity.private_key =
        config.interface.private_key ? config.interface.private_key->clone() : make_private_key();
    identity.seed = make_private_key();
    identity.public_key = public_key_of(identity.private_key.bytes()).value();
    identity.identity = identity_of(identity.seed.bytes()).value();
    return identity;
}

// What is there, by reading alone: no device is made and no program is loaded.
Result<Observed> look(Netlink& netlink, const Config& config, const PublicKey& own_key) {
    Observed seen;
    auto link = netlink.link(config.interface.name);
    if (link) {
        Observed::Interface found;
        found.link = *link;
        found.rp_filter = netlink.rp_filter(link->ifindex).value_or(0);
        found.forwarding4 = netlink.forwarding(link->ifindex, Family::v4).value_or(false);
        found.forwarding6 = netlink.forwarding(link->ifindex, Family::v6).value_or(false);
        if (auto addresses = netlink.addresses())
            for (const InterfaceAddress& address : *addresses)
                if (address.ifindex == link->ifindex &&
                    !(address.address.is_v6() && address.address.is_link_local()))
                    found.addresses.insert({address.address, address.prefix_length, address.scope});
        seen.interface = std::move(found);
        auto device = link->kind == "wireguard" ? make_kernel_wireguard(config.interface.name, {})->dump()
                                                : make_userspace_wireguard(config.interface.name)->dump();
        if (device) seen.wireguard = std::move(*device);
        const bool noted = config.interface.external_wireguard_go ||
                           StateDir(config.interface.private_key_file).interface_noted(config.interface.name);
        if (auto ours = check_owner(*link, seen.wireguard, own_key, noted); !ours)
            return Failure(ours.error());
    }
    auto routes = netlink.routes(kRouteProtocol);
    if (!routes) return fail_with(routes, "list routes");
    for (Route& route : *routes) seen.routes.emplace(RouteKey{route.prefix, route.type}, std::move(route));
    auto state = peek_dataplane(config.bpf.pin_path);
    if (!state) return fail_with(state, "read the pinned maps");
    take_steering(std::move(*state), seen);
    return seen;
}

// Somebody's routes for peers' prefixes, as an agent that just starts would judge them.
RouteVerdicts judge_routes(Netlink& netlink, const std::vector<Peer>& peers) {
    auto routes = netlink.routes();
    auto links = netlink.links();
    auto neighbours = netlink.neighbours();
    if (!routes || !links || !neighbours) return {};
    std::set<Prefix> wanted;
    for (const Peer& peer : peers)
        for (const OwnedPrefix& owned : peer.prefixes)
            if (owned.cls == PrefixClass::pod || owned.cls == PrefixClass::extra) wanted.insert(owned.prefix);
    RouteHealth health;
    return health.judge(wanted, {std::move(*routes), std::move(*links), std::move(*neighbours), {}, {}});
}

CniShare share_of(const Config& config, const RouteVerdicts& verdicts, const Prefix& prefix) {
    const auto sound = verdicts.sound.find(prefix);
    if (!config.steering.pods_when_cni_down || sound == verdicts.sound.end()) return CniShare::none;
    return sound->second.wider ? CniShare::by_wider_route : CniShare::by_own_route;
}

void gather(asio::io_context& io, SourceSet& sources, Registry& registry) {
    sources.start([&](SourceUpdate update) {
        const SteadyTime now = system_clock().now();
        for (const Tombstone& tombstone : update.tombstones) registry.tombstone(tombstone);
        if (update.kind == SourceUpdate::Kind::snapshot)
            registry.snapshot(update.source, std::move(update.records), now);
        if (update.kind == SourceUpdate::Kind::put)
            for (SourcedRecord& record : update.records) registry.put(std::move(record), now);
        if (update.kind == SourceUpdate::Kind::tombstone) registry.tombstone(update.tombstone);
    });
    const SteadyTime until = system_clock().now() + kWaitForSources;
    while (!sources.complete() && system_clock().now() < until) io.run_for(Milliseconds(50));
    if (!sources.complete())
        spdlog::warn("not every source answered; peers that only they know of are missing below");
    sources.stop();
}

// Whether they are reached by the tunnel is a matter of the moment.
std::vector<ApiServer> api_servers_as_now(const std::vector<Endpoint>& known, const Observed& observed) {
    std::vector<ApiServer> servers;
    for (const Endpoint& endpoint : known)
        servers.push_back({endpoint, observed.interface && !observed.steer_endpoints.contains(
                                                               {SteerEndpoint::Kind::reach, endpoint, 6})});
    return servers;
}

}  // namespace

int run_dry_run(const ConfigInput& input) {
    auto loaded = load_config(input);
    if (!loaded) {
        (void)exit_status(loaded.error());
        return kExitUsage;
    }
    const Config& config = loaded->config;
    auto netlink = make_netlink();
    if (!netlink) return exit_status(netlink.error());
    auto facts = read_facts(**netlink, config);
    if (!facts) return exit_status(facts.error());
    const Identity identity = identity_or_stand_in(config);
    auto observed = look(**netlink, config, identity.public_key);
    if (!observed) return exit_status(observed.error());

    const Prefix network = overlay_network_of(config);
    const auto stored = StateDir(config.interface.private_key_file).address();
    const IpAddress overlay = stored ? *stored : derive_overlay_address(network, *facts, identity.public_key);
    Registry registry(policy_of(config, network));
    asio::io_context io(1);
    auto sources = make_sources(io, config, identity);
    if (!sources) return exit_status(sources.error());
    gather(io, **sources, registry);

    NameCache names(io, [&config] { return config.interface.firewall_mark; }, [] {});
    OwnClaims own = own_claims_of(config, *facts, identity, overlay);
    own.depended_on = service_addresses(config, names);
    const SteadyTime now = system_clock().now();
    const MergeResult merged = registry.merge(own, [](const PublicKey&) { return PeerState::unknown; }, now);
    AgentSecrets secrets;
    secrets.set_identity(&identity.private_key, identity.public_key);
    secrets.set_token(config.cluster.token, config.peers.derive_preshared_keys);
    const auto endpoints = [&](const Peer& peer) {
        std::vector<Endpoint> list;
        for (const Candidate& candidate : peer.candidates)
            for (const Endpoint& endpoint : names.endpoints(candidate.where)) list.push_back(endpoint);
        return list;
    };
    PeerManager manager(random_unit);
    std::vector<PeerInput> inputs;
    for (const Peer& peer : merged.peers) {
        PeerInput one;
        one.key = peer.public_key;
        for (const Candidate& candidate : peer.candidates)
            for (const Endpoint& endpoint : names.endpoints(candidate.where))
                one.candidates.emplace_back(endpoint, candidate.source, candidate.base);
        one.keepalive_s = peer.keepalive_s.value_or(config.peers.keepalive_s);
        inputs.push_back(std::move(one));
    }
    manager.set_peers(inputs, now);
    if (observed->wireguard)
        for (const WgObservedPeer& peer : observed->wireguard->peers)
            manager.observe(peer, now, system_clock().unix_now());
    (void)manager.tick(now, system_clock().unix_now());
    PeerIds ids;
    ids.adopt(observed->steer_peers);
    const RouteVerdicts verdicts = judge_routes(**netlink, merged.peers);
    const Desired desired = build_desired(
        {config, *facts, identity.public_key, overlay, network, merged.peers, manager, ids,
         [&](const Peer& peer) { return secrets.fingerprint_of(peer).value_or(SecretFingerprint{}); },
         endpoints, own.depended_on, [&](const Prefix& prefix) { return verdicts.faults.contains(prefix); },
         [&](const Prefix& prefix) { return share_of(config, verdicts, prefix); },
         api_servers_as_now((*sources)->cached_cluster().api_servers, *observed)});
    auto lines = describe(diff(desired, *observed), config.interface.name);
    const auto guarded = peek_guard(config.bpf.pin_path);
    if (!guarded) return exit_status(guarded.error());
    for (std::string& line :
         describe(diff(guard_wanted(config, *facts), {guarded->settings, guarded->places})))
        lines.push_back(std::move(line));
    for (const std::string& line : lines) std::printf("%s\n", line.c_str());
    if (lines.empty()) std::printf("nothing to change\n");
    names.stop();
    return kExitOk;
}

}  // namespace wglan
