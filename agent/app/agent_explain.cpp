// SPDX-License-Identifier: Apache-2.0
// What `wglanctl explain` is told: the tables, the kernel's route, and what the programs themselves say.
#include <netinet/in.h>

#include <algorithm>

#include "agent/app/agent.h"
#include "agent/control/explain.h"
#include "agent/control/explain_tables.h"

namespace wglan {
namespace {

// The kernel answers with a route to the address alone, and IPv4's doesn't say whose it is.
void name_route(const std::vector<Route>& table, Route& answer) {
    const Route* found = nullptr;
    for (const Route& route : table) {
        const bool same_way = route.type == answer.type && route.ifindex == answer.ifindex &&
                              route.gateway == answer.gateway && route.table == answer.table;
        if (!same_way || !route.prefix.contains(answer.prefix.address())) continue;
        const bool better = found == nullptr || route.prefix.length() > found->prefix.length() ||
                            (route.prefix.length() == found->prefix.length() && route.metric < found->metric);
        if (better) found = &route;
    }
    if (found == nullptr) return;
    answer.prefix = found->prefix;
    answer.protocol = found->protocol;
}

constexpr std::uint8_t kNoProtocol = 253;  // RFC 3692: for experiments, so that no port or type is judged
constexpr std::uint8_t kEcho4 = IPPROTO_ICMP, kEcho6 = IPPROTO_ICMPV6;
constexpr std::uint16_t kSomePort = 40000;

Verdict verdict_of(ReplayVerdict said) {
    switch (said) {
        case ReplayVerdict::steer:
            return Verdict::steer;
        case ReplayVerdict::drop:
            return Verdict::drop;
        case ReplayVerdict::pass:
            break;
    }
    return Verdict::pass;
}

std::string name_of(const std::vector<Link>& links, int ifindex) {
    const auto link = std::ranges::find(links, ifindex, &Link::ifindex);
    return link == links.end() ? "" : link->name;
}

// An address that another host, or a pod, could send from.
bool is_elsewhere(const IpAddress& address, const std::vector<IpAddress>& own) {
    return address.is_global_unicast() && std::ranges::find(own, address) == own.end();
}

// Pods send by the ports of a bridge, where the program runs; it judges alike at all of them.
const PodDevice* port_of(const std::vector<Link>& links, const PodSteering& pods, int bridge) {
    for (const Link& link : links) {
        const auto port = pods.devices.find(link.ifindex);
        if (link.master == bridge && port != pods.devices.end() && port->second.runs_program())
            return &port->second;
    }
    return nullptr;
}

// What isn't given isn't judged: an echo meets all questions but that for a flow that conntrack knows.
ReplayPacket packet_from_pod(const ExplainRequest& request) {
    ReplayPacket packet{*request.source, request.destination};
    packet.mark = request.mark;
    const bool has_ports = request.protocol == IPPROTO_TCP || request.protocol == IPPROTO_UDP;
    const bool whole = request.protocol && (!has_ports || (request.source_port && request.destination_port));
    const std::uint8_t echo = packet.source.is_v4() ? kEcho4 : kEcho6;
    packet.protocol = whole ? *request.protocol : echo;
    packet.source_port = request.source_port.value_or(0);
    packet.destination_port = request.destination_port.value_or(0);
    return packet;
}

}  // namespace

// With podDatapath: direct, of a packet that isn't this host's own. Returns by which device the host's stack
// gets it; 0 = it is asked as for one of its own.
int Agent::look_at_pod_side(const ExplainRequest& request, const PodSteering& pods,
                            const std::vector<Link>& links, ExplainState& state) {
    if (!pods.direct || !request.source || !is_elsewhere(*request.source, state.local_addresses)) return 0;
    PodSide& side = state.pod_side.emplace();
    side.own = pods.own;
    const auto towards = netlink_->route_to(*request.source);
    if (!towards || towards->ifindex == 0) return 0;
    side.device = name_of(links, towards->ifindex);
    const auto found = pods.devices.find(towards->ifindex);
    if (found == pods.devices.end()) return 0;
    const PodDevice* entry = &found->second;
    if (!entry->runs_program()) {
        entry = port_of(links, pods, towards->ifindex);
        if (entry == nullptr) return 0;
        side.port = name_of(links, entry->ifindex);
    }
    side.entry = *entry;
    const auto said = dataplane_->replay_from_pod(packet_from_pod(request), *entry);
    if (said)
        side.said = PodProgramSaid{verdict_of(said->verdict), said->known};
    else
        side.not_replayed = said.error().message();
    return towards->ifindex;
}

Result<ExplainState> Agent::explain_state(const ExplainRequest& request) {
    if (!dataplane_) return fail(ErrorKind::unsupported, "the agent is starting; ask again in a moment");
    auto dumped = dataplane_->state();
    if (!dumped) return fail_with(dumped, "read the BPF maps");
    ExplainState state;
    state.routes = std::move(dumped->routes);
    state.peers = std::move(dumped->peers);
    state.endpoints = std::move(dumped->endpoints);
    state.api_servers = api_in_force_;
    state.config = dumped->config;
    state.attachments = std::move(dumped->attachments);
    state.interface = config_.interface.name;
    for (const auto& [prefix, cni] : cni_.watch().states())
        (cni.left ? state.left_to_cni : state.taken_from_cni).emplace(prefix, cni.reason);
    for (const Peer& peer : merged_.peers)
        for (const OwnedPrefix& owned : peer.prefixes)
            state.claims.emplace(owned.prefix, std::pair(peer.name, manager_.state(peer.public_key)));
    auto addresses = netlink_->addresses();
    if (!addresses) return fail_with(addresses, "list addresses");
    for (const InterfaceAddress& address : *addresses) state.local_addresses.push_back(address.address);
    auto links = netlink_->links();
    if (!links) return fail_with(links, "list links");
    const int from = look_at_pod_side(request, dumped->pods, *links, state);
    auto route = from == 0 ? netlink_->route_to(request.destination, request.mark)
                           : netlink_->route_of({*request.source, request.destination, from, request.mark});
    if (!route) {  // no route: that is an answer too
        if (route.error().kind() != ErrorKind::not_found) state.route_refused = route.error().message();
        return state;
    }
    state.kernel_route = *route;
    if (const auto table = netlink_->routes()) name_route(*table, *state.kernel_route);
    state.kernel_device = name_of(*links, route->ifindex);
    const IpAddress hop = route->gateway.value_or(request.destination);
    if (const auto neighbours = netlink_->neighbours();
        neighbours && std::ranges::any_of(*neighbours, [&](const Neighbour& neighbour) {
            return neighbour.ifindex == route->ifindex && neighbour.address == hop && neighbour.failed;
        }))
        state.silent_hop = hop;
    return state;
}

Result<Explanation> Agent::explain(const ExplainRequest& request) {
    auto state = explain_state(request);
    if (!state) return Failure(state.error());
    Explanation answer = wglan::explain(request, *state);
    name_path(*state, answer);
    if (answer.at_uplink) confirm(request, *state, answer);
    return answer;
}

// How the peer is reached, in front of what is decided.
void Agent::name_path(const ExplainState& state, Explanation& answer) const {
    const auto peer = std::find_if(state.peers.begin(), state.peers.end(),
                                   [&](const auto& item) { return item.second.name == answer.peer; });
    if (answer.peer.empty() || peer == state.peers.end() || answer.steps.empty()) return;
    const auto status = manager_.status(peer->second.key);
    if (!status) return;
    std::string text = status->endpoint
                           ? answer.peer + " is reached at " + status->endpoint->to_string() + ", direct"
                           : answer.peer + " has no endpoint";
    text += "; " + std::string(to_string(status->state));
    if (!status->reason.empty()) text += ": " + status->reason;
    const auto deciding =
        std::ranges::find_if(answer.steps, [](const ExplainStep& step) { return step.result.has_value(); });
    answer.steps.insert(deciding, {"path", std::nullopt, std::move(text)});
}

// The tables say why; the program that reads them says what.
void Agent::confirm(const ExplainRequest& request, const ExplainState& state, Explanation& answer) {
    ReplayPacket packet;
    packet.destination = request.destination;
    packet.source = source_of(request, state);
    packet.protocol = request.protocol.value_or(kNoProtocol);
    packet.source_port = request.source_port.value_or(kSomePort);
    packet.destination_port = request.destination_port.value_or(0);
    packet.mark = request.mark;
    const auto said = dataplane_->replay(packet);
    if (!said) {
        const auto before_last = answer.steps.empty() ? answer.steps.end() : std::prev(answer.steps.end());
        answer.steps.insert(before_last,
                            {"program", std::nullopt, "not replayed: " + said.error().message()});
        return;
    }
    const Verdict verdict = verdict_of(*said);
    const bool agrees = verdict == answer.verdict;
    answer.steps.push_back({"program", verdict,
                            "the loaded program, run on such a packet, says " +
                                std::string(to_string(verdict)) + (agrees ? "" : ", other than the tables")});
    if (agrees) return;
    answer.verdict = verdict;
    answer.via = verdict == Verdict::steer ? state.interface : verdict == Verdict::pass ? state.kernel_device : "";
    answer.reason = "the loaded program decides otherwise than the tables say";
}

}  // namespace wglan
