// SPDX-License-Identifier: Apache-2.0
// podDatapath: direct, program by program. At wglan0's ingress BPF_PROG_TEST_RUN takes the first 14 bytes for
// a MAC header (see tunnel_test.cpp), hence the peer's pods in 8.0.0.0/16 and 2001:db8::/32.
#include "agent/dataplane/direct.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <random>

#include "maps/convert.h"
#include "tests/bpf/steer_fixture.h"

namespace wglan::test {

namespace {

constexpr char kOwn4[] = "10.2.0.5", kOwn6[] = "fd02::5";
constexpr char kRemote4[] = "8.0.0.1", kRemote6[] = "2001:db8:86dd::1";
constexpr MacAddress kPodMac{0x02, 0, 0, 0, 0, 0x05};

void shell(const std::string& command) { ASSERT_EQ(std::system(command.c_str()), 0) << command; }

Ip out4(Bytes transport = udp(1000, 2000), std::uint8_t protocol = 17) {
    return {
        .source = kOwn4, .destination = kRemote4, .protocol = protocol, .transport = std::move(transport)};
}
Ip out6(Bytes transport = udp(1000, 2000), std::uint8_t protocol = 17) {
    return {
        .source = kOwn6, .destination = kRemote6, .protocol = protocol, .transport = std::move(transport)};
}
Ip in4(Bytes transport = udp(2000, 1000), std::uint8_t protocol = 17) {
    return {
        .source = kRemote4, .destination = kOwn4, .protocol = protocol, .transport = std::move(transport)};
}
Ip in6(Bytes transport = udp(2000, 1000), std::uint8_t protocol = 17) {
    return {
        .source = kRemote6, .destination = kOwn6, .protocol = protocol, .transport = std::move(transport)};
}

Ip hop(Ip packet) {
    --packet.ttl;
    return packet;
}

// An ICMP error's body: 4 unused bytes and the quoted packet.
Bytes quote(const Ip& packet, std::size_t most = 1000) {
    Bytes bytes = packet.bytes();
    if (bytes.size() > most) bytes.resize(most);
    return Bytes{0, 0, 0, 0} + bytes;
}

class Direct : public Steer {
protected:
    void SetUp() override {
        Steer::SetUp();
        if (HasFatalFailure()) return;
        auto direct = DirectObject::load(bpffs() + "/steer",
                                         [this](const char* name) { return object().map_fd(name); });
        if (!direct && direct.error().kind() == ErrorKind::unsupported)
            GTEST_SKIP() << direct.error().message();
        ASSERT_TRUE(direct) << direct.error().message();
        direct_ = std::move(*direct);
        pod_ = make_veth("pod", "podpeer");
        shell("echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
        shell(std::string("ip route add ") + kOwn4 + " dev pod; ip -6 route add " + kOwn6 + " dev pod");
        shell("ip link set pod address 02:00:00:00:00:02");  // kDestinationMac
        neighbour("replace", "lladdr 02:00:00:00:00:05 nud permanent");
        put({pod_, "pod", PodDevice::Kind::peer, {0x02, 0, 0, 0, 0, 0x02}});
        own({"10.2.0.0/16", "fd02::/32"});
        peers_pods("8.0.0.0/16");
        peers_pods("2001:db8::/32");
    }
    void TearDown() override {
        if (pod_ != 0) remove_link("pod");
        direct_.reset();
        Steer::TearDown();
    }

    static void neighbour(const std::string& verb, const std::string& state) {
        for (const char* address : {kOwn4, kOwn6})
            shell("ip neigh " + verb + " " + address + " dev pod " + state);
    }
    void put(const PodDevice& device) {
        ASSERT_TRUE(direct_->tables().pods.put(static_cast<__u32>(device.ifindex), encode_pod(device)));
    }
    void own(const std::vector<std::string>& prefixes) {
        std::set<Prefix> set;
        for (const auto& text : prefixes) set.insert(Prefix::parse(text).value());
        ASSERT_TRUE(direct_->tables().own.put(0, encode_own(set)));
    }
    void peers_pods(const std::string& text) {
        const auto prefix = Prefix::parse(text).value();
        const auto value = encode_route({prefix, SteerAction::steer, kPeer, 0, true});
        ASSERT_TRUE(prefix.family() == Family::v4 ? object().tables().route4.put(to_key4(prefix), value)
                                                  : object().tables().route6.put(to_key6(prefix), value));
        cache(true);  // another generation
    }
    How sent() const { return {.fd = direct_->program("wglan_pod_in").fd, .ifindex = pod_}; }
    How received() const {
        return {.fd = direct_->program("wglan_tun_dir").fd, .ifindex = tunnel().ifindex()};
    }

    void expect_sent(const Ip& packet) {
        expect_becomes(frame(packet), kRedirect, frame(hop(packet)), sent());
    }
    void expect_stack(const Ip& packet) {
        if (packet.source == kOwn4 || packet.source == kOwn6)
            expect_untouched(frame(packet), kNext, sent());
        else
            expect_untouched(packet.bytes(), kNext, received());
    }
    void expect_delivered(const Ip& packet, const MacAddress& to = kPodMac) {
        const Bytes mac = Bytes(to.begin(), to.end()) + Bytes{0x02, 0, 0, 0, 0, 0x02} +
                          (packet.is_v4() ? Bytes{0x08, 0x00} : Bytes{0x86, 0xdd});
        expect_becomes(packet.bytes(), kRedirect, mac + hop(packet).bytes(), received());
    }
    wglan_direct_stats direct_counters() const {
        wglan_direct_stats sum{};
        const auto cpus = direct_->tables().stats.get(0).value();
        for (const auto& cpu : cpus) {
            sum.sent += cpu.sent;
            sum.delivered += cpu.delivered;
            sum.known += cpu.known;
            sum.stack += cpu.stack;
        }
        return sum;
    }
    const DirectObject& direct() const { return *direct_; }
    int pod() const { return pod_; }

private:
    std::optional<DirectObject> direct_;
    int pod_ = 0;
};

}  // namespace

TEST_F(Direct, SendsBothFamiliesAHopFurther) {
    for (const Ip& packet : {out4(), out4(tcp(TcpFlags::ack), 6), out4(icmp(8), 1), out4(icmp(0), 1), out6(),
                             out6(tcp(TcpFlags::ack), 6), out6(icmp(128), 58), out6(icmp(129), 58)})
        expect_sent(packet);
    EXPECT_EQ(direct_counters().sent, 8U);
    EXPECT_EQ(counters().steered4, 4U);
    EXPECT_EQ(counters().steered6, 4U);
    Ip last = out4();
    last.ttl = 2;
    expect_sent(last);
    last.ttl = 255;
    expect_sent(last);
}

TEST_F(Direct, DeliversWithTheFramesHeader) {
    for (const Ip& packet : {in4(), in4(tcp(TcpFlags::ack), 6), in4(icmp(8), 1), in4(icmp(0), 1), in6(),
                             in6(tcp(TcpFlags::ack), 6), in6(icmp(128), 58), in6(icmp(129), 58)})
        expect_delivered(packet);
    EXPECT_EQ(direct_counters().delivered, 8U);
    EXPECT_EQ(peer_counters().rx_packets, 8U);
    put({pod(), "pod", PodDevice::Kind::bridge, {}});
    expect_delivered(in4());
    put({pod(), "pod", PodDevice::Kind::device, {}});
    expect_delivered(in6());
}

TEST_F(Direct, ResolvesNeighboursItself) {
    neighbour("del", "");
    for (const Ip& packet : {in4(), in6()}) {
        const Outcome outcome = run(packet.bytes(), received());
        EXPECT_EQ(outcome.verdict, kRedirect);
        EXPECT_EQ(hex(Bytes(outcome.packet.begin() + 14, outcome.packet.end())), hex(hop(packet).bytes()));
    }
}

TEST_F(Direct, LeavesToTheStackWhatNeedsIt) {
    const Bytes extension{17, 0, 1, 4, 0, 0, 0, 0};  // destination options, padded
    for (const bool inbound : {false, true}) {
        const auto v4 = [&] { return inbound ? in4() : out4(); };
        const auto v6 = [&] { return inbound ? in6() : out6(); };
        Ip packet = v4();
        packet.fragment = 0x2000;  // first
        expect_stack(packet);
        packet.fragment = 0x0010;  // later
        expect_stack(packet);
        packet = v4();
        packet.options = {1, 1, 1, 0};
        expect_stack(packet);
        for (const std::uint8_t ttl : Bytes{0, 1}) {
            packet = v4();
            packet.ttl = ttl;
            expect_stack(packet);
            packet = v6();
            packet.ttl = ttl;
            expect_stack(packet);
        }
        for (const std::uint8_t protocol : Bytes{2, 4, 47, 50, 132}) {
            packet = v4();
            packet.protocol = protocol;
            expect_stack(packet);
            packet = v6();
            packet.protocol = protocol;
            expect_stack(packet);
        }
        packet = v6();
        packet.extensions = extension;
        packet.first_extension = 60;
        expect_stack(packet);
        packet = v4();
        packet.transport = udp(0, 2000);
        expect_stack(packet);
        for (const std::uint8_t type : Bytes{4, 5, 9, 13, 17}) {  // quench, redirect, solicitations, requests
            packet = v4();
            packet.protocol = 1;
            packet.transport = icmp(type, 0, quote(inbound ? out4() : in4()));
            expect_stack(packet);
        }
        for (const std::uint8_t type : Bytes{130, 133, 135, 136}) {
            packet = v6();
            packet.protocol = 58;
            packet.transport = icmp(type);
            expect_stack(packet);
        }
        packet = v4();
        packet.protocol = 6;
        packet.transport = filler(16);  // less than a TCP header
        expect_stack(packet);
    }
    EXPECT_EQ(direct_counters().sent + direct_counters().delivered, 0U);
    EXPECT_GT(direct_counters().stack, 20U);
}

TEST_F(Direct, TakesOnlyPodsOfBothEnds) {
    Ip packet = out4();
    packet.source = "10.3.0.5";  // not ours: a spoofed source, a host's address
    expect_untouched(frame(packet), kNext, sent());
    packet = out6();
    packet.source = "fd03::5";
    expect_untouched(frame(packet), kNext, sent());
    route("8.0.0.0/16", SteerAction::steer, kPeer);  // a peer's, but not its pods
    route("2001:db8::/32", SteerAction::steer, kPeer);
    for (const Ip& one : {out4(), out6(), in4(), in6()}) expect_stack(one);
    route("8.0.0.0/16", SteerAction::pass);
    expect_stack(out4());
    expect_stack(in4());
    peers_pods("8.0.0.0/16");
    expect_sent(out4());
    expect_delivered(in4());
    own({});
    expect_stack(out4());
    expect_stack(in4());
    own({"10.9.0.0/16", "10.2.0.5/32"});
    expect_sent(out4());
    expect_delivered(in4());
    packet = in4();
    packet.destination = "10.1.0.1";
    expect_untouched(packet.bytes(), kNext, received());
}

TEST_F(Direct, TakesOnlyFramesForThisHost) {
    const Bytes bytes = frame(out4());
    put({pod(), "pod", PodDevice::Kind::port, {0x02, 0, 0, 0, 0, 0x77}});
    expect_untouched(bytes, kNext, sent());
    wglan_mac also{};
    std::copy(std::begin(kDestinationMac), std::end(kDestinationMac), also.mac);
    ASSERT_TRUE(direct().tables().macs.put(also, 1));
    expect_becomes(bytes, kRedirect, frame(hop(out4())), sent());
    put({pod(), "pod", PodDevice::Kind::peer, {0x02, 0, 0, 0, 0, 0x77}});  // not a bridge's matter
    expect_untouched(bytes, kNext, sent());
    expect_untouched(frame(0x0806, filler(28)), kNext, sent());
}

TEST_F(Direct, NeedsTheDevicesEntry) {
    ASSERT_TRUE(direct().tables().pods.remove(static_cast<__u32>(pod())));
    expect_stack(out4());
    expect_stack(in4());
    put({pod(), "pod", PodDevice::Kind::port, {0x02, 0, 0, 0, 0, 0x02}});
    expect_sent(out4());
    expect_stack(in4());  // delivery would be its bridge's
}

TEST_F(Direct, FollowsThePeersState) {
    peer(PeerState::down);
    expect_untouched(frame(out4()), kDrop, sent());
    expect_stack(in4());
    EXPECT_EQ(counters().dropped.at("peer_down"), 1U);
    peer(PeerState::down, Fallback::bypass, Fallback::bypass);
    expect_stack(out4());
    expect_stack(in4());
    peer(PeerState::quarantined);
    expect_untouched(frame(out6()), kDrop, sent());
    peer(PeerState::degraded);
    expect_sent(out4());
    expect_delivered(in4());
    SteerConfig settings = usual_config();
    settings.interface_ifindex = 0;
    config(settings);
    expect_untouched(frame(out4()), kDrop, sent());
    settings = usual_config();
    settings.orphan_after_s = 1;
    config(settings, 1);
    expect_stack(out4());
    expect_stack(in4());
}

TEST_F(Direct, KeepsTheTunnelOutOfItself) {
    const Ip packet = in4(udp(40000, kPort));
    expect_untouched(packet.bytes(), kDrop, received());
    EXPECT_EQ(counters().dropped.at("tunnel_in_tunnel"), 1U);
}

TEST_F(Direct, ClampsWhatComesOut) {
    const Ip syn = in4(tcp(TcpFlags::syn, mss(1460)), 6);
    const Bytes delivered = run(syn.bytes(), received()).packet;
    const Ip clamped = hop(in4(tcp(TcpFlags::syn, mss(kMtu - 40)), 6));
    EXPECT_EQ(hex(Bytes(delivered.begin() + 14, delivered.end())), hex(clamped.bytes()));
}

TEST_F(Direct, AnswersTooBigToThePod) {
    for (const bool six : {false, true}) {
        const Ip packet = six ? out6(udp(1000, 2000, filler(1400))) : out4(udp(1000, 2000, filler(1400)));
        const Bytes reply = run(frame(packet), sent()).packet;
        const Bytes whole = packet.bytes();
        Ip expected{.source = packet.destination, .destination = packet.source};
        const std::size_t kept = six ? 60 : 28;
        const Bytes rest = Bytes{0, 0, kMtu >> 8, kMtu & 0xff} +
                           Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(kept));
        expected.protocol = six ? 58 : 1;
        expected.transport = six ? icmp(2, 0, rest) : icmp(3, 4, rest);
        // The transport alone: the IP header is too_big_test's.
        const std::size_t l3 = six ? 40 : 20;
        const Bytes want = expected.bytes();
        ASSERT_EQ(reply.size(), 14 + want.size());
        EXPECT_EQ(hex(Bytes(reply.begin() + static_cast<std::ptrdiff_t>(14 + l3), reply.end())),
                  hex(Bytes(want.begin() + static_cast<std::ptrdiff_t>(l3), want.end())));
    }
    EXPECT_EQ(counters().packet_too_big, 2U);
    Ip whole = out4(udp(1000, 2000, filler(1400)));
    whole.fragment = 0;
    expect_sent(whole);
    EXPECT_EQ(counters().oversized, 1U);
}

TEST_F(Direct, JudgesErrorsByTheFlowTheyAreAbout) {
    // From a hop on the way, about what our pod sent.
    Ip error = in4(icmp(11, 0, quote(out4(), 28)), 1);
    expect_delivered(error);
    error.source = "8.0.200.1";
    expect_delivered(error);
    Ip router = error;
    router.source = "8.0.0.9";
    route("8.0.0.9/32", SteerAction::steer, kPeer);  // a node's address, no pod's
    expect_delivered(router);
    expect_delivered(in4(icmp(3, 3, quote(out4(tcp(TcpFlags::ack), 6))), 1));
    expect_delivered(in4(icmp(3, 1, quote(out4(icmp(8), 1))), 1));
    expect_delivered(in6(icmp(3, 0, quote(out6())), 58));
    expect_delivered(in6(icmp(2, 0, quote(out6(icmp(128), 58))), 58));
    // From our pod, about what it was sent.
    expect_sent(out4(icmp(3, 3, quote(in4())), 1));
    expect_sent(out6(icmp(1, 4, quote(in6())), 58));

    // About nobody's flow here, or one that went by the stack.
    Ip other = out4();
    other.source = "10.2.0.6";
    expect_stack(in4(icmp(11, 0, quote(other)), 1));
    other = out4();
    other.destination = "192.0.2.1";
    expect_stack(in4(icmp(11, 0, quote(other)), 1));
    other = out4();
    other.fragment = 0x2000;
    expect_stack(in4(icmp(11, 0, quote(other)), 1));
    other = out4();
    other.options = {1, 1, 1, 0};
    expect_stack(in4(icmp(11, 0, quote(other)), 1));
    expect_stack(in4(icmp(11, 0, quote(out4(), 20)), 1));  // no ports in it
    expect_stack(in4(icmp(11, 0, Bytes{0, 0, 0, 0} + filler(12)), 1));
    other = out4();
    other.protocol = 132;
    expect_stack(in4(icmp(11, 0, quote(other)), 1));
    other = in4();
    other.source = "8.0.0.2";  // our pod forwards somebody's
    expect_stack(out4(icmp(11, 0, quote(other)), 1));
}

TEST_F(Direct, LeavesKnownFlowsToTheStack) {
    // A real flow over the loopback device, seen by conntrack.
    shell(
        "nft add table inet known; nft 'add chain inet known out { type filter hook output priority 0; }'; "
        "nft add rule inet known out ct state new accept");
    shell(
        "ip addr add 10.2.0.5/32 dev lo; ip addr add 8.0.0.1/32 dev lo; "
        "ip -6 addr add fd02::5/128 dev lo nodad; ip -6 addr add 2001:db8:86dd::1/128 dev lo nodad");
    const auto send = [](int family, const char* from, const char* to) {
        const UniqueFd socket(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        sockaddr_storage local{}, remote{};
        const auto fill = [&](sockaddr_storage& at, const char* text, std::uint16_t port) {
            at.ss_family = static_cast<sa_family_t>(family);
            auto& four = reinterpret_cast<sockaddr_in&>(at);
            auto& six = reinterpret_cast<sockaddr_in6&>(at);
            (family == AF_INET ? four.sin_port : six.sin6_port) = htons(port);
            ::inet_pton(
                family, text,
                family == AF_INET ? static_cast<void*>(&four.sin_addr) : static_cast<void*>(&six.sin6_addr));
        };
        fill(local, from, 1000);
        fill(remote, to, 2000);
        const auto* to_address = reinterpret_cast<const sockaddr*>(&remote);
        (void)::bind(socket.get(), reinterpret_cast<const sockaddr*>(&local), sizeof local);
        (void)::sendto(socket.get(), "x", 1, 0, to_address, sizeof remote);
    };
    send(AF_INET, kOwn4, kRemote4);
    // The kernel takes its time until a new IPv6 address is routed to.
    for (int tries = 0; tries < 200; ++tries) {
        send(AF_INET6, kOwn6, kRemote6);
        if (run(frame(out6()), sent()).verdict == kNext) break;
        ::usleep(10000);
    }
    const auto before = direct_counters().known;
    shell("ip addr flush dev lo; ip -6 addr flush dev lo");
    shell(std::string("ip -6 route replace ") + kOwn6 + " dev pod");
    for (const Ip& known : {out4(), out6(), in4(), in6()}) expect_stack(known);
    // In the form in which the packets travel; about a known flow, from both ends.
    expect_stack(in4(icmp(3, 3, quote(out4())), 1));
    expect_stack(in6(icmp(1, 4, quote(out6())), 58));
    expect_stack(out4(icmp(3, 3, quote(in4())), 1));
    EXPECT_EQ(direct_counters().known - before, 7U);
    // Other ports, another protocol: another flow.
    expect_sent(out4(udp(1001, 2000)));
    expect_delivered(in4(udp(2000, 1001)));
    expect_delivered(in6(udp(2001, 1000)));
    expect_sent(out4(tcp(TcpFlags::ack), 6));
    shell("nft delete table inet known");
}

// Whatever is in a packet: it goes untouched to the stack, or a hop further between pods of both ends.
TEST_F(Direct, NeverTouchesWhatItPasses) {
    std::mt19937 random(7);
    const std::vector<Ip> seeds = {out4(), out6(), out4(tcp(TcpFlags::ack), 6),
                                   out6(icmp(1, 4, quote(in6())), 58), out4(icmp(3, 3, quote(in4())), 1)};
    int redirected = 0;
    for (int turn = 0; turn < 20000; ++turn) {
        Bytes packet = frame(seeds[random() % seeds.size()]);
        for (auto changes = random() % 4; changes > 0; --changes)
            packet[14 + random() % (packet.size() - 14)] = static_cast<std::uint8_t>(random());
        if (random() % 8 == 0) packet.resize(15 + random() % (packet.size() - 14));
        const auto outcome = try_run(packet, sent());
        if (!outcome) continue;  // the kernel takes no such packet for a test
        if (outcome->verdict == kRedirect) {
            ++redirected;
            ASSERT_EQ(outcome->packet.size(), packet.size());
            const bool six = (packet[14] >> 4) == 6;
            const std::size_t ttl = 14U + (six ? 7U : 8U);
            ASSERT_EQ(outcome->packet[ttl] + 1, packet[ttl]);
            if (!six) {
                const Bytes header(outcome->packet.begin() + 14, outcome->packet.begin() + 34);
                const Bytes before(packet.begin() + 14, packet.begin() + 34);
                ASSERT_EQ(internet_checksum(header), internet_checksum(before));
            }
            Bytes restored = outcome->packet;
            restored[ttl] = packet[ttl];
            if (!six) std::copy_n(packet.begin() + 24, 2, restored.begin() + 24);
            ASSERT_EQ(hex(restored), hex(packet));
        } else {
            ASSERT_EQ(outcome->verdict, kNext);
            ASSERT_EQ(hex(outcome->packet), hex(packet));
        }
    }
    EXPECT_GT(redirected, 2000);
}

}  // namespace wglan::test
