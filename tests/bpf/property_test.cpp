// SPDX-License-Identifier: Apache-2.0
// Whatever the bytes: a verdict that exists; what passes is as it was; who isn't a member isn't steered.
#include <algorithm>
#include <cstring>
#include <random>

#include <bpf/libbpf.h>

#include "maps/wglan_maps.h"
#include "tests/bpf/steer_fixture.h"

namespace wglan::test {

namespace {

// The destination lies in a steered prefix, as far as an IP header says.
bool to_member(const Bytes& frame) {
    if (frame.size() >= 34 && frame[12] == 0x08 && frame[13] == 0x00)
        return (frame[30] == 10 && frame[31] == 1) || (frame[30] == 8 && frame[31] == 0);
    if (frame.size() >= 54 && frame[12] == 0x86 && frame[13] == 0xdd) {
        const std::uint8_t own[] = {0xfd, 0x01, 0, 0}, documentation[] = {0x20, 0x01, 0x0d, 0xb8};
        return std::memcmp(&frame[38], own, 4) == 0 || std::memcmp(&frame[38], documentation, 4) == 0;
    }
    return false;
}

Bytes mutate(Bytes bytes, std::mt19937& random) {
    const auto pick = [&](std::size_t most) {
        return std::uniform_int_distribution<std::size_t>(0, most)(random);
    };
    for (std::size_t changes = pick(6); changes > 0; --changes)
        bytes[pick(bytes.size() - 1)] = static_cast<std::uint8_t>(pick(255));
    if (pick(4) == 0) bytes.resize(std::max<std::size_t>(15, pick(bytes.size())));
    return bytes;
}

}  // namespace

TEST_F(Steer, HoldsForAnyBytes) {
    std::mt19937 random(20240517);  // fixed: a failure can be seen again
    std::vector<Bytes> seeds;
    for (const char* to : {"10.1.2.3", "198.51.100.9"}) {
        Ip packet{.source = "192.0.2.1", .destination = to};
        seeds.push_back(frame(packet));
        packet.protocol = 6;
        packet.transport = tcp(TcpFlags::syn, mss(1460) + Bytes{4, 2, 1, 3, 3, 7, 1, 1});
        seeds.push_back(frame(packet));
        packet.transport = tcp(TcpFlags::ack, {}, filler(1460));
        seeds.push_back(frame(packet));
    }
    for (const char* to : {"fd01::5", "2001:4860::8888"}) {
        Ip packet{.source = "2001:db8:1::1", .destination = to, .protocol = 58};
        packet.transport = icmp(128);
        seeds.push_back(frame(packet));
        packet.protocol = 6;
        packet.transport = tcp(TcpFlags::syn, mss(1460));
        packet.extensions = {60, 0, 5, 2, 0, 0, 1, 0, 6, 0, 1, 4, 0, 0, 0, 0};
        packet.first_extension = 0;
        seeds.push_back(frame(packet));
    }
    int ran = 0;
    for (int i = 0; i < 20000; ++i) {
        const Bytes packet = mutate(seeds[static_cast<std::size_t>(i) % seeds.size()], random);
        for (const char* program : {"wglan_egress", "wglan_tun_in", "wglan_tun_out"}) {
            const auto outcome = try_run(packet, {.program = program});
            if (!outcome) continue;  // too short for this kernel's test runs
            ++ran;
            const bool egress = std::strcmp(program, "wglan_egress") == 0;
            ASSERT_TRUE(outcome->verdict == kNext || outcome->verdict == kDrop ||
                        (egress && outcome->verdict == kRedirect))
                << program << ' ' << hex(packet) << " -> " << outcome->verdict;
            if (egress && outcome->verdict == kNext) {
                ASSERT_EQ(hex(outcome->packet), hex(packet));
            }
            if (egress && !to_member(packet)) {
                ASSERT_EQ(outcome->verdict, kNext) << hex(packet);
            }
        }
    }
    EXPECT_GT(ran, 30000);
}

// Every drop is reported, up to the rate that a CPU may.
TEST_F(Steer, ReportsDropsAsEvents) {
    peer(PeerState::down);
    Ip packet{.source = "192.0.2.1", .destination = "10.1.2.3"};
    packet.transport = udp(1111, 2222);
    (void)run(frame(packet));

    std::vector<wglan_event> events;
    const auto collect = [](void* context, void* data, size_t size) {
        EXPECT_EQ(size, sizeof(wglan_event));
        wglan_event event{};
        std::memcpy(&event, data, std::min(size, sizeof event));
        static_cast<std::vector<wglan_event>*>(context)->push_back(event);
        return 0;
    };
    ring_buffer* ring = ring_buffer__new(object().map_fd("wglan_events"), collect, &events, nullptr);
    ASSERT_NE(ring, nullptr);
    ring_buffer__consume(ring);
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].reason, WGLAN_DROP_PEER_DOWN);
    EXPECT_EQ(events[0].peer, kPeer);
    EXPECT_EQ(events[0].protocol, 17);
    EXPECT_EQ(events[0].source_port, 1111);
    EXPECT_EQ(events[0].destination_port, 2222);
    EXPECT_EQ(events[0].destination[15], 3);
    EXPECT_NE(events[0].time_ns, 0U);

    events.clear();
    for (int i = 0; i < 1000; ++i) (void)run(frame(packet));
    ring_buffer__consume(ring);
    EXPECT_GE(events.size(), WGLAN_EVENTS_PER_SECOND - 1U);
    EXPECT_LT(events.size(), 1000U);
    ring_buffer__free(ring);
}

}  // namespace wglan::test
