// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/codec.h"

#include <vector>

#include <gtest/gtest.h>

namespace wglan {

TEST(Codec, RoutesSurvive) {
    const auto prefix = Prefix::parse("10.1.0.0/16").value();
    for (const auto action : {SteerAction::pass, SteerAction::steer, SteerAction::drop}) {
        const SteerRoute route{prefix, action, 12, 1380, action == SteerAction::steer};
        EXPECT_EQ(decode_route(prefix, encode_route(route)), route);
    }
    wglan_route foreign{};
    foreign.action = 77;
    EXPECT_EQ(decode_route(prefix, foreign).action, SteerAction::drop);
}

TEST(Codec, PeersSurvive) {
    SteerPeer peer{5, {}, PeerState::degraded, Fallback::drop, Fallback::bypass, "node-b"};
    for (std::size_t i = 0; i < 32; ++i) peer.key.bytes[i] = static_cast<std::uint8_t>(i);
    for (const auto state :
         {PeerState::unknown, PeerState::up, PeerState::degraded, PeerState::down, PeerState::quarantined}) {
        peer.state = state;
        EXPECT_EQ(decode_peer(5, encode_peer(peer)), peer);
    }
}

// As the programs take it: nothing leaves in clear because of a number nobody knows.
TEST(Codec, UnknownNumbersReadAsTheStrictest) {
    wglan_peer foreign{};
    foreign.state = 200;
    foreign.when_unknown = foreign.when_down = 9;
    const auto peer = decode_peer(1, foreign);
    EXPECT_EQ(peer.state, PeerState::quarantined);
    EXPECT_EQ(peer.when_unknown, Fallback::drop);
    EXPECT_EQ(peer.when_down, Fallback::drop);
}

TEST(Codec, EndpointsSurviveAndFragmentEntriesAreNone) {
    for (const char* where : {"192.0.2.1:51820", "[2001:db8::1]:6443"}) {
        const SteerEndpoint endpoint{SteerEndpoint::Kind::reach, Endpoint::parse(where).value(), 6};
        const auto [whole, fragment] = encode_endpoint(endpoint);
        SteerEndpoint decoded;
        ASSERT_TRUE(decode_endpoint(whole, decoded));
        EXPECT_EQ(decoded, endpoint);
        ASSERT_TRUE(fragment);
        EXPECT_FALSE(decode_endpoint(*fragment, decoded));
        EXPECT_EQ(fragment->port, 0);
        EXPECT_EQ(fragment->protocol, 6);
    }
    // Else a datagram of anybody's to a peer's address would leave in clear, but for its beginning.
    for (const auto kind : {SteerEndpoint::Kind::outer, SteerEndpoint::Kind::serve})
        EXPECT_FALSE(encode_endpoint({kind, Endpoint::parse("192.0.2.1:51820").value(), 17}).fragment);
    wglan_endpoint_key foreign{};
    foreign.kind = 9;
    SteerEndpoint decoded;
    EXPECT_FALSE(decode_endpoint(foreign, decoded));
}

TEST(Codec, ConfigSurvivesAndLeavesTheRest) {
    const SteerConfig config{.interface_ifindex = 7,
                             .listen_port = 51820,
                             .interface_mtu = 1420,
                             .firewall_mark = 0x10,
                             .firewall_mark_mask = 0x30,
                             .orphan_after_s = 3600};
    wglan_config encoded{};
    encoded.layout_version = 4;
    encoded.heartbeat_ns = 99;
    encode_config(config, encoded);
    EXPECT_EQ(decode_config(encoded), config);
    EXPECT_EQ(encoded.layout_version, 4U);
    EXPECT_EQ(encoded.heartbeat_ns, 99U);
}

TEST(Codec, CountersAreSumsOverCpus) {
    std::vector<wglan_stats> cpus(3);
    for (auto& cpu : cpus) {
        cpu.steered4 = 1;
        cpu.steered6 = 2;
        cpu.passed = 3;
        cpu.mss_clamped = 4;
        cpu.packet_too_big = 5;
        cpu.oversized = 6;
        cpu.dropped[WGLAN_DROP_PEER_DOWN] = 7;
    }
    const auto sum = decode_counters(cpus);
    EXPECT_EQ(sum.steered4, 3U);
    EXPECT_EQ(sum.steered6, 6U);
    EXPECT_EQ(sum.passed, 9U);
    EXPECT_EQ(sum.mss_clamped, 12U);
    EXPECT_EQ(sum.packet_too_big, 15U);
    EXPECT_EQ(sum.oversized, 18U);
    EXPECT_EQ(sum.dropped.at("peer_down"), 21U);
    EXPECT_EQ(sum.dropped.at("too_big"), 0U);

    const std::vector<wglan_peer_stats> peers = {{1, 2, 3, 4}, {10, 20, 30, 40}};
    const auto peer = decode_peer_counters(peers);
    EXPECT_EQ(peer.tx_packets, 11U);
    EXPECT_EQ(peer.tx_bytes, 22U);
    EXPECT_EQ(peer.rx_packets, 33U);
    EXPECT_EQ(peer.rx_bytes, 44U);
}

TEST(Dataplane, RefusesOptionsThatMakeNoSense) {
    EXPECT_FALSE(make_dataplane({.pin_path = "relative"}));
    EXPECT_FALSE(make_dataplane({.pin_path = ""}));
    EXPECT_FALSE(make_dataplane({.max_routes = 0}));
    auto plane = make_dataplane({});
    ASSERT_TRUE(plane);
    EXPECT_EQ((*plane)->state().error().kind(), ErrorKind::internal);
    EXPECT_EQ((*plane)->put_routes({}).error().kind(), ErrorKind::internal);
    EXPECT_EQ((*plane)->attach_uplink(1, "lo").error().kind(), ErrorKind::internal);
    EXPECT_EQ((*plane)->detach(1).error().kind(), ErrorKind::internal);
}

}  // namespace wglan
