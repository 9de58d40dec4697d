// SPDX-License-Identifier: Apache-2.0
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <unistd.h>

#include <algorithm>

#include <gmock/gmock.h>

#include "agent/netlink/netlink.h"
#include "tests/support/netns_test.h"

namespace wglan {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class NetlinkRoutes : public test::NetnsTest {
protected:
    void SetUp() override {
        NetnsTest::SetUp();
        run("ip link add wg9 type veth peer name other9 && ip link set other9 up && ip link set wg9 up");
        run("ip address add 192.0.2.1/32 dev wg9 && ip -6 address add fd00::1/128 dev wg9 nodad");
        auto made = make_netlink();
        ASSERT_TRUE(made) << made.error().message();
        netlink_ = std::move(*made);
        auto device = netlink_->link("wg9");
        ASSERT_TRUE(device) << device.error().message();
        ifindex_ = device->ifindex;
    }

    Route unicast(const char* prefix, std::uint32_t metric = 0) const {
        Route route;
        route.prefix = *Prefix::parse(prefix);
        route.ifindex = ifindex_;
        route.metric = metric;
        route.protocol = kRouteProtocol;
        return route;
    }

    Route unreachable(const char* prefix, std::uint32_t metric) const {
        Route route = unicast(prefix, metric);
        route.type = RouteType::unreachable;
        route.ifindex = 0;
        return route;
    }

    std::vector<Route> ours() const {
        auto routes = netlink_->routes(kRouteProtocol);
        EXPECT_TRUE(routes) << routes.error().message();
        return routes ? *routes : std::vector<Route>();
    }

    void add(const Route& route) const {
        const auto done = netlink_->add_route(route);
        ASSERT_TRUE(done) << done.error().message();
    }

    std::unique_ptr<Netlink> netlink_;
    int ifindex_ = 0;
};

TEST_F(NetlinkRoutes, ANeighbourThatDoesNotAnswerFails) {
    run("ip address add 198.51.100.1/24 dev wg9");
    const IpAddress nobody = *IpAddress::parse("198.51.100.77");
    const auto done = netlink_->probe_neighbour(ifindex_, nobody);
    ASSERT_TRUE(done) << done.error().message();
    bool failed = false;
    for (int i = 0; i < 100 && !failed; ++i) {
        ::usleep(100'000);
        const auto neighbours = netlink_->neighbours();
        ASSERT_TRUE(neighbours) << neighbours.error().message();
        failed = std::ranges::any_of(*neighbours, [&](const Neighbour& one) {
            return one.ifindex == ifindex_ && one.address == nobody && one.failed && !one.valid;
        });
    }
    EXPECT_TRUE(failed);
    run("ip neighbour replace 198.51.100.77 lladdr 02:00:00:00:00:77 dev wg9");
    const auto neighbours = netlink_->neighbours();
    ASSERT_TRUE(neighbours);
    const Neighbour kept{ifindex_, nobody, false, true, true, {{2, 0, 0, 0, 0, 0x77}}};
    EXPECT_NE(std::ranges::find(*neighbours, kept), neighbours->end());
}

TEST_F(NetlinkRoutes, ForwardingTablesOfTunnelsAreRead) {
    run("ip link add vx9 type vxlan id 9 dstport 8472 nolearning && ip link set vx9 up");
    const auto device = netlink_->link("vx9");
    ASSERT_TRUE(device);
    const auto entries = [&] {
        const auto listed = netlink_->forwarding_entries(device->ifindex);
        EXPECT_TRUE(listed) << listed.error().message();
        return listed.value_or(std::vector<ForwardingEntry>{});
    };
    EXPECT_THAT(entries(), IsEmpty());
    run("bridge fdb add 02:00:00:00:00:09 dev vx9 dst 192.0.2.9 self permanent");
    EXPECT_THAT(entries(), testing::ElementsAre(ForwardingEntry{device->ifindex, {2, 0, 0, 0, 0, 9}}));
    run("bridge fdb del 02:00:00:00:00:09 dev vx9 self");
    EXPECT_THAT(entries(), IsEmpty());
    run("ip link del vx9");
    EXPECT_THAT(entries(), IsEmpty()) << "no such device";
}

TEST_F(NetlinkRoutes, EveryKindReadsBackAsItWasAsked) {
    std::vector<Route> wanted = {
        unicast("10.1.0.0/24"),
        unicast("10.2.0.0/24", kBackupMetric),
        unicast("10.3.0.0/25", 7),
        unicast("10.4.0.1/32", kBackupMetric),
        unicast("0.0.0.0/0", kBackupMetric),
        unreachable("10.2.0.0/24", kBackupMetric + 1),
        unreachable("0.0.0.0/0", kBackupMetric + 1),
        unicast("fd01::/64"),
        unicast("fd02::/64", kBackupMetric),
        unicast("fd03::1/128", 7),
        unicast("::/0", kBackupMetric),
        unreachable("fd02::/64", kBackupMetric + 1),
        unreachable("::/0", kBackupMetric + 1),
    };
    wanted[1].preferred_source = *IpAddress::parse("192.0.2.1");
    wanted[2].mtu = 1380;
    wanted[8].preferred_source = *IpAddress::parse("fd00::1");
    wanted[9].mtu = 1380;
    Route blackhole4 = unreachable("10.5.0.0/16", 0);
    blackhole4.type = RouteType::blackhole;
    wanted.push_back(blackhole4);
    Route blackhole6 = unreachable("fd05::/64", 0);
    blackhole6.type = RouteType::blackhole;
    wanted.push_back(blackhole6);
    Route via = unicast("10.6.0.0/16", 3);
    via.gateway = *IpAddress::parse("10.1.0.9");
    Route via6 = unicast("fd06::/64", 3);
    via6.gateway = *IpAddress::parse("fd01::9");
    wanted.push_back(via);
    wanted.push_back(via6);

    for (const Route& route : wanted) add(route);
    EXPECT_THAT(ours(), testing::UnorderedElementsAreArray(wanted));
    for (const Route& route : wanted) add(route);
    EXPECT_THAT(ours(), testing::UnorderedElementsAreArray(wanted));

    // Gateways first go: what resolves them is still there.
    for (auto route = wanted.rbegin(); route != wanted.rend(); ++route) {
        const auto removed = netlink_->remove_route(*route);
        EXPECT_TRUE(removed) << removed.error().message();
    }
    EXPECT_THAT(ours(), IsEmpty());
    for (const Route& route : wanted) EXPECT_TRUE(netlink_->remove_route(route));
}

TEST_F(NetlinkRoutes, ReplacesOurOwn) {
    for (const char* prefix : {"10.1.0.0/24", "fd01::/64"}) {
        Route route = unicast(prefix, 5);
        add(route);
        route.mtu = 1300;
        route.preferred_source =
            *IpAddress::parse(route.prefix.family() == Family::v4 ? "192.0.2.1" : "fd00::1");
        add(route);
        EXPECT_THAT(ours(), testing::ElementsAre(route));
        ASSERT_TRUE(netlink_->remove_route(route));
    }
}

TEST_F(NetlinkRoutes, NeverReplacesAForeignRoute) {
    run("ip route add 10.1.0.0/24 dev wg9 metric 5 proto 99");
    run("ip -6 route add fd01::/64 dev wg9 metric 5 proto 99");
    run("ip -6 route add fd02::/64 dev wg9 proto 99");
    const std::string before = output_of("ip route; ip -6 route");
    for (const Route& route : {unicast("10.1.0.0/24", 5), unicast("fd01::/64", 5), unicast("fd02::/64"),
                               unreachable("10.1.0.0/24", 5), unreachable("fd01::/64", 5)}) {
        const auto done = netlink_->add_route(route);
        ASSERT_FALSE(done) << route.prefix.to_string();
        EXPECT_EQ(done.error().kind(), ErrorKind::exists);
        EXPECT_THAT(done.error().message(), HasSubstr("protocol 99"));
        EXPECT_TRUE(netlink_->remove_route(route));
    }
    EXPECT_EQ(output_of("ip route; ip -6 route"), before);
}

TEST_F(NetlinkRoutes, AForeignRouteAheadOfOursIsNotReplaced) {
    Route route = unicast("10.1.0.0/24", 5);
    add(route);
    run("ip route prepend 10.1.0.0/24 dev wg9 metric 5 proto 99 src 192.0.2.1");
    const std::string before = output_of("ip route");
    route.mtu = 1300;
    const auto done = netlink_->add_route(route);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind(), ErrorKind::exists);
    EXPECT_EQ(output_of("ip route"), before);
}

TEST_F(NetlinkRoutes, RemovesTheOneOfThatMetricAlone) {
    for (const char* prefix : {"10.1.0.0/24", "fd01::/64"}) {
        const Route plain = unicast(prefix);
        const Route backup = unicast(prefix, kBackupMetric);
        const Route twin = unreachable(prefix, kBackupMetric + 1);
        add(backup);
        add(twin);
        EXPECT_TRUE(netlink_->remove_route(plain));
        EXPECT_THAT(ours(), testing::UnorderedElementsAre(backup, twin));
        add(plain);
        EXPECT_TRUE(netlink_->remove_route(plain));
        EXPECT_THAT(ours(), testing::UnorderedElementsAre(backup, twin));
        EXPECT_TRUE(netlink_->remove_route(backup));
        EXPECT_THAT(ours(), testing::ElementsAre(twin));
        EXPECT_TRUE(netlink_->remove_route(twin));
    }
}

TEST_F(NetlinkRoutes, ListsForeignRoutesOneForEachNextHop) {
    run("ip route add 10.9.0.0/16 dev wg9");
    run("ip route add default proto 99 nexthop via 10.9.0.1 dev wg9 nexthop via 10.9.0.2 dev wg9");
    run("ip -6 route add fd09::/64 dev wg9");
    run("ip -6 route add default proto 99 nexthop via fd09::1 dev wg9 nexthop via fd09::2 dev wg9");
    run("ip route add 10.8.0.0/16 dev wg9 table 77 proto 99");
    const auto routes = netlink_->routes(99);
    ASSERT_TRUE(routes) << routes.error().message();
    std::vector<std::string> gateways;
    for (const Route& route : *routes) {
        EXPECT_EQ(route.ifindex, ifindex_);
        EXPECT_TRUE(route.prefix.is_default());
        gateways.push_back(route.gateway ? route.gateway->to_string() : "none");
    }
    EXPECT_THAT(gateways, testing::UnorderedElementsAre("10.9.0.1", "10.9.0.2", "fd09::1", "fd09::2"));
    EXPECT_THAT(ours(), IsEmpty());
}

TEST_F(NetlinkRoutes, ReadsATableOverManyMessages) {
    run("seq 0 3999 | awk '{ printf \"route add 10.200.%d.%d/32 dev wg9 proto 99\\n\", $1 / 250, $1 % 250 }' "
        "|"
        " ip -batch -");
    const auto routes = netlink_->routes(99);
    ASSERT_TRUE(routes) << routes.error().message();
    EXPECT_EQ(routes->size(), 4000U);
    // Replacing looks through all of them.
    Route route = unicast("10.1.0.0/24", 5);
    add(route);
    route.mtu = 1300;
    add(route);
    EXPECT_THAT(ours(), testing::ElementsAre(route));
}

TEST_F(NetlinkRoutes, FindsTheWayToAnAddress) {
    Route route = unicast("10.1.0.0/24");
    route.preferred_source = *IpAddress::parse("192.0.2.1");
    add(route);
    add(unicast("fd01::/64"));
    add(unreachable("10.2.0.0/24", 0));
    run("ip route add 10.3.0.0/24 dev wg9 table 77 && ip rule add fwmark 0x10 lookup 77");

    const auto way = netlink_->route_to(*IpAddress::parse("10.1.0.7"));
    ASSERT_TRUE(way) << way.error().message();
    EXPECT_EQ(way->ifindex, ifindex_);
    EXPECT_EQ(way->prefix.to_string(), "10.1.0.7/32");
    EXPECT_EQ(way->preferred_source, IpAddress::parse("192.0.2.1").value());
    const auto way6 = netlink_->route_to(*IpAddress::parse("fd01::7"));
    ASSERT_TRUE(way6) << way6.error().message();
    EXPECT_EQ(way6->ifindex, ifindex_);

    const auto marked = netlink_->route_to(*IpAddress::parse("10.3.0.7"), 0x10);
    ASSERT_TRUE(marked) << marked.error().message();
    EXPECT_EQ(marked->table, 77U);
    for (const char* nowhere : {"10.3.0.7", "10.2.0.1", "fd99::1"}) {
        const auto none = netlink_->route_to(*IpAddress::parse(nowhere));
        ASSERT_FALSE(none) << nowhere;
        EXPECT_EQ(none.error().kind(), ErrorKind::not_found) << none.error().message();
    }
}

TEST_F(NetlinkRoutes, FindsTheWayOfWhatComesIn) {
    run("ip link add pod type veth peer name inner && ip link set pod up && ip link set inner up");
    run("ip addr add 10.9.0.1/24 dev pod && ip -6 addr add fd09::1/64 dev pod nodad");
    add(unicast("10.1.0.0/24"));
    add(unicast("fd01::/64"));
    const auto pod = netlink_->link("pod");
    ASSERT_TRUE(pod) << pod.error().message();
    ASSERT_TRUE(netlink_->set_forwarding(pod->ifindex, Family::v4, true));
    const auto way = [&](const char* from, const char* to) {
        return netlink_->route_of({*IpAddress::parse(from), *IpAddress::parse(to), pod->ifindex, 0});
    };
    for (const auto& [from, to] : {std::pair{"10.9.0.7", "10.1.0.7"}, {"fd09::7", "fd01::7"}}) {
        const auto found = way(from, to);
        ASSERT_TRUE(found) << found.error().message();
        EXPECT_EQ(found->ifindex, ifindex_) << to;
        EXPECT_EQ(found->type, RouteType::unicast);
    }
    const auto here = way("10.9.0.7", "10.9.0.1");
    ASSERT_TRUE(here) << here.error().message();
    EXPECT_EQ(here->type, RouteType::local);
    EXPECT_EQ(way("10.9.0.7", "10.3.0.7").error().kind(), ErrorKind::not_found);
    EXPECT_EQ(way("fd09::7", "fd99::1").error().kind(), ErrorKind::not_found);
    ASSERT_TRUE(netlink_->set_rp_filter(pod->ifindex, 1));
    EXPECT_FALSE(way("10.1.0.9", "10.1.0.7")) << "a source that is elsewhere";
}

TEST_F(NetlinkRoutes, SaysWhyTheKernelRefuses) {
    Route route = unicast("10.1.0.0/24");
    route.preferred_source = *IpAddress::parse("198.51.100.1");
    const auto done = netlink_->add_route(route);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind(), ErrorKind::invalid);
    EXPECT_THAT(done.error().message(), HasSubstr("10.1.0.0/24"));

    Route gone = unicast("10.1.0.0/24");
    gone.ifindex = 4711;
    EXPECT_EQ(netlink_->add_route(gone).error().kind(), ErrorKind::not_found);
    Route ownerless = unicast("10.1.0.0/24");
    ownerless.protocol = 0;
    EXPECT_EQ(netlink_->add_route(ownerless).error().kind(), ErrorKind::invalid);
    EXPECT_EQ(netlink_->remove_route(ownerless).error().kind(), ErrorKind::invalid);
}

TEST_F(NetlinkRoutes, DefaultRoutesAreThoseOfThemAll) {
    run("ip route add default dev wg9 metric 7 && ip -6 route add default dev wg9 metric 9");
    run("ip route add unreachable default metric 4000000000");
    add(unicast("10.1.0.0/16"));
    add(unicast("0.0.0.0/1"));
    add(unicast("::/1"));
    auto all = netlink_->routes();
    ASSERT_TRUE(all) << all.error().message();
    std::erase_if(*all, [](const Route& route) { return !route.prefix.is_default(); });
    const auto defaults = netlink_->default_routes();
    ASSERT_TRUE(defaults) << defaults.error().message();
    EXPECT_EQ(defaults->size(), 3U);
    EXPECT_EQ(*defaults, *all);
}

}  // namespace
}  // namespace wglan
