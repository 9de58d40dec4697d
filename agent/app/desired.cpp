// SPDX-License-Identifier: Apache-2.0
#include "agent/app/desired.h"

#include <linux/rtnetlink.h>
#include <netinet/in.h>

#include <algorithm>

#include "agent/app/prefix_parts.h"
#include "agent/model/overlay_address.h"

namespace wglan {
namespace {

constexpr std::uint32_t kWireGuardOverhead = 80;  // outer IPv6 40, UDP 8, WireGuard 32
constexpr std::uint32_t kLeastMtu = 1280;         // RFC 8200 section 5
constexpr std::uint32_t kOverlayRouteMetric = 256;
constexpr std::uint16_t kSearchKeepalive = 25;
// Some room is left: a change adds before it removes.
constexpr std::size_t kMostEndpoints = kMaxSteerEndpoints - kMaxSteerEndpoints / 16;

template <class Container>
Container at_most_of(const Container& all, std::size_t most) {
    auto end = all.begin();
    std::advance(end, std::min(most, all.size()));
    return {all.begin(), end};
}

class Builder {
public:
    explicit Builder(const DesiredInput& input)
        : in_(input),
          config_(input.config),
          own4_(find_own_address(Family::v4)),
          own6_(find_own_address(Family::v6)),
          holes_(route_holes(input.config, input.api_servers)) {}

    Desired run() {
        out_.interface = config_.interface.name;
        out_.mtu = interface_mtu(config_, in_.facts);
        out_.public_key = in_.public_key;
        out_.listen_port = config_.interface.listen_port;
        out_.firewall_mark = config_.interface.firewall_mark;
        addresses();
        out_.uplinks.insert(in_.facts.uplinks.begin(), in_.facts.uplinks.end());
        if (config_.steering.direct) direct();
        never_steered();
        for (const Peer& peer : in_.peers)
            for (const Endpoint& endpoint : in_.endpoints(peer)) endpoints_.insert(endpoint.address);
        endpoints_.insert(in_.depended_on.begin(), in_.depended_on.end());
        for (const Peer& peer : in_.peers)
            for (const OwnedPrefix& owned : peer.prefixes)
                if (owned.cls != PrefixClass::extra) ++places(owned.prefix).kept;
        for (const Peer& peer : in_.peers) add(peer);
        for (const Prefix& prefix : halved_) override_routes(prefix);
        // Where tunnels end is not steered itself, unless it is a peer's own address.
        for (const auto* addresses : {&addresses_left_, &endpoints_})
            for (const IpAddress& address : *addresses)
                if (places(Prefix::host(address)).taken < room_ &&
                    !out_.steer_routes.contains(Prefix::host(address)))
                    pass(Prefix::host(address));
        out_.steer_config.interface_mtu = static_cast<std::uint16_t>(out_.mtu);
        out_.steer_config.firewall_mark = config_.interface.firewall_mark;
        out_.steer_config.firewall_mark_mask = config_.interface.firewall_mark_mask;
        out_.steer_config.orphan_after_s = static_cast<std::uint32_t>(config_.agent.orphan_after.count());
        return std::move(out_);
    }

private:
    const std::optional<IpAddress>& own_address(Family family) const {
        return family == Family::v4 ? own4_ : own6_;
    }

    std::optional<IpAddress> find_own_address(Family family) const {
        const auto& list = config_.node.addresses ? *config_.node.addresses : in_.facts.node_addresses;
        for (const IpAddress& address : list) {
            // A preferred source must stand on this host.
            const auto& here = in_.facts.all_addresses;
            if (address.family() == family && std::find(here.begin(), here.end(), address) != here.end())
                return address;
        }
        return std::nullopt;
    }

    void addresses() {
        out_.addresses.insert({in_.overlay, 128, RT_SCOPE_UNIVERSE});
        if (const auto ipv4 = own_address(Family::v4))
            out_.addresses.insert({*ipv4, 32, RT_SCOPE_UNIVERSE});
        else
            out_.addresses.insert({link_scope_ipv4(in_.public_key), 32, RT_SCOPE_LINK});
        Route overlay;
        overlay.prefix = in_.overlay_network;
        overlay.metric = kOverlayRouteMetric;
        overlay.protocol = kRouteProtocol;
        overlay.preferred_source = in_.overlay;
        out_.routes.emplace(RouteKey{overlay.prefix, RouteType::unicast}, overlay);
    }

    void direct() {
        out_.pods.direct = true;
        out_.pods.devices = at_most_of(in_.facts.pods.devices, kMaxPods);
        out_.pods.macs = at_most_of(in_.facts.pods.macs, kMaxPods);
        if (!config_.pod_networking || !config_.node.pod_prefixes) return;
        for (const Prefix& prefix : *config_.node.pod_prefixes) {
            const auto same_family = [&](const Prefix& own) { return own.family() == prefix.family(); };
            if (std::count_if(out_.pods.own.begin(), out_.pods.own.end(), same_family) <
                static_cast<std::ptrdiff_t>(kMaxOwnPrefixes))
                out_.pods.own.insert(prefix);
        }
    }

    // Past the stack nothing looks at ports: a prefix around an address that is always to be reached takes
    // the longer way.
    bool goes_direct(const OwnedPrefix& owned) const {
        const auto holds = [&](const auto& target) { return owned.prefix.contains(target.endpoint.address); };
        const auto& always = config_.steering.always_reach;
        return owned.cls == PrefixClass::pod && std::none_of(always.begin(), always.end(), holds) &&
               std::none_of(in_.api_servers.begin(), in_.api_servers.end(), holds);
    }

    void pass(const Prefix& prefix) {
        SteerRoute route;
        route.prefix = prefix;
        route.action = SteerAction::pass;
        if (out_.steer_routes.insert_or_assign(prefix, route).second) ++places(prefix).taken;
    }

    // A default or wide prefix of a peer must not swallow what is here: this host's own addresses, pods and
    // announced networks, and its neighbourhood. Packets that come out of the tunnel are looked up, too.
    void never_steered() {
        for (const Prefix& prefix : config_.steering.exclude)
            if (places(prefix).taken < room_ / 2)
                pass(prefix);
            else
                ++out_.left_out;
        pass(Prefix::host(in_.overlay));
        for (const Prefix& prefix : config_.advertise.prefixes) pass(prefix);
        if (config_.pod_networking && config_.node.pod_prefixes)
            for (const Prefix& prefix : *config_.node.pod_prefixes) pass(prefix);
        for (const Prefix& network : in_.facts.networks)
            if (!network.is_host()) pass(network);
        for (const IpAddress& gateway : in_.facts.gateways) pass(Prefix::host(gateway));
        // kube-proxy may keep thousands of Services' addresses on a device: peers' prefixes come first.
        std::size_t some = room_ / 4;
        for (const IpAddress& address : in_.facts.all_addresses) {
            if (!address.is_global_unicast()) continue;
            if (some > 0)
                pass(Prefix::host(address)), --some;
            else
                addresses_left_.insert(address);
        }
        for (const ReachTarget& target : config_.steering.always_reach)
            always_reached(target.endpoint, target.protocol, true);
        for (const ApiServer& server : in_.api_servers)
            always_reached(server.endpoint, IPPROTO_TCP, !server.by_tunnel);
    }

    // What others always reach here must also be able to answer: their tunnel to us is ours to them.
    void always_reached(const Endpoint& endpoint, std::uint8_t protocol, bool past_the_tunnel) {
        const auto& here = in_.facts.all_addresses;
        if (std::find(here.begin(), here.end(), endpoint.address) != here.end())
            out_.steer_endpoints.insert({SteerEndpoint::Kind::serve, endpoint, protocol});
        else if (past_the_tunnel)
            out_.steer_endpoints.insert({SteerEndpoint::Kind::reach, endpoint, protocol});
    }

    bool excluded(const Prefix& prefix) const {
        return std::any_of(config_.steering.exclude.begin(), config_.steering.exclude.end(),
                           [&](const Prefix& out) { return out.contains(prefix); });
    }

    // Without a keepalive only traffic would start a handshake; a peer that is looked for needs one.
    std::uint16_t keepalive(const Peer& peer) const {
        if (in_.manager.holding(peer.public_key)) return 0;
        const std::uint16_t configured = peer.keepalive_s.value_or(config_.peers.keepalive_s);
        const bool searched = !in_.manager.alive(peer.public_key) && !peer.candidates.empty();
        return configured == 0 && searched ? kSearchKeepalive : configured;
    }

    // What goes to this peer takes the way it would take without us.
    bool bypassed(PeerState state) const {
        return (state == PeerState::unknown && config_.peers.when_unknown == Fallback::bypass) ||
               (state == PeerState::down && config_.peers.when_down == Fallback::bypass);
    }

    void add(const Peer& peer) {
        WgPeer wanted;
        wanted.key = peer.public_key;
        wanted.endpoint = in_.manager.wanted_endpoint(peer.public_key);
        wanted.keepalive_s = keepalive(peer);
        wanted.preshared = in_.preshared(peer);
        for (const OwnedPrefix& owned : peer.prefixes) wanted.allowed_ips.push_back(owned.prefix);
        std::sort(wanted.allowed_ips.begin(), wanted.allowed_ips.end());
        out_.peers.emplace(wanted.key, std::move(wanted));

        const PeerId id = in_.ids.id_of(peer.public_key);
        if (id == 0) return;
        SteerPeer steer;
        steer.id = id;
        steer.key = peer.public_key;
        steer.state = in_.manager.steering_state(peer.public_key);
        steer.when_unknown = config_.peers.when_unknown;
        steer.when_down = config_.peers.when_down;
        steer.name = peer.name.substr(0, 31);
        out_.steer_peers.emplace(id, std::move(steer));
        const auto in_use = in_.manager.endpoint_in_use(peer.public_key);
        roamed_to_ = in_use ? std::optional(in_use->address) : std::nullopt;
        for (const OwnedPrefix& owned : peer.prefixes)
            steer_prefix(owned, id, bypassed(in_.manager.steering_state(peer.public_key)));
        if (config_.steering.pods_when_cni_down) leave_tunnels(peer);
        if (in_use) outer_endpoint(*in_use);
        for (const Endpoint& endpoint : in_.endpoints(peer)) outer_endpoint(endpoint);
    }

    // The CNI's own packets go to the node's address, as others do that are steered; its way shall not depend
    // on ours, whose backup it has.
    void leave_tunnels(const Peer& peer) {
        for (const OwnedPrefix& owned : peer.prefixes) {
            if (owned.cls != PrefixClass::node || !owned.prefix.is_host()) continue;
            for (const auto& [protocol, port] : in_.facts.tunnel_flows)
                if (out_.steer_endpoints.size() < kMostEndpoints)
                    out_.steer_endpoints.insert(
                        {SteerEndpoint::Kind::reach, {owned.prefix.address(), port}, protocol});
        }
    }

    // Without an entry the mark alone tells WireGuard's packets from others.
    void outer_endpoint(const Endpoint& endpoint) {
        if (out_.steer_endpoints.size() < kMostEndpoints)
            out_.steer_endpoints.insert({SteerEndpoint::Kind::outer, endpoint, IPPROTO_UDP});
        else
            ++out_.endpoints_left_out;
    }

    void steer_prefix(const OwnedPrefix& owned, PeerId id, bool bypass) {
        const bool extra = owned.cls == PrefixClass::extra;
        if (!extra) --places(owned.prefix).kept;
        if (excluded(owned.prefix)) {
            pass(owned.prefix);
            return;
        }
        SteerRoute route;
        route.prefix = owned.prefix;
        route.peer = id;
        route.mtu = static_cast<std::uint16_t>(out_.mtu);
        route.pods = goes_direct(owned);
        const CniShare left =
            owned.cls == PrefixClass::pod && in_.left_to_cni ? in_.left_to_cni(owned.prefix) : CniShare::none;
        if (left != CniShare::none) {
            // With an entry of its own: a wider prefix of somebody's must not take it.
            route = {};
            route.prefix = owned.prefix;
            route.action = SteerAction::pass;
        }
        // What doesn't fit goes by its kernel route alone. Nodes and their pods come first: whoever has many
        // networks behind it must not take the others' tunnels away.
        Places& of_family = places(owned.prefix);
        if (of_family.taken + (extra ? of_family.kept : 0) >= room_)
            ++out_.left_out;
        else if (out_.steer_routes.insert({owned.prefix, route}).second)  // what is here stays
            ++of_family.taken;
        if (bypass || !is_routed(owned)) return;
        if (left == CniShare::by_wider_route) return;
        // A route around an endpoint would take WireGuard's own packets, whatever their mark: such prefixes
        // are steered by the programs alone.
        const auto first = endpoints_.lower_bound(owned.prefix.address());
        if (first != endpoints_.end() && owned.prefix.contains(*first)) return;
        if (roamed_to_ && owned.prefix.contains(*roamed_to_)) return;
        const bool overriding = left == CniShare::none && overrides(owned.prefix);
        if (!overriding && in_the_way(owned)) return;
        if (!has_hole(owned.prefix, holes_)) {
            backup_route(owned.prefix);
            if (overriding) halved_.push_back(owned.prefix);
            return;
        }
        // Parts are longer: they would win over somebody's route for the prefix, which takes the holes as
        // well.
        const Holed* holed = in_.holed ? in_.holed(owned.prefix) : nullptr;
        if (holed != nullptr && holed->routed_by_others && !overriding) return;
        for (const Prefix& part : without(owned.prefix, holed != nullptr ? holed->holes : holes_))
            backup_route(part);
    }

    // The kernel refuses an IPv6 route with `onlink` to a next hop for which it has another device's route
    // (ip6_route_check_nh_onlink()); a default route alone doesn't count. Tunnels of CNIs have next hops in
    // the very prefix that is behind them: a route of ours would keep the CNI's out, and isn't needed where
    // packets get to an uplink by the default route.
    bool in_the_way(const OwnedPrefix& owned) const {
        return owned.cls == PrefixClass::pod && owned.prefix.family() == Family::v6 && in_.spared &&
               in_.spared(owned.prefix);
    }

    // A host can't be halved; this host's own way out is not ours to take.
    bool overrides(const Prefix& prefix) const {
        if (prefix.is_host() || prefix.is_default()) return false;
        return config_.steering.routes == RouteForm::override ||
               (config_.steering.routes == RouteForm::automatic && in_.overridden && in_.overridden(prefix));
    }

    // One bit longer than anybody's route for the prefix.
    void override_routes(const Prefix& prefix) {
        const auto [low, high] = halves(prefix);
        backup_route(low);
        backup_route(high);
    }

    // Same prefix, worst metric: any other route wins; so that a host with no route reaches the peer
    // and the kernel knows the tunnel's MTU.
    void backup_route(const Prefix& prefix) {
        Route route;
        route.prefix = prefix;
        route.metric = kBackupMetric;
        route.protocol = kRouteProtocol;
        route.preferred_source = own_address(prefix.family());
        out_.routes.emplace(RouteKey{prefix, RouteType::unicast}, route);
        if (config_.peers.when_down != Fallback::drop || prefix.is_default()) return;
        // With the device down or gone its routes go too; this one keeps clear text in.
        Route twin = route;
        twin.type = RouteType::unreachable;
        twin.metric = kBackupMetric + 1;
        twin.preferred_source.reset();
        out_.routes.emplace(RouteKey{prefix, RouteType::unreachable}, twin);
    }

    const DesiredInput& in_;
    const Config& config_;
    const std::optional<IpAddress> own4_, own6_;
    const std::vector<Prefix> holes_;
    Desired out_;
    std::set<IpAddress> endpoints_, addresses_left_;
    std::optional<IpAddress> roamed_to_;  // where the peer at hand is reached, named or not
    std::vector<Prefix> halved_;
    // Some room is left to what passes.
    std::size_t room_ = config_.bpf.max_routes - config_.bpf.max_routes / 16;
    // In the table of a family.
    struct Places {
        std::size_t taken = 0;
        std::size_t kept = 0;  // for nodes and pods that are still to come
    };
    Places& places(const Prefix& prefix) { return prefix.family() == Family::v4 ? places4_ : places6_; }
    Places places4_, places6_;
};

}  // namespace

std::vector<Prefix> route_holes(const Config& config, const std::vector<ApiServer>& api_servers) {
    std::set<Prefix> holes(config.steering.exclude.begin(), config.steering.exclude.end());
    for (const ReachTarget& target : config.steering.always_reach)
        holes.insert(Prefix::host(target.endpoint.address));
    for (const ApiServer& server : api_servers)
        if (!server.by_tunnel) holes.insert(Prefix::host(server.endpoint.address));
    return {holes.begin(), holes.end()};
}

std::uint32_t interface_mtu(const Config& config, const HostFacts& facts) {
    if (config.interface.mtu) return *config.interface.mtu;
    return std::max(kLeastMtu,
                    facts.underlay_mtu > kWireGuardOverhead ? facts.underlay_mtu - kWireGuardOverhead : 0);
}

bool nearly_full(std::size_t entries, std::size_t room) { return entries >= room - room / 5; }

std::vector<std::string> capacity_warnings(const Desired& wanted, const Config& config) {
    std::vector<std::string> warnings;
    const auto look = [&](std::size_t entries, std::size_t room, const char* what, const char* mend) {
        if (nearly_full(entries, room))
            warnings.push_back(std::string(what) + " is more than 80 % full (" + std::to_string(room) +
                               " entries)" + mend);
    };
    const auto ipv6 = wanted.steer_routes.lower_bound(Prefix::make(IpAddress(), 0).value());
    const auto count4 = static_cast<std::size_t>(std::distance(wanted.steer_routes.begin(), ipv6));
    const char* enlarge = "; bpf.maxRoutes makes it larger";
    look(count4, config.bpf.max_routes, "the table of IPv4 prefixes", enlarge);
    look(wanted.steer_routes.size() - count4, config.bpf.max_routes, "the table of IPv6 prefixes", enlarge);
    look(wanted.peers.size(), kMaxPeers, "the table of peers", "");
    look(wanted.steer_endpoints.size(), kMaxSteerEndpoints, "the table of endpoints", "");
    const char* by_stack = "; what has no room goes by the host's stack";
    look(wanted.pods.devices.size(), kMaxPods, "the table of pods' devices", by_stack);
    look(wanted.pods.macs.size(), kMaxPods, "the table of bridges' MAC addresses", by_stack);
    if (wanted.left_out > 0)
        warnings.push_back(
            "the tables have no room for some prefixes: these are not steered, and take their "
            "kernel routes; raise bpf.maxRoutes");
    if (wanted.endpoints_left_out > 0)
        warnings.push_back("the table of endpoints has no room for " +
                           std::to_string(wanted.endpoints_left_out) +
                           " of them: keep interface.firewallMark free of other programs");
    return warnings;
}

Desired build_desired(const DesiredInput& input) { return Builder(input).run(); }

void PeerIds::adopt(const std::map<PeerId, SteerPeer>& found) {
    for (const auto& [id, peer] : found) {
        if (!ids_.emplace(peer.key, id).second) continue;
        used_.insert(id);
        next_ = std::max(next_, id + 1);
    }
}

PeerId PeerIds::id_of(const PublicKey& key) {
    if (const auto it = ids_.find(key); it != ids_.end()) return it->second;
    for (PeerId tries = 0; tries < kMaxPeers; ++tries) {
        if (next_ > kMaxPeers) next_ = 1;
        const PeerId id = next_++;
        if (!used_.insert(id).second) continue;
        ids_.emplace(key, id);
        return id;
    }
    return 0;
}

void PeerIds::keep_only(const std::vector<Peer>& peers) {
    std::set<PublicKey> alive;
    for (const Peer& peer : peers) alive.insert(peer.public_key);
    std::erase_if(ids_, [&](const auto& item) {
        if (alive.contains(item.first)) return false;
        used_.erase(item.second);
        return true;
    });
}

}  // namespace wglan
