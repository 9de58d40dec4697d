// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/reconcile/plan.h"
#include "tests/support/samples.h"

namespace wglan {
namespace {

using namespace samples;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr int kTunnel = 7;

class DiffTest : public testing::Test {
protected:
    DiffTest() {
        want.interface = "wglan0";
        want.mtu = 1420;
        want.public_key = key(1);
        want.listen_port = 51820;
        want.firewall_mark = 0x10;
        want.addresses = {{ip("200:1001::1"), 128, 0}, {ip("192.0.2.1"), 32, 0}};
        want.uplinks = {{2, "eth0"}};
        want.steer_config.interface_mtu = 1420;
        want.steer_config.firewall_mark = want.steer_config.firewall_mark_mask = 0x10;
        peer(2, {"10.244.2.0/24", "192.0.2.2/32"});
        peer(3, {"10.244.3.0/24", "192.0.2.3/32"});
    }

    // A peer with its prefixes steered, and a backup route for what isn't a host.
    void peer(std::uint8_t number, const std::vector<const char*>& prefixes) {
        WgPeer wg;
        wg.key = key(number);
        wg.keepalive_s = 25;
        wg.preshared.bytes[0] = number;
        SteerPeer steer;
        steer.id = number;
        steer.key = key(number);
        steer.name = "node" + std::to_string(number);
        for (const char* text : prefixes) {
            const Prefix prefix = net(text);
            wg.allowed_ips.push_back(prefix);
            SteerRoute route;
            route.prefix = prefix;
            route.peer = number;
            want.steer_routes[prefix] = route;
            if (prefix.is_host()) continue;
            Route backup;
            backup.prefix = prefix;
            backup.metric = kBackupMetric;
            backup.protocol = kRouteProtocol;
            want.routes[{prefix, RouteType::unicast}] = backup;
        }
        want.peers[wg.key] = wg;
        want.steer_peers[number] = steer;
        want.steer_endpoints.insert(
            {SteerEndpoint::Kind::outer, {ip("192.0.2." + std::to_string(number)), 51820}, 17});
    }

    // As after CreateInterface.
    static Observed bare() {
        Observed seen;
        seen.interface.emplace();
        seen.interface->link.ifindex = kTunnel;
        seen.interface->link.name = "wglan0";
        seen.wireguard.emplace();
        return seen;
    }

    Observed applied() const {
        Observed seen = assume_applied(want, bare());
        seen.attachments = {
            {2, "eth0", Attachment::Hook::tc_egress, Attachment::Kind::tcx, "wglan_egress"},
            {kTunnel, "wglan0", Attachment::Hook::tc_egress, Attachment::Kind::tcx, "wglan_tun_out"},
            {kTunnel, "wglan0", Attachment::Hook::tc_ingress, Attachment::Kind::tcx, "wglan_tun_in"}};
        return seen;
    }

    std::vector<std::string> plan(const Observed& seen) const { return describe(diff(want, seen), "wglan0"); }

    Desired want;
};

TEST_F(DiffTest, AppliedTwiceIsEmpty) { EXPECT_THAT(plan(applied()), IsEmpty()); }

TEST_F(DiffTest, BuildsEverythingInOrder) {
    EXPECT_THAT(
        plan(bare()),
        ElementsAre(
            "configure wglan0 private-key listen-port 51820 firewall-mark 16",
            "set no link-local addresses on wglan0", "set mtu 1420 on wglan0", "set rp_filter 2 on wglan0",
            "set forwarding of IPv4 on wglan0", "set forwarding of IPv6 on wglan0", "set wglan0 up",
            "add address 192.0.2.1/32 on wglan0", "add address 200:1001::1/128 on wglan0",
            "add peer " + to_string(key(2)) + " keepalive 25s preshared-key +10.244.2.0/24 +192.0.2.2/32",
            "add peer " + to_string(key(3)) + " keepalive 25s preshared-key +10.244.3.0/24 +192.0.2.3/32",
            "set steering to interface 7 port 51820 mtu 1420", "never steer 192.0.2.2:51820/udp (WireGuard)",
            "never steer 192.0.2.3:51820/udp (WireGuard)", "set steering of peer 2 (node2) to unknown",
            "set steering of peer 3 (node3) to unknown", "steer 10.244.2.0/24 to peer 2",
            "steer 10.244.3.0/24 to peer 3", "steer 192.0.2.2/32 to peer 2", "steer 192.0.2.3/32 to peer 3",
            "attach wglan_tun_in and wglan_tun_out to wglan0", "attach wglan_egress to eth0",
            "add route 10.244.2.0/24 dev wglan0 metric 2147483632",
            "add route 10.244.3.0/24 dev wglan0 metric 2147483632"));
}

TEST_F(DiffTest, MakesAMissingDeviceFirst) {
    const auto lines = plan(Observed{});
    ASSERT_FALSE(lines.empty());
    EXPECT_EQ(lines.front(), "create interface wglan0");
}

TEST_F(DiffTest, TakesAPeerAwayInTheReverseOrder) {
    const Observed seen = applied();
    want.peers.erase(key(3));
    want.steer_peers.erase(3);
    for (const char* prefix : {"10.244.3.0/24", "192.0.2.3/32"}) want.steer_routes.erase(net(prefix));
    want.routes.erase({net("10.244.3.0/24"), RouteType::unicast});
    want.steer_endpoints.erase({SteerEndpoint::Kind::outer, at("192.0.2.3:51820"), 17});
    EXPECT_THAT(plan(seen), ElementsAre("stop steering 10.244.3.0/24", "stop steering 192.0.2.3/32",
                                        "remove route 10.244.3.0/24 dev wglan0 metric 2147483632",
                                        "remove peer " + to_string(key(3)), "remove steering of peer 3",
                                        "no more exempt from steering: 192.0.2.3:51820/udp (WireGuard)"));
}

TEST_F(DiffTest, AnUnreachableTwinComesAfterItsRouteAndGoesBeforeIt) {
    Route route = want.routes.at({net("10.244.2.0/24"), RouteType::unicast});
    Route twin = route;
    twin.type = RouteType::unreachable;
    twin.metric = kBackupMetric + 1;
    const Observed without = applied();
    for (const char* half : {"10.244.2.0/25", "10.244.2.128/25"}) {
        route.prefix = twin.prefix = net(half);
        want.routes[{route.prefix, RouteType::unicast}] = route;
        want.routes[{twin.prefix, RouteType::unreachable}] = twin;
    }
    const Observed with = applied();
    EXPECT_THAT(plan(without), ElementsAre("add route 10.244.2.0/25 dev wglan0 metric 2147483632",
                                           "add route unreachable 10.244.2.0/25 metric 2147483633",
                                           "add route 10.244.2.128/25 dev wglan0 metric 2147483632",
                                           "add route unreachable 10.244.2.128/25 metric 2147483633"));
    for (const char* half : {"10.244.2.0/25", "10.244.2.128/25"})
        for (const RouteType type : {RouteType::unicast, RouteType::unreachable})
            want.routes.erase({net(half), type});
    EXPECT_THAT(plan(with), ElementsAre("remove route unreachable 10.244.2.0/25 metric 2147483633",
                                        "remove route unreachable 10.244.2.128/25 metric 2147483633",
                                        "remove route 10.244.2.0/25 dev wglan0 metric 2147483632",
                                        "remove route 10.244.2.128/25 dev wglan0 metric 2147483632"));
}

// Nothing leaves in clear, or is lost, between the one and the other.
TEST_F(DiffTest, WhatIsReplacedGoesAfterWhatComes) {
    const Observed whole = applied();
    const auto replace = [&](const char* from, std::initializer_list<const char*> to) {
        Route route = want.routes.at({net(from), RouteType::unicast});
        SteerRoute steer = want.steer_routes.at(net(from));
        want.routes.erase({net(from), RouteType::unicast});
        want.steer_routes.erase(net(from));
        for (const char* part : to) {
            route.prefix = steer.prefix = net(part);
            want.routes[{route.prefix, RouteType::unicast}] = route;
            want.steer_routes[steer.prefix] = steer;
        }
    };
    const auto before = want;
    replace("10.244.2.0/24", {"10.244.2.0/25", "10.244.2.128/25"});
    const Observed parts = applied();
    EXPECT_THAT(plan(whole), ElementsAre("steer 10.244.2.0/25 to peer 2", "steer 10.244.2.128/25 to peer 2",
                                         "stop steering 10.244.2.0/24",
                                         "add route 10.244.2.0/25 dev wglan0 metric 2147483632",
                                         "add route 10.244.2.128/25 dev wglan0 metric 2147483632",
                                         "remove route 10.244.2.0/24 dev wglan0 metric 2147483632"));
    want = before;
    EXPECT_THAT(plan(parts), ElementsAre("steer 10.244.2.0/24 to peer 2", "stop steering 10.244.2.0/25",
                                         "stop steering 10.244.2.128/25",
                                         "add route 10.244.2.0/24 dev wglan0 metric 2147483632",
                                         "remove route 10.244.2.0/25 dev wglan0 metric 2147483632",
                                         "remove route 10.244.2.128/25 dev wglan0 metric 2147483632"));
}

TEST_F(DiffTest, MovesAPrefixByAddingItToItsNewOwnerAlone) {
    const Observed seen = applied();
    const Prefix moving = net("10.244.3.0/24");
    want.peers[key(3)].allowed_ips = {net("192.0.2.3/32")};
    want.peers[key(2)].allowed_ips = {net("10.244.2.0/24"), moving, net("192.0.2.2/32")};
    want.steer_routes[moving].peer = 2;
    EXPECT_THAT(plan(seen), ElementsAre("change peer " + to_string(key(2)) + " +10.244.3.0/24",
                                        "steer 10.244.3.0/24 to peer 2"));
}

TEST_F(DiffTest, AReplacedPeerLosesNoPrefixOnTheWay) {
    const Observed seen = applied();
    WgPeer successor = want.peers[key(3)];
    want.peers.erase(key(3));
    successor.key = key(9);
    want.peers[key(9)] = successor;
    const auto lines = plan(seen);
    ASSERT_GE(lines.size(), 2U);
    EXPECT_THAT(lines[0], testing::StartsWith("add peer " + to_string(key(9))));
    EXPECT_EQ(lines[1], "remove peer " + to_string(key(3)));
}

TEST_F(DiffTest, OneStateIsOneLine) {
    const Observed seen = applied();
    want.steer_peers[2].state = PeerState::up;
    EXPECT_THAT(plan(seen), ElementsAre("set steering of peer 2 (node2) to up"));
}

TEST_F(DiffTest, AnEndpointLeftToWireGuardIsNoDifference) {
    Observed seen = applied();
    seen.wireguard->peers[0].peer.endpoint = at("203.0.113.9:1");
    EXPECT_THAT(plan(seen), IsEmpty());
    want.peers[key(2)].endpoint = at("192.0.2.2:51820");
    EXPECT_THAT(plan(seen), ElementsAre("change peer " + to_string(key(2)) + " endpoint 192.0.2.2:51820"));
}

TEST_F(DiffTest, ARemovedKeepaliveOrPresharedKeyIsSeen) {
    const Observed seen = applied();
    want.peers[key(2)].keepalive_s = 0;
    want.peers[key(3)].preshared = {};
    EXPECT_THAT(plan(seen), ElementsAre("change peer " + to_string(key(2)) + " keepalive 0s",
                                        "change peer " + to_string(key(3)) + " preshared-key"));
}

TEST_F(DiffTest, ARemovedAllowedIpTouchesNothingElse) {
    const Observed seen = applied();
    want.peers[key(2)].allowed_ips = {net("192.0.2.2/32")};
    EXPECT_THAT(plan(seen), ElementsAre("change peer " + to_string(key(2)) + " -10.244.2.0/24"));
}

TEST_F(DiffTest, RepairsWhatOthersChanged) {
    Observed seen = applied();
    seen.interface->addresses.erase({ip("192.0.2.1"), 32, 0});
    seen.interface->addresses.insert({ip("198.51.100.1"), 24, 0});
    seen.interface->rp_filter = 1;
    seen.interface->link.mtu = 9000;
    seen.routes.clear();
    seen.attachments.erase(seen.attachments.begin());
    EXPECT_THAT(
        plan(seen),
        ElementsAre("set mtu 1420 on wglan0", "set rp_filter 2 on wglan0",
                    "add address 192.0.2.1/32 on wglan0", "remove address 198.51.100.1/24 on wglan0",
                    "attach wglan_egress to eth0", "add route 10.244.2.0/24 dev wglan0 metric 2147483632",
                    "add route 10.244.3.0/24 dev wglan0 metric 2147483632"));
}

TEST_F(DiffTest, LeavesAnUplinkThatIsNoMore) {
    const Observed seen = applied();
    want.uplinks = {{3, "eth1"}};
    EXPECT_THAT(plan(seen), ElementsAre("attach wglan_egress to eth1", "detach wglan_egress from eth0"));
}

TEST_F(DiffTest, FollowsANewIfindex) {
    Observed seen = applied();
    seen.interface->link.ifindex = 8;
    const auto lines = plan(seen);
    EXPECT_THAT(lines, testing::Contains("set steering to interface 8 port 51820 mtu 1420"));
    EXPECT_THAT(lines, testing::Contains("attach wglan_tun_in and wglan_tun_out to wglan0"));
    EXPECT_THAT(lines, testing::Contains("add route 10.244.2.0/24 dev wglan0 metric 2147483632"));
}

TEST_F(DiffTest, APortLeftToTheKernelIsAdopted) {
    Observed seen = applied();
    seen.wireguard->listen_port = 40000;
    seen.steer_config.listen_port = 40000;
    want.listen_port = 0;
    EXPECT_THAT(plan(seen), IsEmpty());
}

TEST_F(DiffTest, ALargeDesiredStateIsStable) {
    for (int i = 0; i < 1000; ++i) {
        PublicKey k = key(50);
        k.bytes[1] = static_cast<std::uint8_t>(i);
        k.bytes[2] = static_cast<std::uint8_t>(i >> 8);
        WgPeer wg;
        wg.key = k;
        wg.allowed_ips = {
            Prefix::make(
                IpAddress::v4({10, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i), 0}), 24)
                .value()};
        want.peers[k] = wg;
    }
    EXPECT_THAT(plan(applied()), IsEmpty());
}

}  // namespace
}  // namespace wglan
