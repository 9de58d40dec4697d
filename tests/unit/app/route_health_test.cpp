// SPDX-License-Identifier: Apache-2.0
#include "agent/app/route_health.h"

#include <gtest/gtest.h>

#include "tests/support/samples.h"

namespace wglan {
namespace {

using namespace samples;

class RouteHealthTest : public testing::Test {
protected:
    static Link link(int ifindex, const char* name) {
        Link made;
        made.ifindex = ifindex;
        made.name = name;
        made.up = made.running = true;
        return made;
    }
    static Route via(const char* prefix, const char* gateway, int ifindex = 2, std::uint32_t metric = 0) {
        Route route;
        route.prefix = net(prefix);
        route.ifindex = ifindex;
        route.gateway = ip(gateway);
        route.metric = metric;
        route.protocol = 4;
        return route;
    }
    std::string fault(const char* prefix = "10.244.2.0/24") {
        verdicts = health.judge({net("10.244.2.0/24"), net("fd00:2::/64")},
                                {routes, links, neighbours, forwarding, programs});
        const auto it = verdicts.faults.find(net(prefix));
        return it == verdicts.faults.end() ? "" : it->second;
    }
    // The CNI's way, where there is one.
    std::string way(const char* prefix = "10.244.2.0/24") {
        (void)fault();
        const auto it = verdicts.sound.find(net(prefix));
        return it == verdicts.sound.end() ? "" : it->second.way;
    }
    static Neighbour hop(int ifindex, const char* address, bool failed, bool valid) {
        return {ifindex, ip(address), failed, valid, false, std::nullopt};
    }
    static Neighbour kept(int ifindex, const char* address, std::uint8_t mac) {
        return {ifindex, ip(address), false, true, true, {{2, 0, 0, 0, 0, mac}}};
    }
    static ForwardingEntry entry(int ifindex, std::uint8_t mac) { return {ifindex, {2, 0, 0, 0, 0, mac}}; }

    RouteHealth health;
    std::vector<Route> routes = {via("10.244.2.0/24", "192.0.2.2")};
    std::vector<Link> links = {link(2, "eth0"), link(3, "eth1")};
    std::vector<Neighbour> neighbours;
    std::set<ForwardingEntry> forwarding;
    std::map<int, std::size_t> programs;
    RouteVerdicts verdicts;
};

TEST_F(RouteHealthTest, AMissingRouteIsNoFault) {
    routes.clear();
    EXPECT_EQ(fault(), "");
    EXPECT_TRUE(health.watched().empty());
}

TEST_F(RouteHealthTest, OurOwnRoutesAndOtherPrefixesDontCount) {
    routes[0].protocol = kRouteProtocol;
    routes[0].type = RouteType::unreachable;
    routes.push_back(via("10.9.0.0/16", "192.0.2.9", 77));
    EXPECT_EQ(fault(), "");
}

TEST_F(RouteHealthTest, RoutesThatLeadNowhereByThemselves) {
    for (const RouteType type : {RouteType::unreachable, RouteType::blackhole, RouteType::other}) {
        routes[0].type = type;
        EXPECT_NE(fault(), "");
    }
    routes[0].type = RouteType::local;
    EXPECT_EQ(fault(), "");
}

TEST_F(RouteHealthTest, ADeviceThatIsDownGoneOrWithoutCarrier) {
    links[0].running = false;
    EXPECT_EQ(fault(), "eth0 has no carrier");
    links[0].up = false;
    EXPECT_EQ(fault(), "eth0 is down");
    links.erase(links.begin());
    EXPECT_EQ(fault(), "its device is gone");
}

TEST_F(RouteHealthTest, AFailedNextHopStaysFailedUntilItIsFoundAgain) {
    EXPECT_EQ(fault(), "") << "nobody asked for it yet";
    neighbours = {hop(2, "192.0.2.2", true, false)};
    EXPECT_EQ(fault(), "next hop 192.0.2.2 doesn't answer");
    EXPECT_EQ(health.failed(), (std::set<NextHop>{{2, ip("192.0.2.2")}}));
    neighbours = {hop(2, "192.0.2.2", false, false)};
    EXPECT_NE(fault(), "") << "it is being asked for";
    neighbours.clear();
    EXPECT_NE(fault(), "") << "its entry was collected";
    neighbours = {hop(3, "192.0.2.2", false, true)};
    EXPECT_NE(fault(), "") << "that is on another link";
    neighbours = {hop(2, "192.0.2.2", false, true)};
    EXPECT_EQ(fault(), "");
    EXPECT_TRUE(health.failed().empty());
}

TEST_F(RouteHealthTest, WhatAPredecessorOverrodeHasFailedUntilItIsFoundAgain) {
    for (const char* half : {"10.244.2.0/25", "10.244.2.128/25"}) {
        Route ours = via(half, "200:1001::2", 9);
        ours.gateway.reset();
        ours.protocol = kRouteProtocol;
        routes.push_back(ours);
    }
    const auto both = routes;
    EXPECT_NE(fault(), "") << "the kernel has forgotten the next hop meanwhile";
    EXPECT_EQ(health.failed().size(), 1U) << "so it is asked for";
    neighbours = {hop(2, "192.0.2.2", false, true)};
    EXPECT_EQ(fault(), "");
    neighbours.clear();
    EXPECT_EQ(fault(), "") << "at later looks the halves are its own";
    routes.pop_back();
    health = {};
    EXPECT_EQ(fault(), "") << "one half alone is somebody's prefix";
    routes = both;
    health = {};
    neighbours = {hop(2, "192.0.2.2", false, true)};
    EXPECT_EQ(fault(), "") << "it answers";
}

TEST_F(RouteHealthTest, TheBestMetricDecides) {
    routes = {via("10.244.2.0/24", "192.0.2.2", 2, 100), via("10.244.2.0/24", "192.0.2.3", 3, 50)};
    neighbours = {hop(2, "192.0.2.2", true, false)};
    EXPECT_EQ(fault(), "");
    neighbours = {hop(3, "192.0.2.3", true, false)};
    EXPECT_NE(fault(), "");
}

// The kernel spreads flows over all of them, but for those whose device is down.
TEST_F(RouteHealthTest, OneNextHopOfSeveralThatDoesNotAnswerIsAFault) {
    routes = {via("10.244.2.0/24", "192.0.2.2"), via("10.244.2.0/24", "192.0.2.3", 3)};
    EXPECT_EQ(fault(), "");
    EXPECT_EQ(way(), "via 192.0.2.2 dev eth0");
    neighbours = {hop(3, "192.0.2.3", true, false)};
    EXPECT_EQ(fault(), "next hop 192.0.2.3 doesn't answer");
    links[1].up = false;
    EXPECT_EQ(fault(), "");
    links[0].up = false;
    EXPECT_NE(fault(), "");
    links[0].up = true;
    links[0].running = false;
    EXPECT_EQ(fault(), "eth0 has no carrier");
}

TEST_F(RouteHealthTest, ForgetsNextHopsOfRoutesThatAreGone) {
    neighbours = {hop(2, "192.0.2.2", true, false)};
    EXPECT_NE(fault(), "");
    routes[0].gateway = ip("192.0.2.7");
    EXPECT_EQ(fault(), "");
    routes[0].gateway = ip("192.0.2.2");
    neighbours.clear();
    EXPECT_EQ(fault(), "");
}

TEST_F(RouteHealthTest, SoundRoutesSayTheirWay) {
    EXPECT_EQ(way(), "via 192.0.2.2 dev eth0");
    EXPECT_FALSE(verdicts.sound.begin()->second.wider);
    EXPECT_EQ(way("fd00:2::/64"), "") << "there is no route";
    links[0].up = false;
    EXPECT_EQ(way(), "");
}

TEST_F(RouteHealthTest, TheLongestRouteAroundAPrefixCountsWhereItHasNone) {
    routes = {via("10.0.0.0/8", "192.0.2.8"), via("10.244.0.0/16", "192.0.2.9", 3),
              via("0.0.0.0/0", "192.0.2.1")};
    EXPECT_EQ(way(), "via 192.0.2.9 dev eth1");
    EXPECT_TRUE(verdicts.sound.begin()->second.wider);
    EXPECT_EQ(health.devices(), (std::set<int>{3}));
    links[1].running = false;
    EXPECT_EQ(way(), "") << "what is around it is the best there is";
    EXPECT_EQ(fault(), "") << "and nothing to override";
    routes[1].protocol = 2;  // RTPROT_KERNEL: a connected network says nothing of pods
    EXPECT_EQ(way(), "via 192.0.2.8 dev eth0");
    routes = {via("0.0.0.0/0", "192.0.2.1"), via("10.244.2.0/25", "192.0.2.1"),
              via("10.245.0.0/16", "192.0.2.1")};
    EXPECT_EQ(way(), "");
}

TEST_F(RouteHealthTest, ATunnelOverADeviceThatIsDown) {
    links.push_back(link(7, "flannel.1"));
    links.back().kind = "vxlan";
    links.back().peer_ifindex = 2;
    routes = {via("10.244.2.0/24", "10.244.2.0", 7)};
    EXPECT_EQ(fault(), "");
    links[0].running = false;
    EXPECT_EQ(fault(), "eth0 below flannel.1 is down");
}

TEST_F(RouteHealthTest, EntriesThatWereKeptAndAreTakenAway) {
    links.push_back(link(7, "flannel.1"));
    links.back().kind = "vxlan";
    routes = {via("10.244.2.0/24", "10.244.2.0", 7)};
    EXPECT_EQ(fault(), "") << "nothing was ever kept";
    EXPECT_EQ(health.tunnels(), (std::set<int>{7}));
    neighbours = {kept(7, "10.244.2.0", 2)};
    EXPECT_EQ(fault(), "") << "a table that was always empty, as with metadata";
    forwarding = {entry(7, 2)};
    EXPECT_EQ(fault(), "");
    forwarding = {entry(7, 3)};
    EXPECT_EQ(fault(), "next hop 10.244.2.0 has lost its entry in the table of flannel.1");
    EXPECT_NE(fault(), "") << "still";
    forwarding.insert(entry(7, 2));
    EXPECT_EQ(fault(), "");
    neighbours.clear();
    EXPECT_EQ(fault(), "next hop 10.244.2.0 has lost its neighbour entry");
    neighbours = {hop(7, "10.244.2.0", false, false)};
    EXPECT_EQ(fault(), "next hop 10.244.2.0 has lost its neighbour entry");
    neighbours = {kept(7, "10.244.2.0", 3)};
    EXPECT_EQ(fault(), "") << "another address, whose entry is there";
}

TEST_F(RouteHealthTest, ANeighbourThatNobodyKeptMayBeMissing) {
    neighbours = {hop(2, "192.0.2.2", false, true)};
    EXPECT_EQ(fault(), "");
    neighbours.clear();
    EXPECT_EQ(fault(), "");
}

TEST_F(RouteHealthTest, ADeviceThatOnlyProgramsLeadOnFrom) {
    links.push_back(link(8, "cilium_host"));
    links.back().kind = "veth";
    routes = {via("10.244.2.0/24", "10.244.1.9", 8)};
    programs = {{8, 0}};
    EXPECT_EQ(fault(), "") << "it never had any";
    EXPECT_EQ(health.programmed(), (std::set<int>{8}));
    programs = {{8, 2}};
    EXPECT_EQ(fault(), "");
    programs = {{8, 1}};
    EXPECT_EQ(fault(), "");
    programs = {{8, 0}};
    EXPECT_EQ(fault(), "the programs at cilium_host are gone");
    links.back().peer_in_other_netns = true;
    EXPECT_EQ(fault(), "") << "a pair that leads elsewhere needs none";
    EXPECT_TRUE(health.programmed().empty());
}

TEST_F(RouteHealthTest, BothFamiliesAreJudged) {
    routes.push_back(via("fd00:2::/64", "fe80::2", 3));
    neighbours = {hop(3, "fe80::2", true, false)};
    EXPECT_EQ(fault(), "");
    EXPECT_EQ(fault("fd00:2::/64"), "next hop fe80::2 doesn't answer");
}

}  // namespace
}  // namespace wglan
