// SPDX-License-Identifier: Apache-2.0
// wglan0's two directions. Packets carry no MAC header there, but BPF_PROG_TEST_RUN takes the first 14
// bytes for one: bytes 12 and 13 become skb->protocol. They are the start of an IPv4 source address,
// and the third group of an IPv6 one, so sources are 8.0.x.x and 2001:db8:86dd::x here.
#include "tests/bpf/steer_fixture.h"

namespace wglan::test {

namespace {

constexpr How kIn{.program = "wglan_tun_in"}, kOut{.program = "wglan_tun_out"};

Ip v4(const char* destination = "10.1.2.3") { return {.source = "8.0.0.1", .destination = destination}; }
Ip v6(const char* destination = "fd01::5") {
    return {.source = "2001:db8:86dd::1", .destination = destination};
}

Ip syn(Ip packet, std::uint16_t value) {
    packet.protocol = 6;
    packet.transport = tcp(TcpFlags::syn, mss(value));
    return packet;
}

}  // namespace

TEST_F(Steer, CountsReceivedByInnerSource) {
    expect_untouched(v4("172.16.0.1").bytes(), kNext, kIn);
    expect_untouched(v6("2001:4860::1").bytes(), kNext, kIn);
    const auto after = peer_counters();
    EXPECT_EQ(after.rx_packets, 2U);
    EXPECT_EQ(after.rx_bytes, v4().bytes().size() + v6().bytes().size());
    EXPECT_EQ(after.tx_packets, 0U);
}

TEST_F(Steer, CountsSentByDestination) {
    expect_untouched(v4().bytes(), kNext, kOut);
    expect_untouched(v6().bytes(), kNext, kOut);
    expect_untouched(v4("172.16.0.1").bytes(), kNext, kOut);
    const auto after = peer_counters();
    EXPECT_EQ(after.tx_packets, 2U);
    EXPECT_EQ(after.tx_bytes, v4().bytes().size() + v6().bytes().size());
    EXPECT_EQ(after.rx_packets, 0U);
}

TEST_F(Steer, ClampsInBothDirections) {
    for (const How& way : {kIn, kOut}) {
        expect_becomes(syn(v4(), 1460).bytes(), kNext, syn(v4(), kMtu - 40).bytes(), way);
        expect_becomes(syn(v6(), 1460).bytes(), kNext, syn(v6(), kMtu - 60).bytes(), way);
        // Nobody's addresses, but through the tunnel all the same.
        expect_becomes(syn(v4("172.16.0.1"), 1460).bytes(), kNext, syn(v4("172.16.0.1"), kMtu - 40).bytes(),
                       way);
    }
    EXPECT_EQ(counters().mss_clamped, 6U);
    route("8.0.0.0/24", SteerAction::steer, kPeer, 1300);
    expect_becomes(syn(v4(), 1460).bytes(), kNext, syn(v4(), 1260).bytes(), kIn);
}

TEST_F(Steer, DropsTunnelInTunnelComingIn) {
    Ip packet = v4("172.16.0.1");
    packet.transport = udp(40000, kPort);
    expect_untouched(packet.bytes(), kDrop, kIn);
    packet = v6("2001:4860::1");
    packet.transport = udp(kPort, kPort);
    expect_untouched(packet.bytes(), kDrop, kIn);
    packet.transport = udp(kPort, 53);
    expect_untouched(packet.bytes(), kNext, kIn);
    EXPECT_EQ(counters().dropped.at("tunnel_in_tunnel"), 2U);
}

TEST_F(Steer, DropsTunnelInTunnelGoingOut) {
    endpoint(SteerEndpoint::Kind::outer, "10.1.2.3:51999");
    Ip packet = v4();
    packet.transport = udp(kPort, 51999);
    expect_untouched(packet.bytes(), kDrop, kOut);
    packet.transport = udp(kPort, 5353);
    expect_untouched(packet.bytes(), kNext, kOut);
    expect_untouched(packet.bytes(), kDrop, {.program = "wglan_tun_out", .mark = kMark});
    // The agent's own marked connections may well go through the tunnel.
    expect_untouched(syn(v4(), 1000).bytes(), kNext, {.program = "wglan_tun_out", .mark = kMark});
    EXPECT_EQ(counters().dropped.at("tunnel_in_tunnel"), 2U);
}

// What an uplink's program has seen to is only counted; nothing else is taken for that.
TEST_F(Steer, CountsWhatWasHandedOver) {
    constexpr std::uint32_t kHanded = 0x9d675741;
    const Bytes packet = syn(v4("172.16.0.1"), 1460).bytes();
    const auto clamped = [&](std::array<std::uint32_t, 3> block) {
        return run(packet, {.program = "wglan_tun_out", .control_block = block}).packet != packet;
    };
    EXPECT_FALSE(clamped({kHanded, kHanded, kPeer}));
    EXPECT_EQ(peer_counters().tx_packets, 1U);
    EXPECT_EQ(peer_counters().tx_bytes, packet.size());
    EXPECT_TRUE(clamped({kHanded, 0, kPeer}));
    EXPECT_TRUE(clamped({0, kHanded, kPeer}));
    EXPECT_FALSE(clamped({kHanded, kHanded, kPeer + 1}));  // an unknown peer isn't counted
    EXPECT_EQ(peer_counters().tx_packets, 1U);
}

TEST_F(Steer, CountsGsoBySegments) {
    Ip packet = v4();
    packet.protocol = 6;
    packet.transport = tcp(TcpFlags::ack, {}, filler(2000));
    (void)run(packet.bytes(), {.program = "wglan_tun_out", .gso_size = 1000});
    EXPECT_EQ(peer_counters().tx_packets, 2U);
}

}  // namespace wglan::test
