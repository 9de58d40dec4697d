// SPDX-License-Identifier: Apache-2.0
#include <linux/rtnetlink.h>

#include "tests/unit/app/desired_fixture.h"

namespace wglan {
namespace {

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

TEST_F(DesiredTest, KeepsItsOwnNeighbourhoodOutOfTheTunnel) {
    peers[0].prefixes.push_back({net("0.0.0.0/0"), PrefixClass::extra, "static"});
    const Desired wanted = build();
    for (const char* text : {"192.0.2.1/32", "192.0.2.254/32", "2001:db8::1/128"})
        EXPECT_EQ(wanted.steer_routes.at(net(text)).action, SteerAction::pass) << text;
    EXPECT_FALSE(wanted.steer_routes.contains(net("127.0.0.1/32")));
    EXPECT_EQ(wanted.steer_routes.at(net("0.0.0.0/0")).action, SteerAction::steer);
    EXPECT_FALSE(wanted.routes.contains({net("0.0.0.0/0"), RouteType::unreachable}));
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

}  // namespace
}  // namespace wglan
