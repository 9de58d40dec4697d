// SPDX-License-Identifier: Apache-2.0
// Routes in the kernel, and the programs' beside them.
#include <linux/rtnetlink.h>

#include "tests/unit/app/desired_fixture.h"

namespace wglan {
namespace {

TEST_F(DesiredTest, ABypassedPeerHasNoRoutes) {
    EXPECT_FALSE(build().routes.contains({net("10.244.2.0/24"), RouteType::unicast}))
        << "whenUnknown: bypass";
    config.peers.when_unknown = Fallback::drop;
    EXPECT_TRUE(build().routes.contains({net("10.244.2.0/24"), RouteType::unicast}));
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
}

TEST_F(DesiredTest, WithBypassThereIsNoUnreachableTwin) {
    handshake();
    config.peers.when_down = Fallback::bypass;
    EXPECT_FALSE(build().routes.contains({net("10.244.2.0/24"), RouteType::unreachable}));
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

}  // namespace
}  // namespace wglan
