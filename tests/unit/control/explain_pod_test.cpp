// SPDX-License-Identifier: Apache-2.0
// podDatapath: direct, as explained: before the host's stack, or past it.
#include "agent/control/explain_pod.h"

#include <netinet/in.h>

#include <algorithm>
#include <functional>

#include <gtest/gtest.h>

#include "tests/support/control/fake_control.h"

namespace wglan {
namespace {

using test::address;
using test::prefix;

// From 10.244.1.5, a pod behind veth1, to 10.244.2.7, one of node2's.
ExplainRequest base_request() {
    ExplainRequest request;
    request.destination = address("10.244.2.7");
    request.source = address("10.244.1.5");
    return request;
}

ExplainState base_state() {
    ExplainState state = test::FakeControl().explain_state;
    state.routes[prefix("10.244.2.0/24")].pods = true;
    PodSide& side = state.pod_side.emplace();
    side.own = {prefix("10.244.1.0/24"), prefix("fd00:244:1::/64")};
    side.device = "veth1";
    side.entry = PodDevice{7, "", PodDevice::Kind::peer, {}};
    side.said = PodProgramSaid{Verdict::steer, false};
    return state;
}

void tcp(ExplainRequest& request) {
    request.protocol = IPPROTO_TCP;
    request.source_port = 40000;
    request.destination_port = 80;
}

void passes(ExplainState& state, bool known = false) {
    state.pod_side->said = PodProgramSaid{Verdict::pass, known};
}

std::string detail_of(const Explanation& answer, const std::string& step) {
    std::string found;
    for (const ExplainStep& one : answer.steps)
        if (one.step == step) found += one.detail;
    return found;
}

struct Decided {
    const char* name;
    std::function<void(ExplainRequest&, ExplainState&)> change;
    Verdict verdict;
    const char* step;  // that decides, before the program confirms it
    const char* reason;
};

void down(ExplainState& state, PeerState peer, Verdict said) {
    state.peers[1].state = peer;
    state.pod_side->said->verdict = said;
}

const Decided kDecided[] = {
    {"SteersWhatIsNotGivenAsAnEcho", [](auto&, auto&) {}, Verdict::steer, "direct", ""},
    {"SteersAFlowThatConntrackDoesNotKnow", [](auto& r, auto&) { tcp(r); }, Verdict::steer, "direct", ""},
    {"SteersAnEcho", [](auto& r, auto&) { r.protocol = IPPROTO_ICMP; }, Verdict::steer, "direct", ""},
    {"SteersWithoutARouteOfTheHost", [](auto&, auto& s) { s.kernel_route.reset(); }, Verdict::steer, "direct",
     ""},
    {"DropsForAPeerThatIsDown", [](auto&, auto& s) { down(s, PeerState::down, Verdict::drop); },
     Verdict::drop, "pod peer", "node2 is down, peers.whenDown: drop"},
    {"DropsForAQuarantinedPeer", [](auto&, auto& s) { down(s, PeerState::quarantined, Verdict::drop); },
     Verdict::drop, "pod peer", "the peer is quarantined"},
    {"DropsWithoutAnInterface",
     [](auto&, auto& s) { s.config.interface_ifindex = 0, s.pod_side->said->verdict = Verdict::drop; },
     Verdict::drop, "pod interface", "wglan0 does not exist, peers.whenDown: drop"},
    {"DropsWithoutAPeer", [](auto&, auto& s) { s.peers.clear(), s.pod_side->said->verdict = Verdict::drop; },
     Verdict::drop, "pod peer", "the prefix's peer is not in the peers table"},
};

class ExplainDirect : public testing::TestWithParam<Decided> {};

TEST_P(ExplainDirect, Decides) {
    auto request = base_request();
    auto state = base_state();
    GetParam().change(request, state);
    const auto answer = explain(request, state);
    EXPECT_EQ(answer.verdict, GetParam().verdict);
    EXPECT_EQ(answer.direct, GetParam().verdict == Verdict::steer);
    EXPECT_EQ(answer.via, answer.direct ? "wglan0" : "");
    EXPECT_EQ(answer.reason, GetParam().reason);
    EXPECT_FALSE(answer.at_uplink);
    ASSERT_GE(answer.steps.size(), 3U);
    EXPECT_EQ(answer.steps.front().step, "pod device");
    EXPECT_EQ(answer.steps.back().step, "pod program");
    EXPECT_EQ(answer.steps.back().result, GetParam().verdict);
    const auto& deciding = *std::prev(answer.steps.end(), 2);
    EXPECT_EQ(deciding.step, GetParam().step);
    EXPECT_EQ(deciding.result, GetParam().verdict);
}

INSTANTIATE_TEST_SUITE_P(Cases, ExplainDirect, testing::ValuesIn(kDecided),
                         [](const auto& row) { return std::string(row.param.name); });

struct Left {
    const char* name;
    std::function<void(ExplainRequest&, ExplainState&)> change;
    const char* step;  // the last that the tables say
    const char* reason;
    Verdict verdict;  // of the host's stack and the uplink
};

const Left kLeft[] = {
    {"AStrangersAddress", [](auto& r, auto&) { r.destination = address("198.51.100.1"); }, "pod prefix",
     "no steered prefix", Verdict::pass},
    {"AnAddressOfThisHost", [](auto& r, auto&) { r.destination = address("192.0.2.1"); }, "pod prefix",
     "no steered prefix", Verdict::local},
    {"AnExcludedPrefix",
     [](auto&, auto& s) {
         s.routes[prefix("10.244.2.7/32")] = {prefix("10.244.2.7/32"), SteerAction::pass, 0, 0};
     },
     "pod prefix", "10.244.2.7/32 is excluded from steering", Verdict::pass},
    {"WhatIsToBeDropped",
     [](auto&, auto& s) { s.routes[prefix("10.244.2.0/24")].action = SteerAction::drop; }, "pod prefix",
     "10.244.2.0/24 is to be dropped, which uplinks do", Verdict::drop},
    {"WhatIsLeftToTheCni",
     [](auto&, auto& s) {
         s.routes[prefix("10.244.2.0/24")].action = SteerAction::pass;
         s.left_to_cni[prefix("10.244.2.0/24")] = "via 192.0.2.2 dev eth0";
     },
     "pod prefix", "left to the CNI, whose route leads on", Verdict::pass},
    {"APeersNode", [](auto&, auto& s) { s.routes[prefix("10.244.2.0/24")].pods = false; }, "pod prefix",
     "no pod of a peer", Verdict::steer},
    {"ASourceThatIsNoPod", [](auto& r, auto&) { r.source = address("10.9.0.1"); }, "pod source",
     "the source is no pod's", Verdict::steer},
    {"AnotherProtocol", [](auto& r, auto&) { r.protocol = IPPROTO_SCTP; }, "pod packet",
     "neither TCP, UDP nor an echo", Verdict::steer},
    {"AnEchoOfTheOtherFamily", [](auto& r, auto&) { r.protocol = IPPROTO_ICMPV6; }, "pod packet",
     "neither TCP, UDP nor an echo", Verdict::steer},
    {"AFlowThatConntrackKnows", [](auto& r, auto& s) { tcp(r), s.pod_side->said->known = true; }, "pod flow",
     "conntrack knows the flow", Verdict::steer},
    {"APeerThatMayBeBypassed",
     [](auto&, auto& s) { s.peers[1].state = PeerState::down, s.peers[1].when_down = Fallback::bypass; },
     "pod peer", "node2 is down, peers.whenDown: bypass", Verdict::pass},
};

class ExplainLeft : public testing::TestWithParam<Left> {};

TEST_P(ExplainLeft, GoesOnInTheHostsStack) {
    auto request = base_request();
    auto state = base_state();
    passes(state);
    GetParam().change(request, state);
    const auto answer = explain(request, state);
    EXPECT_FALSE(answer.direct);
    EXPECT_EQ(answer.verdict, GetParam().verdict);
    const auto stack = std::ranges::find(answer.steps, "stack", &ExplainStep::step);
    ASSERT_NE(stack, answer.steps.end());
    EXPECT_EQ(stack->detail, std::string("left to the host's stack: ") + GetParam().reason);
    EXPECT_EQ(std::prev(stack)->step, "pod program");
    EXPECT_EQ(std::prev(stack, 2)->step, GetParam().step);
    EXPECT_EQ(std::next(stack)->step, "own address");
    for (auto step = answer.steps.begin(); step != std::next(stack); ++step) EXPECT_FALSE(step->result);
    EXPECT_EQ(answer.steps.back().result, GetParam().verdict);
}

INSTANTIATE_TEST_SUITE_P(Cases, ExplainLeft, testing::ValuesIn(kLeft),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(ExplainPod, NamesStepsInTheProgramsOrder) {
    auto request = base_request();
    tcp(request);
    const auto answer = explain(request, base_state());
    std::vector<std::string> steps;
    for (const auto& step : answer.steps) steps.push_back(step.step);
    EXPECT_EQ(steps, (std::vector<std::string>{"pod device", "pod prefix", "pod source", "pod packet",
                                               "pod flow", "pod peer", "pod mtu", "direct", "pod program"}));
    EXPECT_EQ(answer.peer, "node2");
    EXPECT_EQ(answer.peer_state, PeerState::up);
}

TEST(ExplainPod, OtherSourcesGoByTheHostsStack) {
    auto state = base_state();
    state.pod_side->entry.reset();
    state.pod_side->said.reset();
    state.pod_side->device = "eth1";
    auto answer = explain(base_request(), state);
    EXPECT_EQ(answer.verdict, Verdict::steer);
    EXPECT_FALSE(answer.direct);
    EXPECT_NE(detail_of(answer, "pod device").find("behind eth1, which is no device towards pods"),
              std::string::npos);
    EXPECT_EQ(answer.steps[1].step, "own address");
    state.pod_side->device.clear();
    answer = explain(base_request(), state);
    EXPECT_NE(detail_of(answer, "pod device").find("no route to 10.244.1.5"), std::string::npos);
    EXPECT_EQ(answer.steps[1].step, "own address");
    state.pod_side.reset();
    EXPECT_EQ(explain(base_request(), state).steps[0].step, "own address");
}

TEST(ExplainPod, NamesTheBridgesPort) {
    auto state = base_state();
    state.pod_side->device = "cni0";
    state.pod_side->port = "veth7";
    const auto answer = explain(base_request(), state);
    EXPECT_NE(detail_of(answer, "pod device").find("behind cni0, whose port veth7"), std::string::npos);
    EXPECT_NE(detail_of(answer, "pod program").find("from veth7"), std::string::npos);
}

TEST(ExplainPod, TheProgramHasTheLastWord) {
    auto state = base_state();
    passes(state);
    auto answer = explain(base_request(), state);
    EXPECT_FALSE(answer.direct);
    EXPECT_NE(detail_of(answer, "pod program").find("says pass, other than the tables"), std::string::npos);
    EXPECT_EQ(answer.steps.back().step, "redirect");
    state.pod_side->said->verdict = Verdict::drop;
    answer = explain(base_request(), state);
    EXPECT_EQ(answer.verdict, Verdict::drop);
    EXPECT_EQ(answer.reason, "the loaded program decides otherwise than the tables say");
    EXPECT_EQ(answer.via, "");
}

TEST(ExplainPod, WithoutAReplayTheTablesDecide) {
    auto request = base_request();
    tcp(request);
    auto state = base_state();
    state.pod_side->said.reset();
    state.pod_side->not_replayed = "no test runs here";
    const auto answer = explain(request, state);
    EXPECT_TRUE(answer.direct);
    EXPECT_EQ(answer.steps.back().detail, "not replayed: no test runs here");
    EXPECT_NE(detail_of(answer, "pod flow").find("not judged"), std::string::npos);
}

TEST(ExplainPod, TheKernelsRefusalIsTold) {
    auto state = base_state();
    passes(state);
    state.kernel_route.reset();
    state.route_refused = "look up the route to 198.51.100.1: Invalid cross-device link (EXDEV)";
    auto request = base_request();
    request.destination = address("198.51.100.1");
    const auto answer = explain(request, state);
    EXPECT_EQ(answer.verdict, Verdict::pass);
    EXPECT_NE(answer.steps.back().detail.find("(EXDEV)"), std::string::npos);
}

}  // namespace
}  // namespace wglan
