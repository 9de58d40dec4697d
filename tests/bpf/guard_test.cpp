// SPDX-License-Identifier: Apache-2.0
// The guard's programs: what they drop, for which reason, and that nothing else is touched.
#include <arpa/inet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "maps/convert.h"
#include "tests/bpf/guard_fixture.h"

namespace wglan::test {

namespace {

constexpr Hook kHooks[] = {Hook::xdp, Hook::tc, Hook::l3};

struct Row {
    const char* what;
    Bytes payload;
    const char* reason;  // nullptr: passes
};

}  // namespace

TEST_F(Guard, JudgesMessagesByTypeAndLength) {
    settings(1'000'000);
    const std::vector<Row> table = {
        {"keepalive", data(32), nullptr},
        {"data that is no multiple of 16", data(1437), nullptr},
        {"data too short", data(31), "guard_length"},
        {"initiation", initiation(), nullptr},
        {"initiation too short", message(1, 147), "guard_length"},
        {"initiation too long", message(1, 149), "guard_length"},
        {"response", message(2, 92), nullptr},
        {"response too short", message(2, 91), "guard_length"},
        {"response too long", message(2, 93), "guard_length"},
        {"cookie", message(3, 64), nullptr},
        {"cookie too short", message(3, 63), "guard_length"},
        {"cookie too long", message(3, 65), "guard_length"},
        {"type 0", message(0, 148), "guard_type"},
        {"type 5", message(5, 148), "guard_type"},
        {"a reserved byte set", message(0x01000004, 96), "guard_type"},
        {"text", {'G', 'E', 'T', ' ', '/', '\r', '\n'}, "guard_type"},
        {"four bytes", message(4, 4), "guard_length"},
        {"three bytes", {4, 0, 0}, "guard_length"},
        {"nothing", {}, "guard_length"},
    };
    for (const Row& row : table) {
        const auto before = row.reason ? dropped(row.reason) : 0;
        const Ruling ruling = row.reason ? Ruling::drop : Ruling::pass;
        const int ran = expect(ruling, v4(row.payload), row.what) + expect(ruling, v6(row.payload), row.what);
        EXPECT_GE(ran, 3) << row.what;
        if (row.reason) {
            EXPECT_EQ(dropped(row.reason), before + static_cast<unsigned>(ran)) << row.what;
        }
    }
    EXPECT_EQ(dropped("guard_rate"), 0U);
}

// By UDP GRO, or from a neighbour that left the segmentation to this host.
TEST_F(Guard, JudgesEachOfSeveralDatagramsInOne) {
    struct Case {
        const char* what;
        Bytes payload;
        std::uint32_t segment;
        const char* reason;
    };
    const Case table[] = {
        {"data and a shorter one", data(148) + data(96), 148, nullptr},
        {"an initiation and data", initiation() + data(96), 148, nullptr},
        {"junk behind data", data(148) + filler(148) + data(96), 148, "guard_type"},
        {"a response too long behind data", data(148) + message(2, 148), 148, "guard_length"},
        {"a tail of three bytes", data(148) + Bytes{4, 0, 0}, 148, "guard_length"},
        {"64 keepalives", message(4, 32), 32, nullptr},
    };
    for (const Case& row : table) {
        settings(1'000'000);
        Bytes payload = row.payload;
        if (row.segment == 32)
            for (int i = 1; i < 64; ++i) payload = payload + row.payload;
        for (const Hook hook : {Hook::tc, Hook::l3})
            for (const Ip& packet : {v4(payload), v6(payload)}) {
                const auto before = row.reason ? dropped(row.reason) : 0;
                const Bytes bytes = on_wire(hook, packet);
                const Judged judged = judge(hook, bytes, 1, row.segment);
                EXPECT_EQ(judged.ruling, row.reason ? Ruling::drop : Ruling::pass) << row.what;
                EXPECT_EQ(hex(judged.packet), hex(bytes)) << row.what;
                if (row.reason) {
                    EXPECT_EQ(dropped(row.reason), before + 1) << row.what;
                }
            }
    }
}

TEST_F(Guard, CountsEachInitiationOfSeveralInOne) {
    Bytes many = data(148);
    for (int i = 0; i < 4; ++i) many = many + initiation();
    const Bytes first = on_wire(Hook::tc, v4(many)), other = on_wire(Hook::tc, v4(many, "8.0.0.10"));
    EXPECT_EQ(judge(Hook::tc, first, 1, 148).ruling, Ruling::pass) << "four of five";
    EXPECT_EQ(judge(Hook::tc, first, 1, 148).ruling, Ruling::drop);
    EXPECT_EQ(dropped("guard_rate"), 1U);
    EXPECT_EQ(judge(Hook::tc, other, 1, 148).ruling, Ruling::pass);
}

// Where junk passes it takes nobody along.
TEST_F(Guard, CountsInitiationsBehindJunkThatPasses) {
    const std::uint32_t zero = 0;
    wglan_guard_settings lenient{};
    ASSERT_EQ(bpf_map_lookup_elem(guard().map_fd("wglan_guard"), &zero, &lenient), 0);
    lenient.drop_odd = 0;
    ASSERT_EQ(bpf_map_update_elem(guard().map_fd("wglan_guard"), &zero, &lenient, BPF_ANY), 0);
    Bytes many = filler(148);
    for (int i = 0; i < 4; ++i) many = many + initiation();
    const Bytes packet = on_wire(Hook::tc, v4(many));
    EXPECT_EQ(judge(Hook::tc, packet, 1, 148).ruling, Ruling::pass) << "four of five";
    EXPECT_EQ(judge(Hook::tc, packet, 1, 148).ruling, Ruling::drop);
    EXPECT_EQ(judge(Hook::tc, on_wire(Hook::tc, v4(filler(148) + filler(148))), 1, 148).ruling, Ruling::pass);
}

TEST_F(Guard, LooksAtNothingElse) {
    const Bytes junk = filler(200);
    for (Ip packet : {v4(junk), v6(junk)}) {
        packet.transport = udp(kPort, kPort + 1, junk);
        expect(Ruling::pass, packet, "another port");
        packet.transport = tcp(TcpFlags::syn);
        packet.protocol = 6;
        expect(Ruling::pass, packet, "TCP");
        packet.transport = udp(40000, kPort, junk);
        packet.protocol = 136;
        expect(Ruling::pass, packet, "UDP-Lite");
        packet.protocol = 17;
        packet.destination = packet.is_v4() ? "192.0.2.2" : "2001:db8:86dd::2";
        expect(Ruling::pass, packet, "another host's port");
    }
    const Bytes whole = v4(junk).bytes();
    for (const Hook hook : {Hook::xdp, Hook::tc})
        for (const Bytes& bytes :
             {frame(0x0806, filler(28)), frame(0x8100, Bytes{0, 5, 8, 0} + whole), frame(0x0800, filler(8)),
              frame(0x0800, Bytes(whole.begin(), whole.begin() + 22)), frame(0x86dd, whole)}) {
            const Judged judged = judge(hook, bytes);
            if (judged.packet.empty() && bytes.size() < kShort) continue;
            EXPECT_EQ(judged.ruling, Ruling::pass) << hex(bytes);
            EXPECT_EQ(hex(judged.packet), hex(bytes));
        }
}

TEST_F(Guard, SeesThroughOptionsAndExtensions) {
    Ip packet = v4(filler(100));
    packet.options = Bytes(40, 1);
    expect(Ruling::drop, packet, "IPv4 options");
    packet.transport = udp(40000, kPort, data());
    expect(Ruling::pass, packet, "data behind options");
    packet = v6(filler(100));
    packet.first_extension = 0;  // hop-by-hop, routing, destination options, AH
    packet.extensions = Bytes{43, 0, 1, 4, 0, 0, 0, 0} + Bytes{60, 0, 0, 0, 0, 0, 0, 0} +
                        Bytes{51, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} +
                        Bytes{17, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    expect(Ruling::drop, packet, "IPv6 extension headers");
    packet.transport = udp(40000, kPort, data());
    expect(Ruling::pass, packet, "data behind extension headers");
    packet.transport = udp(40000, kPort, filler(100));
    packet.extensions.resize(24);
    packet.extensions[16] = 50;  // ESP
    expect(Ruling::pass, packet, "what it can't see into");
}

// Six are looked through. What hides its port behind more than that counts as an initiation, whatever it is.
TEST_F(Guard, WhatIsBehindManyExtensionsCountsAsAnInitiation) {
    const auto behind = [&](std::size_t count, const Bytes& payload, std::uint8_t host) {
        Ip packet = v6(payload, "2001:db8:86dd:" + std::to_string(host) + "::9");
        packet.first_extension = 60;
        for (std::size_t i = 0; i < count; ++i)
            packet.extensions =
                packet.extensions +
                Bytes{static_cast<std::uint8_t>(i + 1 < count ? 60 : 17), 0, 1, 4, 0, 0, 0, 0};
        return packet;
    };
    std::uint8_t host = 20;
    for (const Hook hook : {Hook::xdp, Hook::tc}) {
        EXPECT_EQ(judge(hook, frame(behind(6, filler(100), ++host))).ruling, Ruling::drop) << to_string(hook);
        EXPECT_EQ(admitted(hook, behind(6, data(), ++host), 20), 20) << to_string(hook);
        for (const std::size_t count : {5U, 6U, 7U, 8U, 12U}) {
            const auto before = dropped("guard_rate");
            EXPECT_EQ(admitted(hook, behind(count, initiation(), ++host), 20), static_cast<int>(kRate))
                << to_string(hook) << ' ' << count;
            EXPECT_EQ(dropped("guard_rate"), before + 20 - kRate);
        }
        Ip elsewhere = behind(8, initiation(), ++host);
        elsewhere.destination = "2001:db8:86dd::2";
        EXPECT_EQ(admitted(hook, elsewhere, 20), 20) << "another host's";
    }
}

// The device below a VLAN's delivers VLAN 0 itself.
TEST_F(Guard, PriorityTagsHideNothing) {
    for (const Bytes& tag : {Bytes{0xe0, 0}, Bytes{0, 0}, Bytes{0x20, 0, 0x81, 0, 0, 0}})
        for (const Ip& packet : {v4(filler(100)), v6(filler(100)), v4(data()), v6(data())}) {
            const Bytes type = packet.is_v4() ? Bytes{8, 0} : Bytes{0x86, 0xdd};
            const Bytes tagged = frame(0x8100, tag + type + packet.bytes());
            const bool junk = packet.transport.size() == 108;
            for (const Hook hook : {Hook::xdp, Hook::tc})
                EXPECT_EQ(judge(hook, tagged).ruling, junk ? Ruling::drop : Ruling::pass)
                    << to_string(hook) << ' ' << hex(tagged);
            const Bytes another = frame(0x8100, Bytes{0, 7} + type + packet.bytes());
            for (const Hook hook : {Hook::xdp, Hook::tc})
                EXPECT_EQ(judge(hook, another).ruling, Ruling::pass) << to_string(hook);
        }
}

// A datagram's first fragment has its port; an initiation in pieces is one all the same.
TEST_F(Guard, JudgesFirstFragmentsAndLeavesLaterOnes) {
    Ip packet = v4(data(1400));
    packet.transport.resize(600);
    packet.fragment = 0x2000;
    expect(Ruling::pass, packet, "first fragment of data");
    packet.fragment = 0x2000 | 75;
    packet.transport = filler(600);
    expect(Ruling::pass, packet, "later fragment");
    packet = v4(initiation());
    packet.fragment = 0x2000;
    packet.transport.resize(8);
    expect(Ruling::drop, packet, "nothing but the UDP header");
    packet.transport = udp(40000, kPort, initiation());
    packet.transport.resize(80);
    EXPECT_EQ(admitted(Hook::xdp, packet, 20), static_cast<int>(kRate));

    packet = v6(initiation(), "2001:db8:86dd:7::1");
    packet.first_extension = 44;
    packet.extensions = {17, 0, 0, 1, 0, 0, 0, 9};
    packet.transport.resize(80);
    EXPECT_EQ(admitted(Hook::tc, packet, 20), static_cast<int>(kRate));
    packet.extensions[3] = 0x51;
    expect(Ruling::pass, packet, "later fragment");
}

TEST_F(Guard, LimitsInitiationsOfOneSource) {
    for (const Hook hook : kHooks) {
        settings(kRate);
        const std::string site = std::to_string(static_cast<int>(hook) + 1);
        const std::string flooder4 = "8.0." + site + ".1", flooder6 = "2001:db8:86dd:" + site + "::1";
        const auto before = dropped("guard_rate");
        EXPECT_EQ(admitted(hook, v4(initiation(), flooder4), 50), static_cast<int>(kRate));
        EXPECT_EQ(admitted(hook, v6(initiation(), flooder6), 50), static_cast<int>(kRate));
        EXPECT_EQ(dropped("guard_rate"), before + 100 - 2 * kRate);
        // Its own sessions go on, and so does everybody else.
        EXPECT_EQ(admitted(hook, v4(data(), flooder4), 50), 50);
        EXPECT_EQ(admitted(hook, v4(message(2, 92), flooder4), 50), 50);
        EXPECT_EQ(admitted(hook, v4(message(3, 64), flooder4), 50), 50);
        EXPECT_EQ(admitted(hook, v6(data(), flooder6), 50), 50);
        EXPECT_EQ(admitted(hook, v4(initiation(), "8.0." + site + ".2"), 3), 3);
        EXPECT_EQ(admitted(hook, v6(initiation(), "2001:db8:86dd:1" + site + "::1"), 3), 3);
        // Another host of the same /64 is the same customer.
        EXPECT_EQ(admitted(hook, v6(initiation(), "2001:db8:86dd:" + site + ":1:2:3:4"), 3), 0);
    }
}

// RFC 6052: all of IPv4 stands behind one /64.
TEST_F(Guard, TellsSourcesBehindNat64Apart) {
    EXPECT_EQ(admitted(Hook::xdp, v6(initiation(), "64:ff9b::c633:6401"), 50), static_cast<int>(kRate));
    EXPECT_EQ(admitted(Hook::xdp, v6(initiation(), "64:ff9b::c633:6402"), 3), 3);
}

TEST_F(Guard, FillsBucketsAtTheRate) {
    constexpr std::uint64_t kMinute = 60'000'000'000;  // no machine is so slow that a bucket fills meanwhile
    const std::uint32_t zero = 0;
    const wglan_guard_settings slow{
        .handshakes_per_s = 1, .drop_odd = 1, .interval_ns = kMinute, .tolerance_ns = 4 * kMinute};
    ASSERT_EQ(bpf_map_update_elem(guard().map_fd("wglan_guard"), &zero, &slow, BPF_ANY), 0);
    const Ip packet = v4(initiation(), "8.0.0.77");
    EXPECT_EQ(admitted(Hook::xdp, packet, 20), 5);
    wglan_guard_source key{};
    const auto bytes = IpAddress::parse("8.0.0.77")->mapped();
    std::copy(bytes.begin(), bytes.end(), key.address);
    const int fd = guard().map_fd("wglan_gsource");
    const auto pass_time = [&](std::uint64_t ns) {
        wglan_guard_bucket bucket{};
        ASSERT_EQ(bpf_map_lookup_elem(fd, &key, &bucket), 0);
        bucket.full_ns = bucket.full_ns > ns ? bucket.full_ns - ns : 0;
        ASSERT_EQ(bpf_map_update_elem(fd, &key, &bucket, BPF_EXIST), 0);
    };
    pass_time(2 * kMinute);
    EXPECT_EQ(admitted(Hook::xdp, packet, 20), 2);
    pass_time(1000 * kMinute);  // more than full it never is
    EXPECT_EQ(admitted(Hook::xdp, packet, 20), 5);
}

TEST_F(Guard, ChangedRatesHoldAtOnce) {
    settings(1);
    EXPECT_EQ(admitted(Hook::xdp, v4(initiation(), "8.0.0.30"), 20), 1);
    settings(12);
    EXPECT_EQ(admitted(Hook::xdp, v4(initiation(), "8.0.0.31"), 20), 12);
}

TEST_F(Guard, IsOffWithoutPortAddressesOrAgent) {
    config(0);
    expect(Ruling::pass, v4(filler(100)), "no port");
    config(kPort, 1);  // its heartbeat is that of the boot
    expect(Ruling::pass, v4(filler(100)), "no agent for long");
    EXPECT_EQ(admitted(Hook::xdp, v4(initiation()), 50), 50);
    config(kPort);
    ASSERT_TRUE(guard().set({kRate, {}}));
    expect(Ruling::pass, v4(filler(100)), "no address of ours");
    EXPECT_EQ(dropped("guard_type") + dropped("guard_length") + dropped("guard_rate"), 0U);
}

TEST_F(Guard, ForgetsTheLeastRecentSourceWhenTooMany) {
    const Bytes seed = frame(v4(initiation()));
    const int many = WGLAN_GUARD_SOURCES + 5000;
    for (int i = 0; i < many; ++i) {
        Bytes packet = seed;
        packet[26] = 11;
        packet[27] = static_cast<std::uint8_t>(i >> 16);
        packet[28] = static_cast<std::uint8_t>(i >> 8);
        packet[29] = static_cast<std::uint8_t>(i);
        ASSERT_EQ(judge(Hook::xdp, packet).ruling, Ruling::pass);
    }
    wglan_guard_source key{}, next{};
    int entries = 0;
    for (int found = bpf_map_get_next_key(guard().map_fd("wglan_gsource"), nullptr, &next); found == 0;
         found = bpf_map_get_next_key(guard().map_fd("wglan_gsource"), &key, &next)) {
        key = next;
        ++entries;
    }
    EXPECT_LE(entries, WGLAN_GUARD_SOURCES);
    EXPECT_GT(entries, WGLAN_GUARD_SOURCES / 2);
    // A source that comes now gets a bucket like any other.
    EXPECT_EQ(admitted(Hook::xdp, v4(initiation(), "8.0.0.99"), 50), static_cast<int>(kRate));
}

// CPUs that work on one bucket at once never grant a token twice.
TEST_F(Guard, NeverGrantsMoreThanTheRate) {
    constexpr std::uint32_t kQuick = 1000, kRuns = 200'000, kThreads = 4;
    settings(kQuick);
    const Bytes packet = frame(v4(initiation(), "8.0.0.42"));
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::thread> threads;
    for (std::uint32_t i = 0; i < kThreads; ++i)
        threads.emplace_back([&] {
            cpu_set_t all;
            CPU_ZERO(&all);
            for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) CPU_SET(static_cast<unsigned>(cpu), &all);
            ::sched_setaffinity(0, sizeof all, &all);
            EXPECT_NE(judge(Hook::xdp, packet, kRuns).ruling, Ruling::none);
        });
    for (std::thread& thread : threads) thread.join();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const auto passed = kThreads * kRuns - dropped("guard_rate");
    EXPECT_LE(static_cast<double>(passed), kQuick * (1 + seconds) + 1);
    EXPECT_GE(passed, kQuick);
}

TEST_F(Guard, ReportsDropsAsEvents) {
    auto config = steer().tables().config.get(0);
    ASSERT_TRUE(config);
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    config->watched_until_s = static_cast<__u32>(now.tv_sec + 60);
    ASSERT_TRUE(steer().tables().config.put(0, *config));
    (void)judge(Hook::xdp, frame(v4(filler(100))));
    std::vector<wglan_event> events;
    const auto collect = [](void* context, void* bytes, size_t size) {
        wglan_event event{};
        std::memcpy(&event, bytes, std::min(size, sizeof event));
        static_cast<std::vector<wglan_event>*>(context)->push_back(event);
        return 0;
    };
    ring_buffer* ring = ring_buffer__new(steer().map_fd("wglan_events"), collect, &events, nullptr);
    ASSERT_NE(ring, nullptr);
    ring_buffer__consume(ring);
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].kind, WGLAN_EVENT_GUARD);
    EXPECT_EQ(events[0].reason, WGLAN_DROP_GUARD_TYPE);
    EXPECT_EQ(events[0].length, 20U + 8 + 100);
    EXPECT_EQ(events[0].protocol, 17);
    EXPECT_EQ(events[0].source_port, 40000);
    EXPECT_EQ(events[0].destination_port, kPort);
    EXPECT_EQ(to_address(events[0].source).to_string(), "8.0.0.9");
    EXPECT_EQ(to_address(events[0].destination).to_string(), kOwn4);
    for (int i = 0; i < 1000; ++i) (void)judge(Hook::tc, frame(v4(filler(100))));
    ring_buffer__consume(ring);
    EXPECT_LT(events.size(), 1000U);
    ring_buffer__free(ring);
}

// A masqueraded flow may have got the WireGuard port: its replies are conntrack's to judge.
TEST_F(Guard, LeavesRepliesThatConntrackKnows) {
    ASSERT_NE(make_veth("ct0", "ct1"), 0);
    const int peer_end = ifindex_of("ct1");
    const bool ready =
        std::system(
            "ip addr add 192.0.2.1/24 dev ct0 && ip neigh add 192.0.2.53 lladdr "
            "02:00:00:00:00:53 dev ct0 && nft 'add table ip t; add chain ip t o { type "
            "filter hook output priority 0; }; add rule ip t o ct state new counter; add chain ip t i { type "
            "filter hook input priority 0; }; add rule ip t i ct state new counter'") == 0;
    if (!ready) {
        remove_link("ct0");
        GTEST_SKIP() << "no nft here";
    }
    if (!guard().up_to_date()) reload();  // conntrack is a module, and came with the rules
    if (!guard().asks_conntrack()) {
        remove_link("ct0");
        GTEST_SKIP() << "this kernel's conntrack can't be asked";
    }
    const Ip reply{.source = "192.0.2.53", .destination = kOwn4, .transport = udp(53, kPort, filler(60))};
    for (const Hook hook : {Hook::xdp, Hook::tc})
        EXPECT_EQ(judge(hook, frame(reply)).ruling, Ruling::drop) << to_string(hook);
    const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const sockaddr_in own{AF_INET, htons(kPort), {htonl(INADDR_ANY)}, {}};
    ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own), 0);
    const timeval patience{.tv_sec = 5, .tv_usec = 0};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in to{AF_INET, htons(53), {}, {}};
    ::inet_pton(AF_INET, "192.0.2.53", &to.sin_addr);
    ASSERT_EQ(::sendto(socket.get(), "?", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to), 1);
    for (const Hook hook : {Hook::xdp, Hook::tc})
        EXPECT_EQ(judge(hook, frame(reply)).ruling, Ruling::pass) << to_string(hook);
    // Whose first packet passed has begun a flow, but gets no licence by that.
    Ip stranger = reply;
    stranger.source = "192.0.2.54";
    stranger.transport = udp(53, kPort, data());
    Bytes sent = frame(stranger);
    ifreq own_mac{};
    std::strcpy(own_mac.ifr_name, "ct0");
    ASSERT_EQ(::ioctl(socket.get(), SIOCGIFHWADDR, &own_mac), 0);
    std::memcpy(sent.data(), own_mac.ifr_hwaddr.sa_data, 6);
    send_frame(peer_end, sent.data(), sent.size());
    char byte = 0;
    ASSERT_GT(::recv(socket.get(), &byte, 1, 0), 0);
    stranger.transport = udp(53, kPort, filler(60));
    for (const Hook hook : {Hook::xdp, Hook::tc})
        EXPECT_EQ(judge(hook, frame(stranger)).ruling, Ruling::drop) << to_string(hook);
    EXPECT_EQ(std::system("nft delete table ip t"), 0);
    remove_link("ct0");
}

}  // namespace wglan::test
