// SPDX-License-Identifier: Apache-2.0
#include "agent/control/explain.h"

#include <netinet/in.h>

#include <algorithm>

#include <fmt/format.h>

#include "agent/control/explain_pod.h"
#include "agent/control/explain_tables.h"

namespace wglan {
namespace {

// One walk along the packet's way. Each step_ returns true when the verdict is found.
class Walk {
public:
    // `before`: what was said of it before it came to routing.
    Walk(const ExplainRequest& request, const ExplainState& state, Explanation before)
        : request_(request), state_(state), out_(std::move(before)) {}

    Explanation run() {
        bool decided = step_own_address() || step_link_scope() || step_route() || step_hook() ||
                       step_mark() || step_neighbour_discovery() || step_outer() || step_always_reach() ||
                       step_prefix() || step_action() || step_peer() || step_interface() || step_mtu();
        if (!decided) step_redirect();
        return std::move(out_);
    }

private:
    bool go_on(std::string step, std::string detail) {
        out_.steps.push_back({std::move(step), std::nullopt, std::move(detail)});
        return false;
    }

    bool decide(Verdict verdict, std::string step, std::string detail, std::string reason) {
        out_.steps.push_back({std::move(step), verdict, std::move(detail)});
        out_.verdict = verdict;
        out_.reason = std::move(reason);
        if (verdict == Verdict::pass) out_.via = state_.kernel_device;
        if (verdict == Verdict::steer) out_.via = state_.interface;
        return true;
    }

    bool step_own_address() {
        const auto& own = state_.local_addresses;
        bool local = request_.destination.is_loopback() ||
                     std::find(own.begin(), own.end(), request_.destination) != own.end() ||
                     (state_.kernel_route && state_.kernel_route->type == RouteType::local);
        if (!local) return go_on("own address", "the destination is not an address of this host");
        return decide(Verdict::local, "own address", "the destination is an address of this host",
                      "delivered on this host");
    }

    bool step_link_scope() {
        const char* kind = link_scope_of(request_.destination);
        if (kind == nullptr) return go_on("kind", "unicast of more than link scope");
        return decide(Verdict::pass, "kind", fmt::format("a {} address is never steered", kind),
                      fmt::format("{} is never steered", kind));
    }

    bool step_route() {
        if (!state_.kernel_route) return without_route();
        const Route& route = *state_.kernel_route;
        if (route.type == RouteType::other)  // one that a packet can take: of a network's last address
            return decide(
                Verdict::pass, "route",
                fmt::format("{} is a broadcast address of this host's networks", route.prefix.to_string()),
                "broadcast is never steered");
        if (route.type == RouteType::unreachable || route.type == RouteType::blackhole) {
            const char* type = route.type == RouteType::blackhole ? "blackhole" : "unreachable";
            return decide(Verdict::drop, "route",
                          fmt::format("the kernel's route {} is {}", route.prefix.to_string(), type),
                          fmt::format("{} route", type));
        }
        std::string way = fmt::format("the kernel's route is {}{}{} dev {}", route.prefix.to_string(),
                                      route.gateway ? " via " : "",
                                      route.gateway ? route.gateway->to_string() : "", state_.kernel_device);
        if (state_.silent_hop)
            way += fmt::format("; {} didn't answer when it was last asked, and packets for it end there",
                               state_.silent_hop->to_string());
        bool tunnel =
            state_.config.interface_ifindex != 0 && route.ifindex == state_.config.interface_ifindex;
        if (!tunnel) return go_on("route", way);
        go_on("route", way + (route.protocol == kRouteProtocol ? " (the agent's own route)" : ""));
        return by_route();
    }

    // Nothing leaves then. It is our doing only where a peer's prefix is meant: whose routes went with
    // the tunnel, leaving the unreachable one.
    bool without_route() {
        find_prefix();
        if (route_ != nullptr && route_->action == SteerAction::steer)
            return decide(Verdict::drop, "route",
                          fmt::format("the kernel has no usable route for {}: the packet reaches no device{}",
                                      route_->prefix.to_string(), refusal()),
                          "no route");
        return decide(Verdict::pass, "route",
                      "the kernel has no route, and no peer has this address" + refusal(),
                      "not steered; the kernel itself has no route to it");
    }

    std::string refusal() const {
        return state_.route_refused.empty() ? "" : " (" + state_.route_refused + ")";
    }

    // Routing itself chose the tunnel; no uplink is passed. WireGuard picks the peer by its allowed
    // IPs, which are the peers' prefixes.
    bool by_route() {
        bool from_wireguard = request_.protocol == IPPROTO_UDP && state_.config.listen_port != 0 &&
                              request_.source_port == state_.config.listen_port;
        if (from_wireguard &&
            (has_outer_mark() || find_endpoint(SteerEndpoint::Kind::outer, IPPROTO_UDP) != nullptr))
            return decide(Verdict::drop, "outer packet",
                          "WireGuard's own packet must not go into its own tunnel", "tunnel in tunnel");
        find_prefix();
        if (route_ == nullptr || peer_ == nullptr) return by_claim();
        name_peer();
        std::string detail = fmt::format("{} goes to {}, which is {}", route_->prefix.to_string(),
                                         peer_->name, to_string(peer_->state));
        if (peer_->state == PeerState::quarantined)
            return decide(Verdict::drop, "peer", detail, "the peer is quarantined");
        if (const auto taken = state_.taken_from_cni.find(route_->prefix);
            taken != state_.taken_from_cni.end())
            detail += "; " + taken->second;
        if (!reachable()) detail += ": sent once a handshake succeeds, never in clear text";
        return decide(Verdict::steer, "peer", detail, "");
    }

    // What isn't in the tables, or passes there, WireGuard has all the same.
    bool by_claim() {
        const Prefix host = Prefix::host(request_.destination);
        for (auto it = state_.claims.upper_bound(host); it != state_.claims.begin();) {
            --it;
            if (it->first.family() != host.family()) break;
            if (!it->first.contains(host)) continue;
            const auto& [name, peer_state] = it->second;
            out_.peer = name;
            out_.peer_state = peer_state;
            return decide(Verdict::steer, "peer",
                          fmt::format("{} goes to {}, which is {}, by the kernel's route alone",
                                      it->first.to_string(), name, to_string(peer_state)),
                          "");
        }
        return decide(Verdict::drop, "peer", "no peer has this address: WireGuard answers unreachable",
                      "no peer has this address");
    }

    bool step_hook() {
        for (const auto& attachment : state_.attachments) {
            if (attachment.ifindex != state_.kernel_route->ifindex) continue;
            if (attachment.hook != Attachment::Hook::tc_egress) continue;
            out_.at_uplink = true;
            return go_on("hook", fmt::format("the steering program stands at {} egress ({})",
                                             state_.kernel_device, to_string(attachment.kind)));
        }
        return decide(Verdict::pass, "hook",
                      fmt::format("no steering program at {} egress: not an uplink", state_.kernel_device),
                      fmt::format("{} is not an uplink", state_.kernel_device));
    }

    bool has_outer_mark() const {
        const auto& config = state_.config;
        return config.firewall_mark != 0 && config.firewall_mark_mask != 0 &&
               (request_.mark & config.firewall_mark_mask) == config.firewall_mark;
    }

    bool step_mark() {
        if (!has_outer_mark())
            return go_on("mark", fmt::format("{:#x} is not that of WireGuard's own packets ({:#x}/{:#x})",
                                             request_.mark, state_.config.firewall_mark,
                                             state_.config.firewall_mark_mask));
        return decide(Verdict::pass, "mark",
                      fmt::format("{:#x} is that of WireGuard's own packets and of the agent", request_.mark),
                      "carries the mark of outer packets");
    }

    bool step_neighbour_discovery() {
        if (request_.protocol != IPPROTO_ICMPV6 || !request_.destination.is_v6()) return false;
        return go_on("neighbour discovery", "ICMPv6 types 133 to 137 pass; this goes on for the others");
    }

    const SteerEndpoint* find_endpoint(SteerEndpoint::Kind kind, std::uint8_t protocol) const {
        const bool has_ports = protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
        if (has_ports && !request_.destination_port) return nullptr;
        Endpoint wanted{request_.destination, has_ports ? *request_.destination_port : std::uint16_t{0}};
        for (const auto& endpoint : state_.endpoints)
            if (endpoint.kind == kind && endpoint.protocol == protocol && endpoint.endpoint == wanted)
                return &endpoint;
        return nullptr;
    }

    bool step_outer() {
        const SteerEndpoint* found = nullptr;
        if (request_.protocol == IPPROTO_UDP) found = find_endpoint(SteerEndpoint::Kind::outer, IPPROTO_UDP);
        if (found == nullptr) return go_on("outer packet", "not UDP to a peer's WireGuard endpoint");
        std::string where = found->endpoint.to_string();
        if (!request_.source_port)
            return go_on("outer packet",
                         fmt::format("{} is a peer's WireGuard endpoint: from source port {} it passes",
                                     where, state_.config.listen_port));
        if (*request_.source_port != state_.config.listen_port)
            return go_on("outer packet",
                         fmt::format("{} is a peer's WireGuard endpoint, but the source port isn't {}", where,
                                     state_.config.listen_port));
        return decide(Verdict::pass, "outer packet",
                      fmt::format("from WireGuard's port to a peer's endpoint {}", where),
                      "WireGuard's own packet");
    }

    // With steering.pods: cniDown tunnels of the kinds that this host has are left alone.
    bool is_of_the_cni(const SteerEndpoint& endpoint) const {
        const bool backup = !state_.left_to_cni.empty() || !state_.taken_from_cni.empty();
        const std::uint16_t port = endpoint.endpoint.port;
        return backup && endpoint.protocol != IPPROTO_TCP &&
               (port == 0 || port == 4789 || port == 8472 || port == 6081);
    }

    bool step_always_reach() {
        const SteerEndpoint* found =
            request_.protocol ? find_endpoint(SteerEndpoint::Kind::reach, *request_.protocol) : nullptr;
        const ApiServer* server = find_api_server();
        if (found != nullptr && server != nullptr)
            return decide(Verdict::pass, "always reach",
                          fmt::format("{} is an API server of the cluster, and no peer behind it is up",
                                      found->endpoint.to_string()),
                          "an API server, reached past the tunnel while that is down");
        if (found != nullptr && is_of_the_cni(*found))
            return decide(Verdict::pass, "always reach",
                          "a tunnel's packet to a peer's node (steering.pods: cniDown)",
                          "the CNI's own packet, or as one");
        if (found != nullptr)
            return decide(Verdict::pass, "always reach",
                          fmt::format("{} is in steering.alwaysReach", found->endpoint.to_string()),
                          "listed in steering.alwaysReach");
        if (server != nullptr)
            return go_on("always reach",
                         fmt::format("{} is an API server of the cluster; the peer behind it is "
                                     "up, so it is reached by the tunnel",
                                     server->endpoint.to_string()));
        for (const auto& endpoint : state_.endpoints)
            if (endpoint.kind == SteerEndpoint::Kind::reach &&
                endpoint.endpoint.address == request_.destination &&
                (!request_.protocol || !request_.destination_port))
                return go_on(
                    "always reach",
                    fmt::format("port {} ({}) of this address is {}; this goes on for the others",
                                endpoint.endpoint.port, protocol_name(endpoint.protocol),
                                is_api_server(endpoint) ? "an API server's" : "in steering.alwaysReach"));
        return go_on("always reach", "not in steering.alwaysReach");
    }

    bool is_api_server(const SteerEndpoint& endpoint) const {
        return endpoint.protocol == IPPROTO_TCP &&
               std::any_of(state_.api_servers.begin(), state_.api_servers.end(),
                           [&](const ApiServer& server) { return server.endpoint == endpoint.endpoint; });
    }

    const ApiServer* find_api_server() const {
        if (request_.protocol != IPPROTO_TCP || !request_.destination_port) return nullptr;
        const Endpoint wanted{request_.destination, *request_.destination_port};
        for (const ApiServer& server : state_.api_servers)
            if (server.endpoint == wanted) return &server;
        return nullptr;
    }

    // What is sent from a port that others always reach here goes on where it would be dropped.
    const SteerEndpoint* find_served() const {
        if (!request_.source_port || !request_.protocol) return nullptr;
        const Endpoint from{source_of(request_, state_), *request_.source_port};
        for (const auto& endpoint : state_.endpoints)
            if (endpoint.kind == SteerEndpoint::Kind::serve && endpoint.protocol == *request_.protocol &&
                endpoint.endpoint == from)
                return &endpoint;
        return nullptr;
    }

    bool step_prefix() {
        find_prefix();
        if (route_ == nullptr)
            return decide(Verdict::pass, "prefix", "no steered prefix holds the destination",
                          "no steered prefix");
        return go_on("prefix", fmt::format("longest match is {}", route_->prefix.to_string()));
    }

    bool step_action() {
        std::string prefix = route_->prefix.to_string();
        const auto left = state_.left_to_cni.find(route_->prefix);
        if (route_->action == SteerAction::pass && left != state_.left_to_cni.end())
            return decide(
                Verdict::pass, "action",
                fmt::format("{} is left to the CNI, {} (steering.pods: cniDown)", prefix, left->second),
                "left to the CNI, whose route leads on");
        if (route_->action == SteerAction::pass)
            return decide(Verdict::pass, "action", fmt::format("{} is excluded from steering", prefix),
                          fmt::format("{} is excluded from steering", prefix));
        if (route_->action == SteerAction::drop)
            return decide(Verdict::drop, "action", fmt::format("{} is to be dropped", prefix),
                          fmt::format("{} is to be dropped", prefix));
        const auto taken = state_.taken_from_cni.find(route_->prefix);
        return go_on("action", taken == state_.taken_from_cni.end() ? "steer" : "steer: " + taken->second);
    }

    bool step_peer() {
        if (peer_ == nullptr)
            return decide(Verdict::drop, "peer",
                          fmt::format("peer {} of the prefix is not in the peers table", route_->peer),
                          "the prefix's peer is not in the peers table");
        name_peer();
        std::string state(to_string(peer_->state));
        if (reachable()) return go_on("peer", fmt::format("{} is {}", peer_->name, state));
        if (peer_->state == PeerState::quarantined)
            return decide(Verdict::drop, "peer", fmt::format("{} is quarantined", peer_->name),
                          "the peer is quarantined");
        bool unknown = peer_->state == PeerState::unknown;
        return fall_back("peer", fmt::format("{} is {}", peer_->name, state),
                         unknown ? "whenUnknown" : "whenDown",
                         unknown ? peer_->when_unknown : peer_->when_down);
    }

    bool fall_back(std::string step, const std::string& cause, const char* setting, Fallback fallback) {
        std::string value = fmt::format("peers.{}: {}", setting, to_string(fallback));
        const SteerEndpoint* served = fallback == Fallback::drop ? find_served() : nullptr;
        if (served != nullptr)
            return decide(Verdict::pass, std::move(step),
                          fmt::format("{}; {}; but it comes from {}, which others always reach", cause, value,
                                      served->endpoint.to_string()),
                          "an answer from what others always reach here");
        return decide(fallback == Fallback::drop ? Verdict::drop : Verdict::pass, std::move(step),
                      fmt::format("{}; {}", cause, value), fmt::format("{}, {}", cause, value));
    }

    // Without a device a peer counts as down.
    bool step_interface() {
        if (state_.config.interface_ifindex != 0) return false;
        return fall_back("interface", state_.interface + " does not exist", "whenDown", peer_->when_down);
    }

    bool step_mtu() {
        unsigned mtu = route_->mtu != 0 ? route_->mtu : state_.config.interface_mtu;
        if (mtu == 0) return false;
        return go_on(
            "mtu",
            fmt::format("packets up to {} bytes go on; larger ones are answered with packet-too-big", mtu));
    }

    void step_redirect() {
        decide(Verdict::steer, "redirect", fmt::format("into {} for {}", state_.interface, peer_->name), "");
    }

    void find_prefix() {
        route_ = longest_match(state_, request_.destination);
        if (route_ != nullptr) peer_ = peer_of(state_, *route_);
    }

    void name_peer() {
        out_.peer = peer_->name;
        out_.peer_state = peer_->state;
    }

    bool reachable() const { return is_reachable(*peer_); }

    static std::string protocol_name(std::uint8_t protocol) {
        if (protocol == IPPROTO_TCP) return "tcp";
        if (protocol == IPPROTO_UDP) return "udp";
        return fmt::format("protocol {}", protocol);
    }

    const ExplainRequest& request_;
    const ExplainState& state_;
    const SteerRoute* route_ = nullptr;
    const SteerPeer* peer_ = nullptr;
    Explanation out_;
};

}  // namespace

std::string_view to_string(Verdict verdict) {
    switch (verdict) {
        case Verdict::steer:
            return "steer";
        case Verdict::pass:
            return "pass";
        case Verdict::drop:
            return "drop";
        case Verdict::local:
            return "local";
    }
    return "?";
}

Explanation explain(const ExplainRequest& request, const ExplainState& state) {
    Explanation answer;
    if (explain_from_pod(request, state, answer)) return answer;
    return Walk(request, state, std::move(answer)).run();
}

}  // namespace wglan
