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
        const auto faults =
            health.judge({net("10.244.2.0/24"), net("fd00:2::/64")}, routes, links, neighbours);
        const auto it = faults.find(net(prefix));
        return it == faults.end() ? "" : it->second;
    }

    RouteHealth health;
    std::vector<Route> routes = {via("10.244.2.0/24", "192.0.2.2")};
    std::vector<Link> links = {link(2, "eth0"), link(3, "eth1")};
    std::vector<Neighbour> neighbours;
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
    neighbours = {{2, ip("192.0.2.2"), true, false}};
    EXPECT_EQ(fault(), "next hop 192.0.2.2 doesn't answer");
    EXPECT_EQ(health.failed(), (std::set<NextHop>{{2, ip("192.0.2.2")}}));
    neighbours = {{2, ip("192.0.2.2"), false, false}};
    EXPECT_NE(fault(), "") << "it is being asked for";
    neighbours.clear();
    EXPECT_NE(fault(), "") << "its entry was collected";
    neighbours = {{3, ip("192.0.2.2"), false, true}};
    EXPECT_NE(fault(), "") << "that is on another link";
    neighbours = {{2, ip("192.0.2.2"), false, true}};
    EXPECT_EQ(fault(), "");
    EXPECT_TRUE(health.failed().empty());
}

TEST_F(RouteHealthTest, TheBestMetricDecidesAndOneNextHopOfSeveralIsEnough) {
    routes = {via("10.244.2.0/24", "192.0.2.2", 2, 100), via("10.244.2.0/24", "192.0.2.3", 3, 50)};
    neighbours = {{2, ip("192.0.2.2"), true, false}};
    EXPECT_EQ(fault(), "");
    neighbours = {{3, ip("192.0.2.3"), true, false}};
    EXPECT_NE(fault(), "");
    routes = {via("10.244.2.0/24", "192.0.2.2"), via("10.244.2.0/24", "192.0.2.3", 3)};
    EXPECT_EQ(fault(), "");
}

TEST_F(RouteHealthTest, ForgetsNextHopsOfRoutesThatAreGone) {
    neighbours = {{2, ip("192.0.2.2"), true, false}};
    EXPECT_NE(fault(), "");
    routes[0].gateway = ip("192.0.2.7");
    EXPECT_EQ(fault(), "");
    routes[0].gateway = ip("192.0.2.2");
    neighbours.clear();
    EXPECT_EQ(fault(), "");
}

TEST_F(RouteHealthTest, BothFamiliesAreJudged) {
    routes.push_back(via("fd00:2::/64", "fe80::2", 3));
    neighbours = {{3, ip("fe80::2"), true, false}};
    EXPECT_EQ(fault(), "");
    EXPECT_EQ(fault("fd00:2::/64"), "next hop fe80::2 doesn't answer");
}

}  // namespace
}  // namespace wglan
