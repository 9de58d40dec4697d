// SPDX-License-Identifier: Apache-2.0
// Uplink egress: who is steered, who passes, who is dropped.
#include <time.h>

#include "tests/bpf/steer_fixture.h"

namespace wglan::test {

namespace {

constexpr char kHost4[] = "192.0.2.1", kHost6[] = "2001:db8:1::1";
constexpr char kPeer4[] = "10.1.2.3", kPeer6[] = "fd01::5";
constexpr char kOther4[] = "198.51.100.9", kOther6[] = "2001:4860::8888";

Ip v4(const char* destination = kPeer4) { return {.source = kHost4, .destination = destination}; }
Ip v6(const char* destination = kPeer6) { return {.source = kHost6, .destination = destination}; }

Ip icmpv6(std::uint8_t type) {
    Ip packet = v6();
    packet.protocol = 58;
    packet.transport = icmp(type);
    return packet;
}

Ip extended(const Bytes& extensions, std::uint8_t first, std::uint8_t protocol = 17) {
    Ip packet = v6();
    packet.extensions = extensions;
    packet.first_extension = first;
    packet.protocol = protocol;
    return packet;
}

struct Case {
    const char* what;
    Bytes packet;
    Verdict verdict;
};

std::uint64_t boot_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

TEST_F(Steer, JudgesByDestinationAndLeavesPacketsAsTheyAre) {
    Ip options = v4();
    options.options = {7, 7, 4, 0, 0, 0, 0, 0};
    Ip first = v4();
    first.fragment = 0x2000;
    Ip later = v4();
    later.fragment = 100;
    Ip tcp_data = v4();
    tcp_data.protocol = 6;
    tcp_data.transport = tcp(TcpFlags::ack, {}, filler(100));
    Ip ttl = v4();
    ttl.ttl = 1;
    const Bytes hop = {17, 0, 5, 2, 0, 0, 1, 0}, fragment = {17, 0, 0, 1, 0, 0, 0, 1};
    const Bytes later6 = {17, 0, 0, 8, 0, 0, 0, 1};
    Bytes broadcast = frame(v4());
    std::fill_n(broadcast.begin(), 6, std::uint8_t{0xff});
    const Case cases[] = {
        {"IPv4 to a peer", frame(v4()), kRedirect},
        {"IPv6 to a peer", frame(v6()), kRedirect},
        {"IPv4 elsewhere", frame(v4(kOther4)), kNext},
        {"IPv6 elsewhere", frame(v6(kOther6)), kNext},
        {"the address after the prefix", frame(v4("10.2.0.0")), kNext},
        {"the last address of the prefix", frame(v4("10.1.255.255")), kRedirect},
        {"IPv4 options", frame(options), kRedirect},
        {"a first fragment", frame(first), kRedirect},
        {"a later fragment", frame(later), kRedirect},
        {"TCP data", frame(tcp_data), kRedirect},
        {"TTL of 1, which stays 1", frame(ttl), kRedirect},
        {"a hop-by-hop header", frame(extended(hop, 0)), kRedirect},
        {"a first fragment, IPv6", frame(extended(fragment, 44)), kRedirect},
        {"a later fragment, IPv6", frame(extended(later6, 44)), kRedirect},
        {"an authentication header", frame(extended(Bytes{17, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2}, 51)),
         kRedirect},
        {"no next header", frame(extended({}, 0, 59)), kRedirect},
        {"an unknown protocol", frame(extended({}, 0, 253)), kRedirect},
        {"echo request, IPv6", frame(icmpv6(128)), kRedirect},
        {"ARP", frame(0x0806, filler(28)), kNext},
        {"802.1Q", frame(0x8100, Bytes{0, 5, 8, 0} + v4().bytes()), kNext},
        {"802.1ad", frame(0x88a8, Bytes{0, 5, 8, 0} + v4().bytes()), kNext},
        {"MPLS", frame(0x8847, Bytes{0, 0, 1, 64} + v4().bytes()), kNext},
        {"a broadcast frame", broadcast, kNext},
    };
    for (const Case& one : cases) {
        SCOPED_TRACE(one.what);
        expect_untouched(one.packet, one.verdict);
    }
    const auto after = counters();
    EXPECT_EQ(after.steered4, 7U);
    EXPECT_EQ(after.steered6, 8U);
    EXPECT_EQ(after.passed, 8U);
}

// Whatever the maps say: these belong to the link, or to everybody.
TEST_F(Steer, NeverSteersLinkScope) {
    for (const char* prefix : {"0.0.0.0/0", "::/0"}) route(prefix, SteerAction::steer, kPeer);
    for (const char* destination :
         {"224.0.0.1", "239.1.2.3", "255.255.255.255", "240.0.0.1", "169.254.169.254", "127.0.0.1", "0.0.0.0",
          "ff02::1", "ff0e::5", "fe80::1", "febf::1", "::1", "::"}) {
        SCOPED_TRACE(destination);
        expect_untouched(frame(std::string(destination).find(':') == std::string::npos ? v4(destination)
                                                                                       : v6(destination)),
                         kNext);
    }
    expect_untouched(frame(v4(kOther4)), kRedirect);
    expect_untouched(frame(v6("fec0::1")), kRedirect);
}

TEST_F(Steer, NeverSteersNeighbourDiscovery) {
    for (std::uint8_t type = 133; type <= 137; ++type) expect_untouched(frame(icmpv6(type)), kNext);
    for (const std::uint8_t type : {std::uint8_t{132}, std::uint8_t{138}})
        expect_untouched(frame(icmpv6(type)), kRedirect);
    Ip behind = icmpv6(135);
    behind.extensions = {58, 0, 1, 4, 0, 0, 0, 0};
    behind.first_extension = 60;
    expect_untouched(frame(behind), kNext);
}

TEST_F(Steer, LetsOuterPacketsPassByMark) {
    expect_untouched(frame(v4()), kNext, {.mark = kMark});
    expect_untouched(frame(v6()), kNext, {.mark = kMark | 0x4000});
    expect_untouched(frame(v4()), kRedirect, {.mark = 0x4000});
    auto settings = usual_config();
    settings.firewall_mark = settings.firewall_mark_mask = 0;
    config(settings);
    expect_untouched(frame(v4()), kRedirect, {.mark = kMark});
    expect_untouched(frame(v4()), kRedirect);
}

TEST_F(Steer, LetsOuterPacketsPassByPortAndEndpoint) {
    endpoint(SteerEndpoint::Kind::outer, "10.1.2.3:51999");
    endpoint(SteerEndpoint::Kind::outer, "[fd01::5]:51999");
    for (Ip packet : {v4(), v6()}) {
        SCOPED_TRACE(packet.destination);
        packet.transport = udp(kPort, 51999);
        expect_untouched(frame(packet), kNext);
        packet.transport = udp(kPort, 51998);
        expect_untouched(frame(packet), kRedirect);
        packet.transport = udp(kPort + 1, 51999);
        expect_untouched(frame(packet), kRedirect);
    }
    Ip other = v4("10.1.2.4");
    other.transport = udp(kPort, 51999);
    expect_untouched(frame(other), kRedirect);

    // Whose they are nobody can tell: the rest of anybody's datagram must not leave in clear.
    Ip later = v4();
    later.fragment = 0x2001;
    const Bytes later6 = frame(extended(Bytes{17, 0, 0, 8, 0, 0, 0, 1}, 44));
    expect_untouched(frame(later), kRedirect);
    expect_untouched(later6, kRedirect);
    // What is always to be reached is, as a whole.
    endpoint(SteerEndpoint::Kind::reach, "10.1.2.3:4789");
    endpoint(SteerEndpoint::Kind::reach, "[fd01::5]:4789");
    expect_untouched(frame(later), kNext);
    expect_untouched(later6, kNext);
    later.protocol = 1;
    expect_untouched(frame(later), kRedirect);
}

// What others always reach here answers, whether this side thinks that the tunnel works or not.
TEST_F(Steer, AnswersOfWhatIsAlwaysReachedAreNotDropped) {
    endpoint(SteerEndpoint::Kind::serve, v4().source + ":6443", 6);
    Ip answer = v4();
    answer.protocol = 6;
    answer.transport = tcp(TcpFlags::ack);
    answer.transport[0] = 6443 >> 8;
    answer.transport[1] = 6443 & 0xff;
    expect_untouched(frame(answer), kRedirect);
    peer(PeerState::down, Fallback::bypass, Fallback::drop);
    expect_untouched(frame(answer), kNext);
    peer(PeerState::unknown, Fallback::drop, Fallback::drop);
    expect_untouched(frame(answer), kNext);
    peer(PeerState::quarantined, Fallback::bypass, Fallback::bypass);
    expect_untouched(frame(answer), kDrop);
    peer(PeerState::down, Fallback::bypass, Fallback::drop);
    Ip other = answer;
    other.transport[1]++;
    expect_untouched(frame(other), kDrop);
    other = answer;
    other.source = "10.9.9.9";
    expect_untouched(frame(other), kDrop);
    other = answer;
    other.transport = udp(6443, 1000);
    other.protocol = 17;
    expect_untouched(frame(other), kDrop);
    // As a destination that entry means nothing.
    other = v4();
    other.destination = v4().source;
    other.protocol = 6;
    other.transport = tcp(TcpFlags::ack);
    other.transport[2] = 6443 >> 8;
    other.transport[3] = 6443 & 0xff;
    expect_untouched(frame(other), kNext);  // no steered prefix holds it
}

TEST_F(Steer, AlwaysReachMatchesAddressPortAndProtocol) {
    endpoint(SteerEndpoint::Kind::reach, "10.1.2.3:6443", 6);
    Ip packet = v4();
    packet.protocol = 6;
    packet.transport = tcp(TcpFlags::ack);
    packet.transport[2] = 6443 >> 8;
    packet.transport[3] = 6443 & 0xff;
    expect_untouched(frame(packet), kNext);
    packet.transport[3]++;
    expect_untouched(frame(packet), kRedirect);
    Ip datagram = v4();
    datagram.transport = udp(1000, 6443);
    expect_untouched(frame(datagram), kRedirect);
    // Our listen port as the source makes no difference here.
    datagram.transport = udp(kPort, 6443);
    expect_untouched(frame(datagram), kRedirect);
}

TEST_F(Steer, AlwaysReachMatchesProtocolsWithoutPorts) {
    Ip ipip = v4();
    ipip.protocol = 4;
    expect_untouched(frame(ipip), kRedirect);
    endpoint({SteerEndpoint::Kind::reach, {IpAddress::parse("10.1.2.3").value(), 0}, 4});
    expect_untouched(frame(ipip), kNext);
    ipip.protocol = 47;
    expect_untouched(frame(ipip), kRedirect);
    Ip other = v4("10.1.2.4");
    other.protocol = 4;
    expect_untouched(frame(other), kRedirect);
    expect_untouched(frame(v4()), kRedirect);
}

TEST_F(Steer, LongestPrefixDecides) {
    route("10.1.2.0/24", SteerAction::pass);
    route("10.1.2.3/32", SteerAction::drop);
    route("fd01:0:1::/48", SteerAction::pass);
    expect_untouched(frame(v4("10.1.3.1")), kRedirect);
    expect_untouched(frame(v4("10.1.2.4")), kNext);
    expect_untouched(frame(v4("10.1.2.3")), kDrop);
    expect_untouched(frame(v6("fd01:0:1::9")), kNext);
    EXPECT_EQ(counters().dropped.at("route"), 1U);
}

TEST_F(Steer, StateAndFallbackDecide) {
    constexpr auto bypass = Fallback::bypass, drop = Fallback::drop;
    struct Row {
        PeerState state;
        Fallback unknown, down;
        Verdict verdict;
        const char* reason;
    };
    const Row rows[] = {
        {PeerState::up, drop, drop, kRedirect, ""},
        {PeerState::up, bypass, bypass, kRedirect, ""},
        {PeerState::degraded, drop, drop, kRedirect, ""},
        {PeerState::unknown, bypass, drop, kNext, ""},
        {PeerState::unknown, drop, bypass, kDrop, "peer_unknown"},
        {PeerState::down, drop, bypass, kNext, ""},
        {PeerState::down, bypass, drop, kDrop, "peer_down"},
        {PeerState::quarantined, bypass, bypass, kDrop, "peer_quarantined"},
        {static_cast<PeerState>(99), bypass, bypass, kDrop, "peer_quarantined"},
    };
    for (const Row& row : rows) {
        SCOPED_TRACE(static_cast<int>(row.state));
        peer(row.state, row.unknown, row.down);
        const auto before = counters();
        expect_untouched(frame(v4()), row.verdict);
        expect_untouched(frame(v6()), row.verdict);
        if (*row.reason != '\0') {
            EXPECT_EQ(counters().dropped.at(row.reason), before.dropped.at(row.reason) + 2);
        }
    }
}

TEST_F(Steer, DropsForAPeerThatIsMissing) {
    route("10.9.0.0/16", SteerAction::steer, 4242);
    expect_untouched(frame(v4("10.9.0.1")), kDrop);
    EXPECT_EQ(counters().dropped.at("peer_missing"), 1U);
}

// Encrypted or nothing: a tunnel that is gone counts as a peer that is down.
TEST_F(Steer, FailsClosedWithoutAnInterface) {
    auto settings = usual_config();
    for (const int ifindex : {0, 987654}) {
        settings.interface_ifindex = ifindex;
        config(settings);
        peer(PeerState::up, Fallback::bypass, Fallback::drop);
        const auto before = counters().dropped.at("no_interface");
        expect_untouched(frame(v4()), kDrop);
        EXPECT_EQ(counters().dropped.at("no_interface"), before + 1);
        peer(PeerState::up, Fallback::bypass, Fallback::bypass);
        expect_untouched(frame(v4()), kNext);
        peer(PeerState::unknown, Fallback::bypass, Fallback::drop);
        expect_untouched(frame(v4()), kNext);
    }
}

TEST_F(Steer, PassesEverythingOnceOrphaned) {
    auto settings = usual_config();
    settings.orphan_after_s = 60;
    config(settings, boot_ns());
    expect_untouched(frame(v4()), kRedirect);
    // A heartbeat that another CPU wrote just now is in the future.
    config(settings, boot_ns() + 5'000'000'000);
    expect_untouched(frame(v4()), kRedirect);
    settings.orphan_after_s = 1;
    config(settings, boot_ns() > 10'000'000'000 ? boot_ns() - 10'000'000'000 : 0);
    expect_untouched(frame(v4()), kNext);
    settings.orphan_after_s = 0;
    config(settings, 0);
    expect_untouched(frame(v4()), kRedirect);
}

// A packet to a steered prefix doesn't slip past because the rest of it is odd.
TEST_F(Steer, SteersMalformedPacketsByTheirDestination) {
    const auto broken = [](Bytes bytes, std::size_t offset, std::uint8_t value) {
        bytes.at(offset) = value;
        return bytes;
    };
    Bytes cut4 = frame(v4()), cut6 = frame(v6());
    cut4.resize(14 + 20 + 3);
    cut6.resize(14 + 40 + 3);
    Ip shorter = v4();
    shorter.transport = {1, 2, 3};
    Ip option = v6();
    option.extensions = {17, 255, 0, 0, 0, 0, 0, 0};
    option.first_extension = 60;
    Ip chain = v6();
    for (int i = 0; i < 9; ++i)
        chain.extensions =
            chain.extensions + Bytes{static_cast<std::uint8_t>(i == 8 ? 17 : 60), 0, 1, 4, 0, 0, 0, 0};
    chain.first_extension = 60;
    const Case cases[] = {
        {"header length 4 words", broken(frame(v4()), 14, 0x44), kRedirect},
        {"header length past the end", broken(frame(v4()), 14, 0x4f), kRedirect},
        {"total length past the end", broken(frame(v4()), 16, 0x20), kRedirect},
        {"UDP cut short, IPv4", cut4, kRedirect},
        {"UDP cut short, IPv6", cut6, kRedirect},
        {"three bytes of UDP", frame(shorter), kRedirect},
        {"an extension past the end", frame(option), kRedirect},
        {"more extensions than anybody sends", frame(chain), kRedirect},
        {"version 5", broken(frame(v4()), 14, 0x55), kNext},
        {"version 4 as IPv6", broken(frame(v6()), 14, 0x40), kNext},
    };
    for (const Case& one : cases) {
        SCOPED_TRACE(one.what);
        expect_untouched(one.packet, one.verdict);
    }
    // Newer kernels don't take packets for a test that are shorter than an IP header.
    for (std::size_t size : {15U, 20U, 33U}) {
        Bytes cut = frame(v4());
        cut.resize(size);
        if (const auto outcome = try_run(cut)) {
            EXPECT_EQ(outcome->verdict, kNext);
            EXPECT_EQ(hex(outcome->packet), hex(cut));
        }
    }
}

// Packets without a MAC header: see TunnelTest for the addresses.
TEST_F(Steer, WorksOnUplinksWithoutMacHeader) {
    const How l3{.program = "wglan_egress_l3"};
    expect_untouched(Ip{.source = "8.0.0.1", .destination = kPeer4}.bytes(), kRedirect, l3);
    expect_untouched(Ip{.source = "8.0.0.1", .destination = kOther4}.bytes(), kNext, l3);
    expect_untouched(Ip{.source = "2001:db8:86dd::1", .destination = kPeer6}.bytes(), kRedirect, l3);
    expect_untouched(Ip{.source = "2001:db8:86dd::1", .destination = kOther6}.bytes(), kNext, l3);
}

}  // namespace wglan::test
