// SPDX-License-Identifier: Apache-2.0
// Packets that don't fit through the tunnel, and the replies made of them.
#include <algorithm>

#include "tests/bpf/steer_fixture.h"

namespace wglan::test {

namespace {

Ip sized(const char* source, const char* destination, std::size_t length) {
    Ip packet{.source = source, .destination = destination};
    packet.transport = udp(1000, 2000, filler(length - (packet.is_v4() ? 28 : 48)));
    return packet;
}

Ip big4(std::size_t length) { return sized("192.0.2.1", "10.1.2.3", length); }
Ip big6(std::size_t length) { return sized("2001:db8:1::1", "fd01::5", length); }

// RFC 1191, RFC 4443 section 3.2: from the destination, as if a router there had answered. `quote`: bytes of
// the packet in it; 0 = as of one without options and extension headers.
Bytes reply_packet(const Ip& packet, std::uint16_t mtu, std::ptrdiff_t quote = 0) {
    const Bytes whole = packet.bytes();
    const std::uint8_t high = static_cast<std::uint8_t>(mtu >> 8), low = static_cast<std::uint8_t>(mtu);
    Ip reply{.source = packet.destination, .destination = packet.source};
    reply.ttl = 64;
    if (quote == 0) quote = packet.is_v4() ? 28 : 60;
    const Bytes quoted(whole.begin(), whole.begin() + quote);
    if (!packet.is_v4()) {
        reply.protocol = 58;
        reply.transport = Bytes{2, 0, 0, 0, 0, 0, high, low} + quoted;
        return reply.bytes();
    }
    reply.protocol = 1;
    reply.fragment = 0;
    reply.transport = Bytes{3, 4, 0, 0, 0, 0, high, low} + quoted;
    Bytes bytes = reply.bytes();
    bytes[1] = 0xc0;          // class of service
    bytes[4] = bytes[5] = 0;  // identification
    bytes[10] = bytes[11] = 0;
    const auto sum = internet_checksum({bytes.begin(), bytes.begin() + 20});
    bytes[10] = static_cast<std::uint8_t>(sum >> 8);
    bytes[11] = static_cast<std::uint8_t>(sum);
    return bytes;
}

Bytes reply(const Ip& packet, std::uint16_t mtu, std::ptrdiff_t quote = 0) {
    Bytes bytes = frame(packet.is_v4() ? 0x0800 : 0x86dd, reply_packet(packet, mtu, quote));
    std::swap_ranges(bytes.begin(), bytes.begin() + 6, bytes.begin() + 6);
    return bytes;
}

}  // namespace

TEST_F(Steer, AnswersPacketsThatDoNotFit) {
    expect_untouched(frame(big4(kMtu)), kRedirect);
    expect_untouched(frame(big6(kMtu)), kRedirect);
    EXPECT_EQ(counters().packet_too_big, 0U);
    for (const std::size_t length : {std::size_t{kMtu + 1}, std::size_t{1500}}) {
        expect_becomes(frame(big4(length)), kRedirect, reply(big4(length), kMtu));
        expect_becomes(frame(big6(length)), kRedirect, reply(big6(length), kMtu));
    }
    EXPECT_EQ(counters().packet_too_big, 4U);
    EXPECT_EQ(counters().steered4 + counters().steered6, 2U);
}

TEST_F(Steer, AnswersWithTheRoutesMtu) {
    route("10.1.2.0/24", SteerAction::steer, kPeer, 1300);
    route("fd01::/64", SteerAction::steer, kPeer, 1300);
    expect_untouched(frame(big4(1300)), kRedirect);
    expect_becomes(frame(big4(1301)), kRedirect, reply(big4(1301), 1300));
    expect_becomes(frame(big6(1301)), kRedirect, reply(big6(1301), 1300));
    // The device's counts where it is the smaller one.
    route("10.1.2.0/24", SteerAction::steer, kPeer, 9000);
    expect_becomes(frame(big4(1500)), kRedirect, reply(big4(1500), kMtu));
}

// Else the sender couldn't tell whose packet it was: its stack looks for the transport behind all headers.
TEST_F(Steer, QuotesOptionsAndExtensionHeadersToo) {
    Ip v4 = big4(1460);
    for (const std::size_t length : {std::size_t{4}, std::size_t{24}, std::size_t{40}}) {
        v4.options = Bytes(length, 1);
        const auto quote = static_cast<std::ptrdiff_t>(20 + length + 8);
        expect_becomes(frame(v4), kRedirect, reply(v4, kMtu, quote));
    }
    EXPECT_EQ(counters().packet_too_big, 3U);
    const auto headers = [](std::size_t length) {
        Bytes bytes(length);  // destination options, padded (RFC 8200 section 4.2)
        bytes.at(0) = 17;
        bytes.at(1) = static_cast<std::uint8_t>(length / 8 - 1);
        return bytes;
    };
    struct Row {
        std::size_t length;
        std::ptrdiff_t quote;
    };
    for (const Row& row : {Row{8, 60}, Row{16, 64}, Row{48, 96}, Row{104, 152}, Row{256, 152}}) {
        SCOPED_TRACE(row.length);
        Ip v6 = big6(1440);
        v6.extensions = headers(row.length);
        v6.first_extension = 60;
        expect_becomes(frame(v6), kRedirect, reply(v6, kMtu, row.quote));
    }
    Ip first = big6(1420);
    first.extensions = {17, 0, 0, 1, 0, 0, 0, 1};
    first.first_extension = 44;
    expect_becomes(frame(first), kRedirect, reply(first, kMtu, 60));
}

TEST_F(Steer, NeverAnswersAMalformedHeader) {
    Bytes packet = frame(big4(1500));
    packet.at(14) = 0x44;  // four words
    expect_untouched(packet, kDrop);
    EXPECT_EQ(counters().dropped.at("too_big"), 1U);
}

TEST_F(Steer, AnswersOnUplinksWithoutMacHeader) {
    const Ip v4 = sized("8.0.0.1", "10.1.2.3", 1500), v6 = sized("2001:db8:86dd::1", "fd01::5", 1500);
    expect_becomes(v4.bytes(), kRedirect, reply_packet(v4, kMtu), {.program = "wglan_egress_l3"});
    expect_becomes(v6.bytes(), kRedirect, reply_packet(v6, kMtu), {.program = "wglan_egress_l3"});
}

// Segments count, not the length of the whole: 20 + 20 + gso_size.
TEST_F(Steer, JudgesGsoBySegments) {
    TunDevice wide("wide", 65000);
    auto settings = usual_config();
    settings.interface_ifindex = wide.ifindex();
    config(settings);
    route("10.1.2.0/24", SteerAction::steer, kPeer, 1420);
    Ip packet{.source = "192.0.2.1", .destination = "10.1.2.3", .protocol = 6};
    packet.transport = tcp(TcpFlags::ack, {}, filler(2600));
    expect_untouched(frame(packet), kRedirect, {.gso_size = 1380});
    EXPECT_EQ(counters().packet_too_big, 0U);
    expect_becomes(frame(packet), kRedirect, reply(packet, 1420), {.gso_size = 1381});
    EXPECT_EQ(counters().packet_too_big, 1U);
}

TEST_F(Steer, SteersWholeWhatMayBeFragmented) {
    Ip packet = big4(1500);
    packet.fragment = 0;
    expect_untouched(frame(packet), kRedirect);
    EXPECT_EQ(counters().oversized, 1U);
    EXPECT_EQ(counters().packet_too_big, 0U);
}

TEST_F(Steer, NeverAnswersErrorsFragmentsOrStrangers) {
    Ip error4 = big4(1500), error6 = big6(1500), later = big6(1500);
    error4.protocol = 1;
    error4.transport = icmp(3, 1, filler(1400));
    error6.protocol = 58;
    error6.transport = icmp(1, 0, filler(1400));
    later.extensions = {17, 0, 0, 8, 0, 0, 0, 1};
    later.first_extension = 44;
    std::uint64_t dropped = 0;
    for (const Ip& packet :
         {error4, error6, later, sized("0.0.0.0", "10.1.2.3", 1500), sized("224.0.0.1", "10.1.2.3", 1500),
          sized("::", "fd01::5", 1500), sized("ff02::1", "fd01::5", 1500)}) {
        expect_untouched(frame(packet), kDrop);
        EXPECT_EQ(counters().dropped.at("too_big"), ++dropped);
    }
    Ip echo = big4(1500);
    echo.protocol = 1;
    echo.transport = icmp(8, 0, filler(1476));
    expect_becomes(frame(echo), kRedirect, reply(echo, kMtu));
}

TEST_F(Steer, LimitsTheRateOfReplies) {
    // Test processes stay on one CPU; at most 128 in each second.
    for (int i = 0; i < 4000; ++i) (void)run(frame(big4(1500)));
    const auto after = counters();
    EXPECT_EQ(after.packet_too_big + after.dropped.at("too_big"), 4000U);
    EXPECT_GE(after.packet_too_big, 128U);
    EXPECT_GT(after.dropped.at("too_big"), 0U);
}

}  // namespace wglan::test
