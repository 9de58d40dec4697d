// SPDX-License-Identifier: Apache-2.0
#include "agent/app/desired.h"

#include <linux/rtnetlink.h>

#include <gtest/gtest.h>

#include "agent/app/own_record.h"
#include "agent/app/ownership_json.h"
#include "tests/support/samples.h"

namespace wglan {
namespace {

using namespace samples;

class DesiredTest : public testing::Test {
protected:
    DesiredTest() {
        facts.uplinks = {{2, "eth0"}};
        facts.node_addresses = {ip("192.0.2.1"), ip("2001:db8::1")};
        facts.all_addresses = {ip("127.0.0.1"), ip("192.0.2.1"), ip("2001:db8::1"), ip("fe80::1")};
        facts.gateways = {ip("192.0.2.254")};
        Peer peer;
        peer.name = "node2";
        peer.public_key = key(2);
        peer.prefixes = {{net("10.244.2.0/24"), PrefixClass::pod, "service:a"},
                         {net("192.0.2.2/32"), PrefixClass::node, "service:a"},
                         {net("200:1001::2/128"), PrefixClass::overlay, "service:a"}};
        peer.candidates = {{where("192.0.2.2:51820"), CandidateSource::announced}};
        peers = {peer};
        PeerInput input;
        input.key = key(2);
        input.candidates = {at("192.0.2.2:51820")};
        manager.set_peers({input}, SteadyTime{} + Seconds(10));
    }

    void handshake() {
        WgObservedPeer seen;
        seen.peer.key = key(2);
        seen.peer.endpoint = at("192.0.2.2:51820");
        seen.stats.last_handshake = 1000;
        manager.observe(seen, SteadyTime{} + Seconds(11), 1000);
        manager.tick(SteadyTime{} + Seconds(11), 1000);
    }

    Desired build() {
        return build_desired({config, facts, own_key, overlay, overlay_network, peers, manager, ids,
                              [](const Peer&) { return SecretFingerprint{}; },
                              [](const Peer& peer) {
                                  std::vector<Endpoint> list;
                                  for (const Candidate& c : peer.candidates)
                                      list.push_back(c.where.endpoint().value());
                                  return list;
                              },
                              depended_on,
                              [this](const Prefix& prefix) { return overridden.contains(prefix); },
                              [this](const Prefix& prefix) {
                                  const auto it = left.find(prefix);
                                  return it == left.end() ? CniShare::none : it->second;
                              },
                              api_servers,
                              [this](const Prefix& prefix) -> const Holed* {
                                  const auto it = holed.find(prefix);
                                  return it == holed.end() ? nullptr : &it->second;
                              },
                              [this](const Prefix& prefix) { return spared.contains(prefix); }});
    }

    Config config;
    HostFacts facts;
    PublicKey own_key = key(1);
    IpAddress overlay = ip("200:1001::1");
    Prefix overlay_network = net("200:1001::/64");
    std::vector<Peer> peers;
    PeerManager manager{[] { return 0.5; }};
    PeerIds ids;
    std::vector<IpAddress> depended_on;
    std::set<Prefix> overridden;
    std::map<Prefix, CniShare> left;
    std::vector<ApiServer> api_servers;
    std::map<Prefix, Holed> holed;
    std::set<Prefix> spared;
};

TEST_F(DesiredTest, OnlyPodPrefixesMayGoDirect) {
    handshake();
    peers[0].prefixes.push_back({net("10.9.0.0/16"), PrefixClass::extra, "service:a"});
    config.steering.always_reach = {};
    auto routes = build().steer_routes;
    EXPECT_TRUE(routes.at(net("10.244.2.0/24")).pods);
    for (const char* other : {"192.0.2.2/32", "200:1001::2/128", "10.9.0.0/16"})
        EXPECT_FALSE(routes.at(net(other)).pods) << other;
    config.steering.always_reach = {{at("10.244.2.7:443"), 6}};
    EXPECT_FALSE(build().steer_routes.at(net("10.244.2.0/24")).pods);
}

TEST_F(DesiredTest, DirectModeKeepsToOwnPods) {
    config.node.pod_prefixes = {{net("10.244.1.0/24"), net("fd00:244:1::/64")}};
    facts.pods.devices.emplace(10, PodDevice{10, "veth1", PodDevice::Kind::peer, {}});
    facts.pods.macs = {{2, 0, 0, 0, 0, 1}};
    EXPECT_FALSE(build().pods.direct);
    EXPECT_TRUE(build().pods.devices.empty());
    config.steering.direct = true;
    const auto desired = build();
    EXPECT_TRUE(desired.pods.direct);
    EXPECT_EQ(desired.pods.own, (std::set<Prefix>{net("10.244.1.0/24"), net("fd00:244:1::/64")}));
    EXPECT_EQ(desired.pods.devices, facts.pods.devices);
    EXPECT_EQ(desired.pods.macs, facts.pods.macs);
    // However wide a peer's prefix is, own pods are not behind it.
    EXPECT_EQ(desired.steer_routes.at(net("10.244.1.0/24")).action, SteerAction::pass);
    config.pod_networking = false;
    EXPECT_TRUE(build().pods.own.empty());
}

TEST_F(DesiredTest, ABypassedPeerHasNoRoutes) {
    EXPECT_FALSE(build().routes.contains({net("10.244.2.0/24"), RouteType::unicast}))
        << "whenUnknown: bypass";
    config.peers.when_unknown = Fallback::drop;
    EXPECT_TRUE(build().routes.contains({net("10.244.2.0/24"), RouteType::unicast}));
}

TEST_F(DesiredTest, WhatGoesToAPeerThatNeverWasUpFollowsWhenUnknown) {
    for (int i = 0; i < 600; ++i) manager.tick(SteadyTime{} + Seconds(10) + Milliseconds(100 * i), 1000);
    ASSERT_EQ(manager.state(key(2)), PeerState::down) << "to people";
    const Desired wanted = build();
    EXPECT_EQ(wanted.steer_peers.begin()->second.state, PeerState::unknown) << "to the programs";
    EXPECT_FALSE(wanted.routes.contains({net("10.244.2.0/24"), RouteType::unreachable}));
}

TEST_F(DesiredTest, APeerThatIsLookedForHasAKeepalive) {
    config.peers.keepalive_s = 0;
    EXPECT_EQ(build().peers.at(key(2)).keepalive_s, 25);
    handshake();
    EXPECT_EQ(build().peers.at(key(2)).keepalive_s, 0);
}

TEST_F(DesiredTest, SteersEveryPrefixAndRoutesAllButNodeAddresses) {
    handshake();
    const Desired wanted = build();
    EXPECT_EQ(wanted.steer_routes.at(net("10.244.2.0/24")).action, SteerAction::steer);
    EXPECT_EQ(wanted.steer_routes.at(net("192.0.2.2/32")).action, SteerAction::steer);
    EXPECT_TRUE(wanted.routes.contains({net("10.244.2.0/24"), RouteType::unicast}));
    EXPECT_TRUE(wanted.routes.contains({net("10.244.2.0/24"), RouteType::unreachable})) << "whenDown: drop";
    EXPECT_FALSE(wanted.routes.contains({net("192.0.2.2/32"), RouteType::unicast}));
    EXPECT_EQ(wanted.routes.at({net("10.244.2.0/24"), RouteType::unicast}).preferred_source, ip("192.0.2.1"));
    EXPECT_TRUE(wanted.routes.contains({overlay_network, RouteType::unicast}));
}

TEST_F(DesiredTest, OverridesARouteThatLeadsNowhereByItsHalves) {
    handshake();
    peers[0].prefixes.push_back({net("fd00:2::/64"), PrefixClass::pod, "service:a"});
    peers[0].prefixes.push_back({net("10.9.9.9/32"), PrefixClass::extra, "service:a"});
    peers[0].prefixes.push_back({net("0.0.0.0/0"), PrefixClass::extra, "static"});
    const auto halved = [&](const char* text) {
        const Desired wanted = build();
        const bool here = wanted.routes.contains({net(text), RouteType::unicast});
        EXPECT_EQ(wanted.routes.contains({net(text), RouteType::unreachable}), here) << text;
        EXPECT_TRUE(wanted.routes.contains({net("10.244.2.0/24"), RouteType::unicast}));
        return here;
    };
    EXPECT_FALSE(halved("10.244.2.0/25"));
    overridden = {net("10.244.2.0/24"), net("fd00:2::/64"), net("10.9.9.9/32"), net("0.0.0.0/0")};
    for (const char* text : {"10.244.2.0/25", "10.244.2.128/25", "fd00:2::/65", "fd00:2:0:0:8000::/65"})
        EXPECT_TRUE(halved(text)) << text;
    EXPECT_FALSE(halved("0.0.0.0/1"));
    EXPECT_EQ(build().routes.at({net("10.244.2.128/25"), RouteType::unicast}).preferred_source,
              ip("192.0.2.1"));
    config.steering.routes = RouteForm::backup;
    EXPECT_FALSE(halved("10.244.2.0/25"));
    overridden.clear();
    config.steering.routes = RouteForm::override;
    EXPECT_TRUE(halved("10.244.2.0/25"));
}

TEST_F(DesiredTest, WhatIsLeftToTheCniPassesAndKeepsItsBackup) {
    handshake();
    peers[0].prefixes.push_back({net("10.0.0.0/8"), PrefixClass::extra, "service:a"});
    const Prefix pods = net("10.244.2.0/24");
    const auto allowed = build().peers.at(key(2)).allowed_ips;
    left = {{pods, CniShare::by_own_route}, {net("192.0.2.2/32"), CniShare::by_own_route}};
    Desired wanted = build();
    EXPECT_EQ(wanted.steer_routes.at(pods).action, SteerAction::pass) << "not by the wider prefix either";
    EXPECT_EQ(wanted.steer_routes.at(pods).peer, 0U);
    EXPECT_EQ(wanted.steer_routes.at(net("192.0.2.2/32")).action, SteerAction::steer) << "no pods";
    EXPECT_EQ(wanted.steer_routes.at(net("10.0.0.0/8")).action, SteerAction::steer);
    EXPECT_TRUE(wanted.routes.contains({pods, RouteType::unicast})) << "takes over at once";
    EXPECT_EQ(wanted.peers.at(key(2)).allowed_ips, allowed) << "the peer may send from there";
    overridden = {pods};
    config.steering.routes = RouteForm::override;
    EXPECT_FALSE(build().routes.contains({net("10.244.2.0/25"), RouteType::unicast}));
    left[pods] = CniShare::by_wider_route;
    wanted = build();
    EXPECT_EQ(wanted.steer_routes.at(pods).action, SteerAction::pass);
    EXPECT_FALSE(wanted.routes.contains({pods, RouteType::unicast})) << "it would win over the CNI's";
    left.clear();
    wanted = build();
    EXPECT_EQ(wanted.steer_routes.at(pods).action, SteerAction::steer);
    EXPECT_TRUE(wanted.routes.contains({net("10.244.2.0/25"), RouteType::unicast}));
}

TEST_F(DesiredTest, TheCnisTunnelsAreItsOwnAffairWhereWeAreItsBackup) {
    handshake();
    facts.tunnel_flows = {{17, 8472}, {4, 0}};
    const SteerEndpoint vxlan{SteerEndpoint::Kind::reach, at("192.0.2.2:8472"), 17};
    const SteerEndpoint ipip{SteerEndpoint::Kind::reach, {ip("192.0.2.2"), 0}, 4};
    EXPECT_FALSE(build().steer_endpoints.contains(vxlan)) << "with `always` there is no such packet to a pod";
    config.steering.pods_when_cni_down = true;
    EXPECT_TRUE(build().steer_endpoints.contains(vxlan));
    EXPECT_TRUE(build().steer_endpoints.contains(ipip));
}

TEST_F(DesiredTest, Ipv6PodsHaveNoBackupInTheWayOfTunnelsOfCnis) {
    handshake();
    const Prefix pods = net("fd00:2::/64"), extra = net("fd00:9::/64");
    peers[0].prefixes.push_back({pods, PrefixClass::pod, "service:a"});
    peers[0].prefixes.push_back({extra, PrefixClass::extra, "service:a"});
    EXPECT_TRUE(build().routes.contains({pods, RouteType::unicast}));
    spared = {pods};
    const Desired wanted = build();
    EXPECT_FALSE(wanted.routes.contains({pods, RouteType::unicast}));
    EXPECT_FALSE(wanted.routes.contains({pods, RouteType::unreachable}));
    EXPECT_TRUE(wanted.routes.contains({extra, RouteType::unicast}));
    EXPECT_TRUE(wanted.routes.contains({net("10.244.2.0/24"), RouteType::unicast})) << "IPv4 doesn't look";
    EXPECT_EQ(wanted.steer_routes.at(pods).action, SteerAction::steer);
    overridden = {pods};
    EXPECT_TRUE(build().routes.contains({net("fd00:2::/65"), RouteType::unicast}))
        << "the default wouldn't win";
    overridden.clear();
    spared.clear();
    EXPECT_TRUE(build().routes.contains({pods, RouteType::unicast})) << "nobody leads them to an uplink";
    EXPECT_TRUE(build().routes.contains({pods, RouteType::unreachable}));
}

TEST_F(DesiredTest, WhatIsExcludedGoesByTheRouteOfOthersForThePrefixAroundIt) {
    handshake();
    const Prefix pods = net("10.244.2.0/24"), part = net("10.244.2.0/25");
    config.steering.exclude = {net("10.244.2.128/25")};
    const auto has = [&](const Prefix& prefix) {
        return build().routes.contains({prefix, RouteType::unicast});
    };
    EXPECT_TRUE(has(part) && !has(pods));
    holed[pods] = {true, {net("10.244.2.128/25")}};
    EXPECT_FALSE(has(pods) || has(part))
        << "a longer one would win; one as long would take what is excluded, once alone";
    overridden = {pods};
    EXPECT_TRUE(has(part) && !has(pods)) << "it must";
    EXPECT_FALSE(has(net("10.244.2.128/25")));
    // Another's route inside, around the hole.
    holed[pods] = {false, {net("10.244.2.64/26")}};
    overridden.clear();
    EXPECT_TRUE(has(net("10.244.2.0/26")) && has(net("10.244.2.128/25")) && !has(part));
    holed.clear();
    config.steering.exclude.clear();
    config.steering.always_reach = {{at("10.244.2.128:443"), 6}};
    EXPECT_TRUE(has(part) && has(net("10.244.2.192/26")) && !has(pods));
    api_servers = {{at("10.244.2.3:6443"), false}};
    EXPECT_FALSE(has(part));
    api_servers[0].by_tunnel = true;
    EXPECT_TRUE(has(part));
    config.steering.always_reach.clear();
    config.steering.exclude = {net("10.244.2.128/25")};
    config.steering.routes = RouteForm::override;
    EXPECT_TRUE(has(part) && !has(pods));
    EXPECT_EQ(without(pods, {net("10.244.2.4/30")}).size(), 6U);
    EXPECT_EQ(without(pods, {net("10.0.0.0/8")}).size(), 0U);
    EXPECT_EQ(without(pods, {net("10.245.0.0/16")}), std::vector{pods});
}

TEST_F(DesiredTest, SaysBeforeTheTablesAreFullAndLeavesOutWhatHasNoRoom) {
    handshake();
    config.bpf.max_routes = 1024;
    const auto add = [&](int first, int end) {
        for (int i = first; i < end; ++i)
            peers[0].prefixes.push_back(
                {net("10." + std::to_string(i / 256) + "." + std::to_string(i % 256) + ".0/24"),
                 PrefixClass::extra, "service:a"});
    };
    add(0, 700);
    EXPECT_TRUE(capacity_warnings(build(), config).empty());
    add(700, 900);
    auto warnings = capacity_warnings(build(), config);
    ASSERT_EQ(warnings.size(), 1U);
    EXPECT_NE(warnings[0].find("IPv4 prefixes is more than 80 % full (1024 entries); bpf.maxRoutes"),
              std::string::npos)
        << warnings[0];
    add(900, 1200);
    const Desired wanted = build();
    EXPECT_LE(wanted.steer_routes.size(), 1024U);
    EXPECT_EQ(wanted.left_out, 1202U - 958U) << "two prefixes were there before, and two addresses pass";
    EXPECT_TRUE(wanted.routes.contains({net("10.4.175.0/24"), RouteType::unicast}));
    EXPECT_EQ(capacity_warnings(wanted, config).size(), 2U);
}

// kube-proxy keeps every Service's address on a device of the host.
TEST_F(DesiredTest, ThousandsOfOwnAddressesTakeNobodysPrefixesAway) {
    handshake();
    config.bpf.max_routes = 1024;
    for (int i = 0; i < 3000; ++i)
        facts.all_addresses.push_back(ip("10.96." + std::to_string(i / 256) + "." + std::to_string(i % 256)));
    for (int i = 0; i < 500; ++i)
        peers[0].prefixes.push_back(
            {net("10.0." + std::to_string(i / 2) + (i % 2 == 0 ? ".0/25" : ".128/25")), PrefixClass::extra,
             "a"});
    const Desired wanted = build();
    EXPECT_EQ(wanted.left_out, 0U);
    EXPECT_LE(wanted.steer_routes.size(), 965U);
    for (const OwnedPrefix& owned : peers[0].prefixes)
        EXPECT_TRUE(wanted.steer_routes.contains(owned.prefix));
    EXPECT_EQ(wanted.steer_routes.at(net("192.0.2.1/32")).action, SteerAction::pass);
}

TEST_F(DesiredTest, NobodysWiderPrefixTakesWhatIsHere) {
    handshake();
    config.node.pod_prefixes = {{net("10.244.1.0/24"), net("fd00:244:1::/64")}};
    config.advertise.prefixes = {net("10.9.0.0/16")};
    peers[0].prefixes.push_back({net("10.0.0.0/8"), PrefixClass::extra, "service:a"});
    peers[0].prefixes.push_back({net("::/0"), PrefixClass::extra, "service:a"});
    const auto routes = build().steer_routes;
    for (const char* here : {"10.244.1.0/24", "fd00:244:1::/64", "10.9.0.0/16", "200:1001::1/128"}) {
        ASSERT_TRUE(routes.contains(net(here))) << here;
        EXPECT_EQ(routes.at(net(here)).action, SteerAction::pass) << here;
    }
    EXPECT_EQ(routes.at(net("10.0.0.0/8")).action, SteerAction::steer);
}

TEST_F(DesiredTest, ManyNetworksOfOnePeerTakeNobodysNodeOrPodsAway) {
    handshake();
    config.bpf.max_routes = 1024;
    // Before the others, as it comes first.
    for (int i = 0; i < 1200; ++i)
        peers[0].prefixes.insert(peers[0].prefixes.begin(), {net("10." + std::to_string(i / 256) + "." +
                                                                 std::to_string(i % 256) + ".0/24"),
                                                             PrefixClass::extra, "service:a"});
    std::size_t extra = 0;
    const Desired wanted = build();
    for (const OwnedPrefix& owned : peers[0].prefixes)
        if (owned.cls == PrefixClass::extra)
            extra += wanted.steer_routes.contains(owned.prefix) ? 1 : 0;
        else
            EXPECT_TRUE(wanted.steer_routes.contains(owned.prefix)) << owned.prefix.to_string();
    EXPECT_EQ(extra + 2, 958U) << "an address of this host, and a gateway, pass";
}

TEST_F(DesiredTest, LeavesOutEndpointsThatHaveNoRoom) {
    handshake();
    const auto named = [&](int count) {
        peers[0].candidates.clear();
        for (int i = 0; i < count; ++i)
            peers[0].candidates.push_back(
                {where(IpAddress::from_bytes(std::array<std::uint8_t, 4>{198, 18,
                                                                         static_cast<std::uint8_t>(i / 256),
                                                                         static_cast<std::uint8_t>(i % 256)})
                           .value()
                           .to_string() +
                       ":51820"),
                 CandidateSource::announced});
    };
    named(50'000);
    EXPECT_TRUE(capacity_warnings(build(), config).empty());
    named(55'000);
    EXPECT_EQ(capacity_warnings(build(), config).size(), 1U);
    named(65'000);
    const Desired wanted = build();
    EXPECT_EQ(wanted.steer_endpoints.size() + wanted.endpoints_left_out, 65'001U);
    EXPECT_LT(wanted.steer_endpoints.size(), kMaxSteerEndpoints);
    EXPECT_TRUE(wanted.steer_endpoints.contains({SteerEndpoint::Kind::outer, at("192.0.2.2:51820"), 17}))
        << "the one in use comes first";
    EXPECT_EQ(capacity_warnings(wanted, config).size(), 2U);
}

TEST_F(DesiredTest, WithBypassThereIsNoUnreachableTwin) {
    handshake();
    config.peers.when_down = Fallback::bypass;
    EXPECT_FALSE(build().routes.contains({net("10.244.2.0/24"), RouteType::unreachable}));
}

TEST_F(DesiredTest, KeepsItsOwnNeighbourhoodOutOfTheTunnel) {
    peers[0].prefixes.push_back({net("0.0.0.0/0"), PrefixClass::extra, "static"});
    const Desired wanted = build();
    for (const char* text : {"192.0.2.1/32", "192.0.2.254/32", "2001:db8::1/128"})
        EXPECT_EQ(wanted.steer_routes.at(net(text)).action, SteerAction::pass) << text;
    EXPECT_FALSE(wanted.steer_routes.contains(net("127.0.0.1/32")));
    EXPECT_EQ(wanted.steer_routes.at(net("0.0.0.0/0")).action, SteerAction::steer);
    EXPECT_FALSE(wanted.routes.contains({net("0.0.0.0/0"), RouteType::unreachable}));
}

TEST_F(DesiredTest, ExcludedPrefixesPassAndGetNoRoute) {
    config.steering.exclude = {net("10.244.0.0/16")};
    const Desired wanted = build();
    EXPECT_EQ(wanted.steer_routes.at(net("10.244.2.0/24")).action, SteerAction::pass);
    EXPECT_EQ(wanted.steer_routes.at(net("10.244.0.0/16")).action, SteerAction::pass);
    EXPECT_FALSE(wanted.routes.contains({net("10.244.2.0/24"), RouteType::unicast}));
    EXPECT_EQ(wanted.peers.at(key(2)).allowed_ips.size(), 3U)
        << "what the peer sends is accepted all the same";
}

TEST_F(DesiredTest, ARouteLeavesOutWhatIsExcluded) {
    handshake();
    config.steering.exclude = {net("10.244.2.64/26")};
    const Desired wanted = build();
    EXPECT_EQ(wanted.steer_routes.at(net("10.244.2.0/24")).action, SteerAction::steer);
    EXPECT_EQ(wanted.steer_routes.at(net("10.244.2.64/26")).action, SteerAction::pass);
    EXPECT_FALSE(wanted.routes.contains({net("10.244.2.0/24"), RouteType::unicast}));
    for (const char* part : {"10.244.2.0/26", "10.244.2.128/25"}) {
        EXPECT_TRUE(wanted.routes.contains({net(part), RouteType::unicast})) << part;
        EXPECT_TRUE(wanted.routes.contains({net(part), RouteType::unreachable})) << part;
    }
    EXPECT_EQ(wanted.routes.size(), 5U) << "and the overlay's";
}

TEST_F(DesiredTest, GuardsEndpointsAndAlwaysReach) {
    config.steering.always_reach = {{at("192.0.2.9:6443"), 6}};
    const Desired wanted = build();
    EXPECT_TRUE(wanted.steer_endpoints.contains({SteerEndpoint::Kind::outer, at("192.0.2.2:51820"), 17}));
    EXPECT_TRUE(wanted.steer_endpoints.contains({SteerEndpoint::Kind::reach, at("192.0.2.9:6443"), 6}));
}

TEST_F(DesiredTest, ApiServersAreReachedUnlessTheirPeerIsUpAndAnswerHere) {
    using Kind = SteerEndpoint::Kind;
    api_servers = {{at("192.0.2.1:6443")}, {at("192.0.2.2:6443"), true}, {at("192.0.2.3:6443"), false}};
    config.steering.always_reach = {{at("[2001:db8::1]:2380"), 6}, {at("[2001:db8::2]:2380"), 6}};
    const auto endpoints = build().steer_endpoints;
    EXPECT_TRUE(endpoints.contains({Kind::serve, at("192.0.2.1:6443"), 6})) << "our own";
    EXPECT_TRUE(endpoints.contains({Kind::serve, at("[2001:db8::1]:2380"), 6}));
    EXPECT_TRUE(endpoints.contains({Kind::reach, at("192.0.2.3:6443"), 6}));
    EXPECT_TRUE(endpoints.contains({Kind::reach, at("[2001:db8::2]:2380"), 6}));
    EXPECT_EQ(endpoints.size(), 5U) << "with the peer's endpoint";
    // Past the stack nothing looks at ports.
    handshake();
    EXPECT_TRUE(build().steer_routes.at(net("10.244.2.0/24")).pods);
    api_servers.push_back({at("10.244.2.9:6443"), true});
    EXPECT_FALSE(build().steer_routes.at(net("10.244.2.0/24")).pods);
}

TEST_F(DesiredTest, NoRouteAndNoSteeringTakesTheTunnelsOwnGround) {
    handshake();
    facts.networks = {net("192.0.2.0/24")};
    depended_on = {ip("203.0.113.250")};
    peers[0].candidates.push_back({where("203.0.113.7:51820"), CandidateSource::observed});
    peers[0].prefixes.push_back({net("203.0.113.0/24"), PrefixClass::extra, "service:a"});
    peers[0].prefixes.push_back({net("198.51.100.0/24"), PrefixClass::extra, "service:a"});
    const Desired wanted = build();
    EXPECT_EQ(wanted.steer_routes.at(net("192.0.2.0/24")).action, SteerAction::pass);
    EXPECT_EQ(wanted.steer_routes.at(net("203.0.113.7/32")).action, SteerAction::pass);
    EXPECT_EQ(wanted.steer_routes.at(net("203.0.113.250/32")).action, SteerAction::pass);
    EXPECT_EQ(wanted.steer_routes.at(net("192.0.2.2/32")).action, SteerAction::steer)
        << "a peer's own address";
    EXPECT_EQ(wanted.steer_routes.at(net("203.0.113.0/24")).action, SteerAction::steer);
    EXPECT_FALSE(wanted.routes.contains({net("203.0.113.0/24"), RouteType::unicast}));
    EXPECT_TRUE(wanted.routes.contains({net("198.51.100.0/24"), RouteType::unicast}));
}

TEST_F(DesiredTest, AddressesAreTheOverlayAndTheNodesIpv4) {
    EXPECT_EQ(build().addresses, (std::set<DesiredAddress>{{ip("192.0.2.1"), 32, RT_SCOPE_UNIVERSE},
                                                           {ip("200:1001::1"), 128, RT_SCOPE_UNIVERSE}}));
    facts.node_addresses = {ip("2001:db8::1")};
    const auto without = build().addresses;
    ASSERT_EQ(without.size(), 2U);
    EXPECT_TRUE(net("169.254.0.0/16").contains(without.begin()->address));
    EXPECT_EQ(without.begin()->scope, RT_SCOPE_LINK);
}

TEST_F(DesiredTest, MtuFollowsTheSmallestUnderlay) {
    facts.underlay_mtu = 1500;
    EXPECT_EQ(build().mtu, 1420U);
    facts.underlay_mtu = 9000;
    EXPECT_EQ(build().mtu, 8920U);
    facts.underlay_mtu = 1300;
    EXPECT_EQ(build().mtu, 1280U);
    config.interface.mtu = 1350;
    EXPECT_EQ(build().mtu, 1350U);
}

TEST(PeerIdsTest, AreStableAdoptedAndHandedOutLateAgain) {
    PeerIds ids;
    SteerPeer known;
    known.id = 7;
    known.key = key(9);
    ids.adopt({{7, known}});
    EXPECT_EQ(ids.id_of(key(9)), 7U);
    const PeerId first = ids.id_of(key(1));
    EXPECT_EQ(first, 8U);
    EXPECT_EQ(ids.id_of(key(1)), first);
    ids.keep_only({});
    EXPECT_EQ(ids.id_of(key(2)), 9U) << "a freed id rests";
}

TEST(PeerIdsTest, RunOutWithoutHandingOneOutTwice) {
    PeerIds ids;
    std::set<PeerId> seen;
    for (PeerId i = 0; i < kMaxPeers; ++i) {
        PublicKey k;
        k.bytes[0] = static_cast<std::uint8_t>(i);
        k.bytes[1] = static_cast<std::uint8_t>(i >> 8);
        k.bytes[5] = 1;
        ASSERT_TRUE(seen.insert(ids.id_of(k)).second);
    }
    EXPECT_FALSE(seen.contains(0));
    EXPECT_EQ(ids.id_of(key(77)), 0U);
}

TEST(EndpointFilters, TheLastMatchDecides) {
    const auto filter = [](const char* text, bool exclude) { return EndpointFilter{net(text), exclude}; };
    const std::vector<EndpointFilter> filters{filter("0.0.0.0/0", false), filter("10.0.0.0/8", true),
                                              filter("10.1.0.0/16", false)};
    EXPECT_TRUE(endpoint_allowed(filters, ip("192.0.2.1")));
    EXPECT_FALSE(endpoint_allowed(filters, ip("10.2.0.1")));
    EXPECT_TRUE(endpoint_allowed(filters, ip("10.1.0.1")));
    EXPECT_FALSE(endpoint_allowed(filters, ip("2001:db8::1")));
    EXPECT_TRUE(endpoint_allowed({filter("10.0.0.0/8", true)}, ip("2001:db8::1")));
}

TEST(OwnRecord, AnnouncesAddressesWithThePortInUse) {
    Config config;
    config.node.name = "node1";
    config.node.pod_prefixes = {{net("10.244.1.0/24")}};
    config.advertise.endpoints = {where("gate.example:4500")};
    config.advertise.prefixes = {net("10.9.0.0/24"), net("10.8.0.0/24")};
    config.advertise.exclude_prefixes = {net("10.8.0.0/16"), net("2001:db8::/32")};
    config.advertise.endpoint_filters = {{net("0.0.0.0/0"), false}};
    HostFacts facts;
    facts.node_addresses = {ip("192.0.2.1"), ip("2001:db8::1")};
    const Record record = build_own_record(config, facts, key(1), identity(1), ip("200:1001::1"), 4000);
    EXPECT_EQ(record.endpoints, (std::vector<HostPort>{where("gate.example:4500"), where("192.0.2.1:4000")}));
    EXPECT_EQ(record.node_addresses, std::vector<IpAddress>{ip("192.0.2.1")});
    EXPECT_EQ(record.prefixes, std::vector<Prefix>{net("10.9.0.0/24")});
    EXPECT_EQ(record.pod_prefixes, std::vector<Prefix>{net("10.244.1.0/24")});
    config.pod_networking = false;
    EXPECT_TRUE(
        build_own_record(config, facts, key(1), identity(1), ip("200:1001::1"), 4000).pod_prefixes.empty());
}

TEST(OwnershipJson, SurvivesTheRoundTripAndGarbage) {
    Ownership ownership;
    ownership.prefixes[net("10.2.0.0/24")] = key(2);
    ownership.names["node2"] = key(2);
    ownership.keys[key(2)] = identity(2);
    EXPECT_EQ(parse_ownership(ownership_json(ownership)), ownership);
    for (const char* bad :
         {"", "[]", "{\"prefixes\":3}", "{\"prefixes\":{\"x\":\"y\",\"10.0.0.0/8\":7}}", "{"})
        EXPECT_EQ(parse_ownership(bad), Ownership{}) << bad;
    const ClusterMemory cluster{{at("192.0.2.1:6443"), at("[2001:db8::1]:6443")},
                                {{net("10.244.1.0/24"), net("fd00:244:1::/64")}}};
    EXPECT_EQ(parse_cluster(ownership_json(ownership, cluster)), cluster);
    EXPECT_EQ(parse_ownership(ownership_json(ownership, cluster)), ownership);
    for (const char* bad : {"", "7", "{}", R"({"apiServers":7,"ownPods":"x"})",
                            R"({"apiServers":[7,"x","127.0.0.1:1","192.0.2.1:0"]})"})
        EXPECT_EQ(parse_cluster(bad), ClusterMemory{}) << bad;
}

}  // namespace
}  // namespace wglan
