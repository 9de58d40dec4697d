// SPDX-License-Identifier: Apache-2.0
// Whole outputs, from the agent's views to the text that a person sees.
#include "tools/wglanctl/render/views.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "agent/control/json.h"
#include "tests/support/control/fake_control.h"

namespace wglan::ctl {
namespace {

Json status_json() { return to_json(test::sample_status(), test::kNow); }

TEST(StatusView, ShowsAllAtAGlance) {
    EXPECT_EQ(render_status(status_json(), {}),
              R"(Node        node1, agent 0.1.0 (pid 1234), up 3m12s
Interface   wglan0 200:1001::1, port 51820, MTU 1420, kernel WireGuard
Public key  AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE= (2h old)
Sources     static: synced, 1 record
            service:discovery:51821: degraded, 2 records: connection refused
Steering    eth0 tc-egress (tcx)
            wglan0 tc-egress (tcx), tc-ingress (tcx)
Prefixes    4 IPv4, 2 IPv6
Packets     12,345 steered, 99,000 passed
Dropped     6: loop 1, peer_down 5
Guard       50 handshakes a second and source, eth0 (tc): another XDP program (filter, id 9) is there
Refused     10.244.2.0/24 from node9: node2 holds it and is up
Warnings    IPv6 forwarding is off on eth0: pods of other nodes can't be reached over it
Peers       1 of 2 up, 1 down

PEER   STATE  ENDPOINT         PATH    HANDSHAKE      RTT  RECEIVED     SENT  PREFIXES                    WHY
node2  up     192.0.2.2:51820  direct  12s ago    0.42 ms   1.2 MiB  2.0 KiB  10.244.2.0/24 192.0.2.2/32  handshake 12s ago
node3  down   192.0.2.3:51820  direct  5m ago           -       0 B      0 B  10.244.3.0/24 192.0.2.3/32  no handshake since 5m0s
)");
}

TEST(StatusView, SaysWhatIsMissing) {
    StatusView view;
    view.version = "0.1.0";
    view.node.name = "node1";
    view.node.interface = "wglan0";
    view.settings.error = "config.yaml:3: peers.whenDown: accepted: drop, bypass";
    EXPECT_EQ(render_status(to_json(view, 0), {}),
              R"(Node        node1, agent 0.1.0 (pid 0), up 0s
Interface   wglan0
Public key   (0s old)
Sources     none
Steering    no programs attached
Prefixes    0 IPv4, 0 IPv6
Packets     0 steered, 0 passed
Dropped     0
Guard       off
Warnings    the configuration was refused, the old settings run on: config.yaml:3: peers.whenDown: accepted: drop, bypass
Peers       none known
)");
}

TEST(StatusView, FitsNarrowTerminals) {
    EXPECT_EQ(render_status(status_json(), {false, 60}),
              R"(Node        node1, agent 0.1.0 (pid 1234), up 3m12s
Interface   wglan0 200:1001::1, port 51820, MTU 1420, kernel
            WireGuard
Public key  AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE= (2h
            old)
Sources     static: synced, 1 record
            service:discovery:51821: degraded, 2 records:
            connection refused
Steering    eth0 tc-egress (tcx)
            wglan0 tc-egress (tcx), tc-ingress (tcx)
Prefixes    4 IPv4, 2 IPv6
Packets     12,345 steered, 99,000 passed
Dropped     6: loop 1, peer_down 5
Guard       50 handshakes a second and source, eth0 (tc):
            another XDP program (filter, id 9) is there
Refused     10.244.2.0/24 from node9: node2 holds it and is
            up
Warnings    IPv6 forwarding is off on eth0: pods of other
            nodes can't be reached over it
Peers       1 of 2 up, 1 down

PEER   STATE  ENDPOINT         HANDSHAKE      RTT
node2  up     192.0.2.2:51820  12s ago    0.42 ms
node3  down   192.0.2.3:51820  5m ago           -
)");
}

TEST(StatusView, AThousandRefusedClaimsTakeAFewLines) {
    auto view = test::sample_status();
    view.refused.resize(1008, view.refused.front());
    const std::string text = render_status(to_json(view, test::kNow), {});
    EXPECT_LT(std::count(text.begin(), text.end(), '\n'), 40);
    EXPECT_NE(text.find("\n            and 1,000 more: wglanctl routes\n"), std::string::npos) << text;
}

TEST(StatusView, ColoursStatesOnly) {
    std::string text = render_status(status_json(), {true, 0});
    EXPECT_NE(text.find("\x1b[32mup\x1b[0m"), std::string::npos);
    EXPECT_NE(text.find("\x1b[31mdown\x1b[0m"), std::string::npos);
    EXPECT_EQ(render_status(status_json(), {}).find('\x1b'), std::string::npos);
}

TEST(PeersView, NamesOfOtherNodesCannotSteerTheTerminal) {
    auto view = test::sample_status();
    view.peers[0].name = "evil\x1b]0;x\x07";
    view.peers[0].reason = "\u202ereversed\r";
    auto json = to_json(view, test::kNow);
    for (const std::string& text :
         {render_peers(json, {}), render_peer(json["peers"][0], {}), render_status(json, {})}) {
        EXPECT_EQ(text.find_first_of("\x1b\x07\r"), std::string::npos) << text;
        EXPECT_NE(text.find("evil\\x1b]0;x\\x07"), std::string::npos) << text;
        EXPECT_NE(text.find("\\u202ereversed\\x0d"), std::string::npos) << text;
    }
}

TEST(PeersView, SaysThatThereAreNone) {
    EXPECT_EQ(render_peers(Json::parse(R"({"peers":[]})"), {}), "No peers are known.\n");
}

TEST(PeerView, ShowsAllThereIsOfAPeerThatIsUp) {
    EXPECT_EQ(render_peer(status_json()["peers"][0], {}),
              R"(Peer        node2
State       up: handshake 12s ago
Public key  AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=
Address     200:1001::2
Endpoint    192.0.2.2:51820, direct, changed 1 time
Handshake   12s ago (2027-01-15T07:59:48Z)
RTT         0.42 ms, at least 0.31 ms, 6 % of the last probes lost
Traffic     1.2 MiB received, 2.0 KiB sent
Sources     service:discovery:51821, cache

  CANDIDATE            SOURCE     LAST RESULT  SCORE      RTT  NEXT TRY
  192.0.2.2:51820      roamed     handshake        1  0.42 ms  if needed
  node2.example:51820  announced  not tried        -        -  in 5s

  PREFIX         CLASS  SOURCE
  10.244.2.0/24  pod    service:discovery:51821
  192.0.2.2/32   node   service:discovery:51821
)");
}

TEST(PeersView, OnAnUsualTerminalSaysWhyOneIsDown) {
    EXPECT_EQ(render_peers(status_json(), {false, 80}),
              R"(PEER   STATE  ENDPOINT         HANDSHAKE      RTT  WHY
node2  up     192.0.2.2:51820  12s ago    0.42 ms  handshake 12s ago
node3  down   192.0.2.3:51820  5m ago           -  no handshake since 5m0s
)");
}

TEST(PeersView, AThousandPrefixesTakeNoMoreRoomThanThree) {
    auto json = status_json();
    json["peers"][0]["prefixes"] = Json::array();
    for (int i = 0; i < 1000; ++i)
        json["peers"][0]["prefixes"].push_back("10." + std::to_string(i / 256) + "." +
                                               std::to_string(i % 256) + ".0/24");
    for (const std::string& text : {render_peers(json, {}), render_status(json, {})})
        EXPECT_NE(text.find("  10.0.0.0/24 10.0.1.0/24 10.0.2.0/24 +997 more  "), std::string::npos) << text;
}

TEST(PeerView, CandidatesOfOneThatIsSearchedSayWhenTheirTurnIs) {
    auto peer = status_json()["peers"][1];
    peer["candidates"] = Json::parse(
        R"j([{"endpoint":"192.0.2.3:51820","source":"announced","result":"no answer (1 try)","score":36.0},
            {"endpoint":"192.0.2.9:51820","source":"peers","result":"being tried","score":22.0},
            {"endpoint":"192.0.2.8:51820","source":"observed","result":"not tried","score":20.0,"nextTrySeconds":4}])j");
    const std::string text = render_peer(peer, {false, 80});
    EXPECT_NE(text.find(R"t(  CANDIDATE        SOURCE     LAST RESULT        SCORE  RTT  NEXT TRY
  192.0.2.3:51820  announced  no answer (1 try)     36    -  next round
  192.0.2.9:51820  peers      being tried           22    -  now
  192.0.2.8:51820  observed   not tried             20    -  in 4s
)t"),
              std::string::npos)
        << text;
}

TEST(PeerView, ShowsWhenOneThatIsDownIsTriedAgain) {
    std::string text = render_peer(status_json()["peers"][1], {});
    EXPECT_NE(text.find("State       down: no handshake since 5m0s\n"), std::string::npos) << text;
    EXPECT_NE(text.find("Next try    in 4s\n"), std::string::npos) << text;
    EXPECT_EQ(text.find("Relay"), std::string::npos) << text;
    auto peer = status_json()["peers"][1];
    peer["needsRelay"] = true;
    text = render_peer(peer, {});
    EXPECT_NE(text.find("Relay       needed: no direct path was found\n"), std::string::npos) << text;
}

TEST(RoutesView, ShowsPrefixesAndRefusedClaims) {
    EXPECT_EQ(
        render_routes(to_json(test::sample_routes()), {}),
        R"(PREFIX              PEER   ACTION     HITS   MTU  CLASS  SOURCE                   KERNEL ROUTE
10.244.2.0/24       node2  steer   1234567  1420  pod    service:discovery:51821  via 192.0.2.2 dev eth0; ours behind it
10.244.3.0/24       node3  steer         0  1420  pod    service:discovery:51821  missing
169.254.169.254/32  -      pass          -     -  -      configuration            -
192.0.2.2/32        node2  steer         7  1420  node   service:discovery:51821  dev eth0

Refused claims:
CLAIM          BY     REASON
10.244.2.0/24  node9  node2 holds it and is up
)");
    EXPECT_EQ(render_routes(to_json(RoutesView{}), {}), "No prefixes are steered.\n");
}

TEST(RoutesView, SaysWhyPodsAreSteeredOrLeft) {
    const Json routes = Json::parse(R"({"routes":[
        {"prefix":"10.244.2.0/24","peer":"node2","action":"pass","hits":0,"why":"left to the CNI: via 192.0.2.2"},
        {"prefix":"10.244.3.0/24","peer":"node3","action":"steer","hits":0,"why":"\u001b[2Jblackhole"},
        {"prefix":"192.0.2.2/32","peer":"node2","action":"steer","hits":0}],"refused":[]})");
    const std::string text = render_routes(routes, {});
    const auto at = text.find("\nPODS ");
    ASSERT_NE(at, std::string::npos) << text;
    EXPECT_EQ(text.find('\033'), std::string::npos) << "what others said reaches no terminal";
    EXPECT_NE(text.find("10.244.2.0/24  left to the CNI: via 192.0.2.2\n", at), std::string::npos) << text;
    EXPECT_EQ(text.find("192.0.2.2/32", at), std::string::npos) << text;
}

std::string explained(const char* destination, const Style& style = {}, PeerState state = PeerState::up) {
    test::FakeControl fake;
    fake.explain_state.peers[1].state = state;
    ExplainRequest request;
    request.destination = test::address(destination);
    return render_explanation(to_json(request, *fake.explain(request)), style);
}

TEST(ExplanationView, NumbersStepsAndEndsWithTheVerdict) {
    EXPECT_EQ(explained("10.244.2.7"),
              R"( 1. own address   the destination is not an address of this host
 2. kind          unicast of more than link scope
 3. route         the kernel's route is 0.0.0.0/0 via 192.0.2.254 dev eth0
 4. hook          the steering program stands at eth0 egress (tcx)
 5. mark          0x0 is not that of WireGuard's own packets (0x10/0x10)
 6. outer packet  not UDP to a peer's WireGuard endpoint
 7. always reach  not in steering.alwaysReach
 8. prefix        longest match is 10.244.2.0/24
 9. action        steer
10. peer          node2 is up
11. mtu           packets up to 1420 bytes go on; larger ones are answered with packet-too-big
12. redirect      into wglan0 for node2
verdict: steer via wglan0 to node2 (up)
)");
}

TEST(ExplanationView, VerdictsSayWhy) {
    auto last_line = [](const std::string& text) { return text.substr(text.rfind("verdict")); };
    EXPECT_EQ(last_line(explained("198.51.100.1")), "verdict: pass via eth0: no steered prefix\n");
    EXPECT_EQ(last_line(explained("192.0.2.1")), "verdict: local: delivered on this host\n");
    EXPECT_EQ(last_line(explained("10.244.2.7", {}, PeerState::down)),
              "verdict: drop: node2 is down, peers.whenDown: drop\n");
}

TEST(ExplanationView, TellsOfPodsPastTheStack) {
    test::FakeControl fake;
    fake.explain_state.routes.begin()->second.pods = true;
    PodSide& side = fake.explain_state.pod_side.emplace();
    side.own = {Prefix::parse("10.244.1.0/24").value()};
    side.device = "veth1";
    side.entry = PodDevice{7, "", PodDevice::Kind::peer, {}};
    side.said = PodProgramSaid{Verdict::steer, false};
    ExplainRequest request;
    request.destination = test::address("10.244.2.7");
    request.source = test::address("10.244.1.5");
    EXPECT_EQ(
        render_explanation(to_json(request, *fake.explain(request)), {}),
        R"( 1. pod device   10.244.1.5 is behind veth1: wglan_pod_in judges what it sends before the host's stack
 2. pod prefix   longest match is 10.244.2.0/24, pods of node2
 3. pod source   the source is in 10.244.1.0/24, pods of this node
 4. pod packet   taken for TCP, UDP or an echo; all else goes to the host's stack
 5. pod flow     not judged without protocol and both ports: a flow that conntrack knows goes to the host's stack
 6. pod peer     node2 is up
 7. pod mtu      packets up to 1420 bytes go on; larger ones are answered with packet-too-big
 8. direct       past the host's stack into wglan0 for node2
 9. pod program  the loaded program, run on such a packet from veth1, says steer
verdict: steer via wglan0 to node2 (up), past the host's stack
)");
}

TEST(ExplanationView, WrapsOnNarrowTerminals) {
    EXPECT_EQ(explained("192.0.2.1", {false, 45}),
              " 1. own address  the destination is an\n"
              "                 address of this host\n"
              "verdict: local: delivered on this host\n");
}

TEST(RecordView, ShowsWhatIsPublished) {
    EXPECT_EQ(render_record(to_json(*test::FakeControl().record()), {}),
              R"(Name            node1
Public key      AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=
Identity        CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk
Address         200:1001::1
Endpoints       192.0.2.1:51820, [2001:db8::1]:51820
Node addresses  192.0.2.1, 2001:db8::1
Pod prefixes    10.244.1.0/24, fd00:244:1::/64
Other prefixes  none
Labels          zone=fra1
Sequence        7
Issued          2027-01-15T07:58:20Z
Published to    service:discovery:51821
)");
}

TEST(KeysView, ShowsPublicKeysAlone) {
    EXPECT_EQ(render_keys(to_json(test::FakeControl().keys()), {}),
              R"(Public key     AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=
Age            2h (made 2027-01-15T06:00:00Z)
Key file       /var/lib/wglan/private.key
Identity       CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk
Identity file  /var/lib/wglan/identity.key
)");
}

TEST(Views, AnswersOfAnotherShapeDoNoHarm) {
    for (auto text :
         {"{}", "[]", "null", "7", R"({"peers":[null,1,{"name":7,"prefixes":{}}],"steering":[],"node":3})",
          R"({"routes":[{}],"refused":[{}],"steps":[{}],"labels":[]})"}) {
        Json json = Json::parse(text);
        for (auto render : {render_status, render_peers, render_peer, render_routes, render_explanation,
                            render_record, render_keys}) {
            EXPECT_FALSE(render(json, {}).empty());
            EXPECT_FALSE(render(json, {true, 20}).empty());
        }
    }
}

TEST(EventView, IsALineForEachEvent) {
    MonitorEvent event = test::sample_drop();
    EXPECT_EQ(
        render_event(Json{{"type", "start"}}, {}),
        "TIME (UTC)       EVENT      WHAT                  PROTO   SOURCE -> DESTINATION                   "
        "       PEER             DEVICE\n");
    EXPECT_EQ(
        render_event(to_json(event), {}),
        "08:00:00.250000  drop       peer_down             tcp     10.244.1.5:40000 -> 10.244.3.7:80       "
        "       node3            eth0\n");
    EXPECT_EQ(render_event(to_json(event), {true, 0}).substr(0, 2), "\x1b[");
    event.packet.kind = PacketEvent::Kind::too_big;
    event.packet.length = 1500;
    event.packet.value = 1420;
    event.packet.protocol = 17;
    event.packet.source = test::address("fd00:244:1::5");
    event.packet.destination = test::address("fd00:244:2::7");
    event.peer.clear();
    EXPECT_EQ(render_event(to_json(event), {}),
              "08:00:00.250000  too_big    1500 B > MTU 1420     udp     [fd00:244:1::5]:40000 -> "
              "[fd00:244:2::7]:80    -                eth0\n");
    event.packet.kind = PacketEvent::Kind::mss_clamp;
    event.packet.before = 1460;
    event.packet.value = 1380;
    EXPECT_NE(render_event(to_json(event), {}).find("  MSS 1460 -> 1380  "), std::string::npos);
    event.packet.kind = PacketEvent::Kind::flow;
    event.packet.value = 1;
    event.packet.source_port = event.packet.destination_port = 0;
    EXPECT_NE(render_event(to_json(event), {}).find("  1500 B  "), std::string::npos);
    EXPECT_NE(render_event(to_json(event), {}).find("  fd00:244:1::5 -> fd00:244:2::7  "), std::string::npos);
    event.packet.value = 12;
    EXPECT_NE(render_event(to_json(event), {}).find("  1 of 12, 1500 B  "), std::string::npos);
}

TEST(EventView, ChangesOfPeersAreTold) {
    const Json event = Json::parse(R"({"time":"1970-01-01T00:00:01.000001Z","type":"endpoint","peer":"node2",
        "before":"192.0.2.2:1","after":"192.0.2.9:1","reason":"its packets come from there"})");
    EXPECT_EQ(
        render_event(event, {}),
        "00:00:01.000001  endpoint   node2: 192.0.2.2:1 -> 192.0.2.9:1 (its packets come from there)\n");
}

TEST(EventView, LossesAreTold) {
    EXPECT_EQ(render_event(loss_json(1, MonitorLoss::rate, 1'000'000), {}),
              "00:00:01.000000  1 event lost: more came at once than are reported\n");
    EXPECT_EQ(render_event(loss_json(1234, MonitorLoss::reader, 1'000'000), {}),
              "00:00:01.000000  1,234 events lost: this terminal or pipe didn't take them in time\n");
}

TEST(EventView, ForeignNamesStayInTheirCell) {
    MonitorEvent event = test::sample_drop();
    event.peer = "no\x1b[2Jde\n";
    const std::string line = render_event(to_json(event), {});
    EXPECT_EQ(line.find('\x1b'), std::string::npos);
    EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
    EXPECT_FALSE(render_event(Json{{"type", 7}, {"time", "x"}}, {}).empty());
}

}  // namespace
}  // namespace wglan::ctl
