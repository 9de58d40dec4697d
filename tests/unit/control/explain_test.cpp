// SPDX-License-Identifier: Apache-2.0
#include "agent/control/explain.h"

#include <netinet/in.h>

#include <algorithm>
#include <functional>

#include <gtest/gtest.h>

#include "tests/support/control/fake_control.h"

namespace wglan {
namespace {

using test::address;
using test::endpoint;
using test::prefix;

ExplainState base_state() { return test::FakeControl().explain_state; }

ExplainRequest to(const char* destination) {
    ExplainRequest request;
    request.destination = address(destination);
    return request;
}

struct Case {
    const char* name;
    std::function<void(ExplainRequest&, ExplainState&)>
        change;  // of a packet to 10.244.2.7, which is steered
    Verdict verdict;
    const char* last_step;
    const char* reason;
    const char* via;
};

void set_peer(ExplainState& state, PeerState peer) { state.peers[1].state = peer; }

void outer_packet(ExplainRequest& request, ExplainState& state) {
    state.endpoints = {{SteerEndpoint::Kind::outer, endpoint("10.244.2.7:51820"), IPPROTO_UDP}};
    request.protocol = IPPROTO_UDP;
    request.source_port = 51820;
    request.destination_port = 51820;
}

void reach(ExplainRequest& request, ExplainState& state) {
    state.endpoints = {{SteerEndpoint::Kind::reach, endpoint("10.244.2.7:6443"), IPPROTO_TCP}};
    request.protocol = IPPROTO_TCP;
    request.destination_port = 6443;
}

void by_tunnel_route(ExplainState& state) {
    state.kernel_route->ifindex = 3;
    state.kernel_route->protocol = kRouteProtocol;
    state.kernel_route->gateway.reset();
    state.kernel_device = "wglan0";
}

const Case kCases[] = {
    {"SteersToPeerThatIsUp", [](auto&, auto&) {}, Verdict::steer, "redirect", "", "wglan0"},
    {"SteersToDegradedPeer", [](auto&, auto& s) { set_peer(s, PeerState::degraded); }, Verdict::steer,
     "redirect", "", "wglan0"},
    {"OwnAddressIsLocal", [](auto&, auto& s) { s.local_addresses = {address("10.244.2.7")}; }, Verdict::local,
     "own address", "delivered on this host", ""},
    {"LocalRouteIsLocal", [](auto&, auto& s) { s.kernel_route->type = RouteType::local; }, Verdict::local,
     "own address", "delivered on this host", ""},
    {"MulticastPasses", [](auto& r, auto&) { r.destination = address("224.0.0.5"); }, Verdict::pass, "kind",
     "multicast is never steered", "eth0"},
    {"BroadcastPasses", [](auto& r, auto&) { r.destination = address("255.255.255.255"); }, Verdict::pass,
     "kind", "broadcast is never steered", "eth0"},
    {"LinkLocalPasses", [](auto& r, auto&) { r.destination = address("fe80::1"); }, Verdict::pass, "kind",
     "link-local is never steered", "eth0"},
    {"NoRouteDropsForAPeer", [](auto&, auto& s) { s.kernel_route.reset(); }, Verdict::drop, "route",
     "no route", ""},
    {"NoRouteToAStrangerIsNotOurDoing",
     [](auto&, auto& s) {
         s.kernel_route.reset();
         s.kernel_device.clear();
         s.routes.clear();
     },
     Verdict::pass, "route", "not steered; the kernel itself has no route to it", ""},
    {"BlackholeDrops", [](auto&, auto& s) { s.kernel_route->type = RouteType::blackhole; }, Verdict::drop,
     "route", "blackhole route", ""},
    {"UnreachableDrops", [](auto&, auto& s) { s.kernel_route->type = RouteType::unreachable; }, Verdict::drop,
     "route", "unreachable route", ""},
    {"DeviceWithoutProgramPasses",
     [](auto&, auto& s) { s.kernel_route->ifindex = 9, s.kernel_device = "cni0"; }, Verdict::pass, "hook",
     "cni0 is not an uplink", "cni0"},
    {"IngressProgramIsNoEgressProgram",
     [](auto&, auto& s) { s.attachments[0].hook = Attachment::Hook::tc_ingress; }, Verdict::pass, "hook",
     "eth0 is not an uplink", "eth0"},
    {"OuterMarkPasses", [](auto& r, auto&) { r.mark = 0x30; }, Verdict::pass, "mark",
     "carries the mark of outer packets", "eth0"},
    {"OtherMarkIsSteered", [](auto& r, auto&) { r.mark = 0x20; }, Verdict::steer, "redirect", "", "wglan0"},
    {"MarkMeansNothingWhenNoneIsSet", [](auto&, auto& s) { s.config.firewall_mark = 0; }, Verdict::steer,
     "redirect", "", "wglan0"},
    {"OuterPacketPasses", outer_packet, Verdict::pass, "outer packet", "WireGuard's own packet", "eth0"},
    {"OtherSourcePortIsNoOuterPacket", [](auto& r, auto& s) { outer_packet(r, s), r.source_port = 4000; },
     Verdict::steer, "redirect", "", "wglan0"},
    {"OtherDestinationPortIsNoOuterPacket",
     [](auto& r, auto& s) { outer_packet(r, s), r.destination_port = 4000; }, Verdict::steer, "redirect", "",
     "wglan0"},
    {"TcpIsNoOuterPacket", [](auto& r, auto& s) { outer_packet(r, s), r.protocol = IPPROTO_TCP; },
     Verdict::steer, "redirect", "", "wglan0"},
    {"AlwaysReachPasses", reach, Verdict::pass, "always reach", "listed in steering.alwaysReach", "eth0"},
    {"ApiServerPassesWhileItsPeerIsNotUp",
     [](auto& r, auto& s) {
         reach(r, s);
         set_peer(s, PeerState::down);
         s.api_servers = {{endpoint("10.244.2.7:6443"), false}};
     },
     Verdict::pass, "always reach", "an API server, reached past the tunnel while that is down", "eth0"},
    {"ApiServerGoesByATunnelThatIsUp",
     [](auto& r, auto& s) {
         reach(r, s);
         s.endpoints.clear();
         s.api_servers = {{endpoint("10.244.2.7:6443"), true}};
     },
     Verdict::steer, "redirect", "", "wglan0"},
    {"AnswerOfWhatIsAlwaysReachedPasses",
     [](auto& r, auto& s) {
         set_peer(s, PeerState::down);
         s.peers.begin()->second.when_down = Fallback::drop;
         s.endpoints = {{SteerEndpoint::Kind::serve, endpoint("192.0.2.1:6443"), IPPROTO_TCP}};
         r.source = address("192.0.2.1");
         r.source_port = 6443;
         r.protocol = IPPROTO_TCP;
     },
     Verdict::pass, "peer", "an answer from what others always reach here", "eth0"},
    {"OtherPortIsNotAlwaysReach", [](auto& r, auto& s) { reach(r, s), r.destination_port = 443; },
     Verdict::steer, "redirect", "", "wglan0"},
    {"OtherProtocolIsNotAlwaysReach", [](auto& r, auto& s) { reach(r, s), r.protocol = IPPROTO_UDP; },
     Verdict::steer, "redirect", "", "wglan0"},
    {"NoSteeredPrefixPasses", [](auto& r, auto&) { r.destination = address("198.51.100.1"); }, Verdict::pass,
     "prefix", "no steered prefix", "eth0"},
    {"ExcludedPrefixPasses",
     [](auto&, auto& s) {
         s.routes[prefix("10.244.2.7/32")] = {prefix("10.244.2.7/32"), SteerAction::pass, 0, 0};
     },
     Verdict::pass, "action", "10.244.2.7/32 is excluded from steering", "eth0"},
    {"TunnelsOfTheCniPass",
     [](auto& r, auto& s) {
         r.destination = address("10.244.2.7"), r.protocol = 4;
         s.endpoints.push_back({SteerEndpoint::Kind::reach, {r.destination, 0}, 4});
         s.left_to_cni[prefix("10.244.2.0/24")] = "via 192.0.2.2 dev tunl0";
     },
     Verdict::pass, "always reach", "the CNI's own packet, or as one", "eth0"},
    {"PodsLeftToTheCniPass",
     [](auto&, auto& s) {
         s.routes[prefix("10.244.2.0/24")] = {prefix("10.244.2.0/24"), SteerAction::pass, 0, 0};
         s.left_to_cni[prefix("10.244.2.0/24")] = "via 192.0.2.2 dev eth0";
     },
     Verdict::pass, "action", "left to the CNI, whose route leads on", "eth0"},
    {"DropPrefixDrops",
     [](auto&, auto& s) {
         s.routes[prefix("10.244.2.0/28")] = {prefix("10.244.2.0/28"), SteerAction::drop, 0, 0};
     },
     Verdict::drop, "action", "10.244.2.0/28 is to be dropped", ""},
    {"UnknownPeerBypasses", [](auto&, auto& s) { set_peer(s, PeerState::unknown); }, Verdict::pass, "peer",
     "node2 is unknown, peers.whenUnknown: bypass", "eth0"},
    {"UnknownPeerDrops",
     [](auto&, auto& s) { set_peer(s, PeerState::unknown), s.peers[1].when_unknown = Fallback::drop; },
     Verdict::drop, "peer", "node2 is unknown, peers.whenUnknown: drop", ""},
    {"DownPeerDrops", [](auto&, auto& s) { set_peer(s, PeerState::down); }, Verdict::drop, "peer",
     "node2 is down, peers.whenDown: drop", ""},
    {"DownPeerBypasses",
     [](auto&, auto& s) { set_peer(s, PeerState::down), s.peers[1].when_down = Fallback::bypass; },
     Verdict::pass, "peer", "node2 is down, peers.whenDown: bypass", "eth0"},
    {"QuarantinedPeerDrops",
     [](auto&, auto& s) { set_peer(s, PeerState::quarantined), s.peers[1].when_down = Fallback::bypass; },
     Verdict::drop, "peer", "the peer is quarantined", ""},
    {"PrefixWithoutPeerDrops", [](auto&, auto& s) { s.peers.clear(); }, Verdict::drop, "peer",
     "the prefix's peer is not in the peers table", ""},
    {"NoInterfaceDrops", [](auto&, auto& s) { s.config.interface_ifindex = 0; }, Verdict::drop, "interface",
     "wglan0 does not exist, peers.whenDown: drop", ""},
    {"NoInterfaceBypasses",
     [](auto&, auto& s) { s.config.interface_ifindex = 0, s.peers[1].when_down = Fallback::bypass; },
     Verdict::pass, "interface", "wglan0 does not exist, peers.whenDown: bypass", "eth0"},
    {"BroadcastOfANetworkPasses",
     [](auto&, auto& s) {
         s.kernel_route->type = RouteType::other;
         s.kernel_route->ifindex = 0;
         s.kernel_device.clear();
     },
     Verdict::pass, "route", "broadcast is never steered", ""},
    {"ReservedAddressPasses", [](auto& r, auto&) { r.destination = address("240.0.0.1"); }, Verdict::pass,
     "kind", "reserved is never steered", "eth0"},
    {"OuterPacketRoutedIntoTunnelDrops", [](auto& r, auto& s) { outer_packet(r, s), by_tunnel_route(s); },
     Verdict::drop, "outer packet", "tunnel in tunnel", ""},
    {"MarkedPacketRoutedIntoTunnelSteers", [](auto& r, auto& s) { r.mark = 0x10, by_tunnel_route(s); },
     Verdict::steer, "peer", "", "wglan0"},
    {"RouteIntoTunnelSteers", [](auto&, auto& s) { by_tunnel_route(s); }, Verdict::steer, "peer", "",
     "wglan0"},
    {"RouteIntoTunnelSteersEvenWhenDown",
     [](auto&, auto& s) { by_tunnel_route(s), set_peer(s, PeerState::down); }, Verdict::steer, "peer", "",
     "wglan0"},
    {"RouteIntoTunnelWithoutPeerDrops", [](auto&, auto& s) { by_tunnel_route(s), s.routes.clear(); },
     Verdict::drop, "peer", "no peer has this address", ""},
    {"RouteIntoTunnelToQuarantinedPeerDrops",
     [](auto&, auto& s) { by_tunnel_route(s), set_peer(s, PeerState::quarantined); }, Verdict::drop, "peer",
     "the peer is quarantined", ""},
};

class ExplainTable : public testing::TestWithParam<Case> {};

TEST_P(ExplainTable, Verdict) {
    const Case& row = GetParam();
    auto request = to("10.244.2.7");
    auto state = base_state();
    row.change(request, state);
    auto answer = explain(request, state);
    EXPECT_EQ(answer.verdict, row.verdict);
    ASSERT_FALSE(answer.steps.empty());
    EXPECT_EQ(answer.steps.back().step, row.last_step);
    EXPECT_EQ(answer.steps.back().result, row.verdict);
    EXPECT_EQ(answer.reason, row.reason);
    EXPECT_EQ(answer.via, row.via);
    for (std::size_t i = 0; i + 1 < answer.steps.size(); ++i) EXPECT_FALSE(answer.steps[i].result) << i;
    for (const auto& step : answer.steps) EXPECT_FALSE(step.detail.empty()) << step.step;
}

INSTANTIATE_TEST_SUITE_P(Cases, ExplainTable, testing::ValuesIn(kCases),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(Explain, NamesStepsInThePacketsOrder) {
    auto answer = explain(to("10.244.2.7"), base_state());
    std::vector<std::string> steps;
    for (const auto& step : answer.steps) steps.push_back(step.step);
    EXPECT_EQ(steps,
              (std::vector<std::string>{"own address", "kind", "route", "hook", "mark", "outer packet",
                                        "always reach", "prefix", "action", "peer", "mtu", "redirect"}));
    EXPECT_EQ(answer.peer, "node2");
    EXPECT_EQ(answer.peer_state, PeerState::up);
}

TEST(Explain, TellsOfANextHopThatDoesNotAnswer) {
    auto state = base_state();
    state.silent_hop = address("192.0.2.77");
    const auto answer = explain(to("10.244.2.7"), state);
    EXPECT_EQ(answer.verdict, Verdict::steer) << "it may answer next time";
    const auto route = std::ranges::find(answer.steps, "route", [](const auto& step) { return step.step; });
    ASSERT_NE(route, answer.steps.end());
    EXPECT_NE(route->detail.find("192.0.2.77 didn't answer"), std::string::npos) << route->detail;
}

TEST(Explain, WhatHasNoRoomInTheTablesGoesByItsRouteAlone) {
    auto state = base_state();
    state.routes.clear();
    by_tunnel_route(state);
    EXPECT_EQ(explain(to("10.244.2.7"), state).verdict, Verdict::drop) << "nobody's";
    state.claims = {{prefix("10.0.0.0/8"), {"node3", PeerState::up}},
                    {prefix("10.244.2.0/24"), {"node2", PeerState::up}},
                    {prefix("10.244.2.8/32"), {"node4", PeerState::up}},
                    {prefix("2001:db8::/32"), {"node5", PeerState::up}}};
    const auto answer = explain(to("10.244.2.7"), state);
    EXPECT_EQ(answer.verdict, Verdict::steer);
    EXPECT_EQ(answer.peer, "node2");
    EXPECT_EQ(explain(to("10.9.0.1"), state).peer, "node3");
}

TEST(Explain, LongestPrefixWins) {
    auto state = base_state();
    SteerPeer other;
    other.id = 2;
    other.name = "node3";
    other.state = PeerState::up;
    state.peers[2] = other;
    state.routes[prefix("0.0.0.0/0")] = {prefix("0.0.0.0/0"), SteerAction::steer, 2, 0};
    state.routes[prefix("10.244.2.7/32")] = {prefix("10.244.2.7/32"), SteerAction::steer, 2, 0};
    EXPECT_EQ(explain(to("10.244.2.7"), state).peer, "node3");
    EXPECT_EQ(explain(to("10.244.2.8"), state).peer, "node2");
    EXPECT_EQ(explain(to("203.0.113.9"), state).peer, "node3");
}

TEST(Explain, FamiliesDoNotMix) {
    auto state = base_state();
    state.routes.clear();
    state.routes[prefix("0.0.0.0/0")] = {prefix("0.0.0.0/0"), SteerAction::steer, 1, 0};
    EXPECT_EQ(explain(to("2001:db8::7"), state).verdict, Verdict::pass);
    state.routes[prefix("2001:db8::/32")] = {prefix("2001:db8::/32"), SteerAction::steer, 1, 0};
    EXPECT_EQ(explain(to("2001:db8::7"), state).verdict, Verdict::steer);
}

TEST(Explain, TheRoutesMtuComesBeforeTheInterfaces) {
    auto state = base_state();
    auto mtu_detail = [&] {
        for (const auto& step : explain(to("10.244.2.7"), state).steps)
            if (step.step == "mtu") return step.detail;
        return std::string();
    };
    EXPECT_NE(mtu_detail().find("1420 bytes"), std::string::npos);
    state.routes[prefix("10.244.2.0/24")].mtu = 1340;
    EXPECT_NE(mtu_detail().find("1340 bytes"), std::string::npos);
}

TEST(Explain, TellsOfPortsThatWouldPass) {
    auto state = base_state();
    ExplainRequest request = to("10.244.2.7");
    outer_packet(request, state);
    request.source_port.reset();
    state.endpoints.push_back({SteerEndpoint::Kind::reach, endpoint("10.244.2.7:6443"), IPPROTO_TCP});
    auto answer = explain(request, state);
    EXPECT_EQ(answer.verdict, Verdict::steer);
    EXPECT_EQ(answer.steps[5].detail,
              "10.244.2.7:51820 is a peer's WireGuard endpoint: from source port 51820 it passes");
    auto bare = explain(to("10.244.2.7"), state);
    EXPECT_EQ(bare.steps[6].detail,
              "port 6443 (tcp) of this address is in steering.alwaysReach; this goes on for the others");
}

TEST(Explain, TellsOfNeighbourDiscovery) {
    auto state = base_state();
    state.routes[prefix("2001:db8::/32")] = {prefix("2001:db8::/32"), SteerAction::steer, 1, 0};
    auto request = to("2001:db8::7");
    request.protocol = IPPROTO_ICMPV6;
    auto answer = explain(request, state);
    EXPECT_EQ(answer.verdict, Verdict::steer);
    EXPECT_EQ(answer.steps[5].step, "neighbour discovery");
}

}  // namespace
}  // namespace wglan
