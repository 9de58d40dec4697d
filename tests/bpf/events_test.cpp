// SPDX-License-Identifier: Apache-2.0
// What the programs report of packets, and how much of it.
#include "agent/dataplane/events.h"

#include <linux/bpf.h>
#include <sched.h>
#include <time.h>

#include <chrono>
#include <thread>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "tests/bpf/steer_fixture.h"

namespace wglan::test {

namespace {

using Kind = PacketEvent::Kind;

IpAddress address(const char* text) { return IpAddress::parse(text).value(); }

Ip small4() {
    Ip packet{.source = "192.0.2.1", .destination = "10.1.2.3"};
    packet.transport = udp(1111, 2222);
    return packet;
}

Ip syn(const char* source, const char* destination, std::uint16_t size) {
    Ip packet{.source = source, .destination = destination, .protocol = 6};
    packet.transport = tcp(TcpFlags::syn, mss(size));
    return packet;
}

class Events : public Steer {
protected:
    // Limits and samples are counted by CPU.
    void SetUp() override {
        Steer::SetUp();
        ASSERT_EQ(::sched_getaffinity(0, sizeof before_, &before_), 0);
        int cpu = 0;
        while (!CPU_ISSET(cpu, &before_)) ++cpu;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
        auto reader = EventReader::open(object().map_fd("wglan_events"));
        ASSERT_TRUE(reader) << reader.error().message();
        reader_.emplace(std::move(*reader));
    }
    void TearDown() override {
        reader_.reset();
        EXPECT_EQ(::sched_setaffinity(0, sizeof before_, &before_), 0);
        Steer::TearDown();
    }

    // The time at which nobody watches any more, in seconds from now; 0 = nobody does.
    void watch(int seconds) {
        timespec now{};
        ::clock_gettime(CLOCK_BOOTTIME, &now);
        auto value = object().tables().config.get(0);
        ASSERT_TRUE(value);
        value->watched_until_s = seconds == 0 ? 0 : static_cast<__u32>(now.tv_sec + seconds);
        ASSERT_TRUE(object().tables().config.put(0, *value));
    }
    // As if a second had passed.
    void forget_limits() {
        const int fd = object().map_fd("wglan_limits");
        bpf_map_info info{};
        __u32 length = sizeof info;
        ASSERT_EQ(bpf_obj_get_info_by_fd(fd, &info, &length), 0);
        const Bytes zeros(info.value_size * static_cast<std::size_t>(libbpf_num_possible_cpus()));
        for (__u32 limit = 0; limit < info.max_entries; ++limit)
            ASSERT_EQ(bpf_map_update_elem(fd, &limit, zeros.data(), BPF_ANY), 0);
    }
    std::vector<PacketEvent> read() { return reader_->read(); }
    PacketEvent only() {
        const auto events = read();
        EXPECT_EQ(events.size(), 1U);
        return events.empty() ? PacketEvent{} : events.front();
    }

private:
    cpu_set_t before_{};
    std::optional<EventReader> reader_;
};

}  // namespace

TEST_F(Events, NothingIsReportedWhileNobodyWatches) {
    (void)run(frame(small4()));
    peer(PeerState::down);
    (void)run(frame(small4()));
    EXPECT_TRUE(read().empty());
    watch(-1);  // who watched was killed
    (void)run(frame(small4()));
    EXPECT_TRUE(read().empty());
    EXPECT_EQ(counters().events_lost, 0U);
    EXPECT_EQ(counters().dropped.at("peer_down"), 2U);
}

TEST_F(Events, ADropHasItsReasonAndPacket) {
    watch(60);
    peer(PeerState::down);
    const auto before = std::chrono::system_clock::now().time_since_epoch();
    (void)run(frame(small4()));
    const PacketEvent event = only();
    EXPECT_EQ(event.kind, Kind::drop);
    EXPECT_EQ(event.reason, "peer_down");
    EXPECT_EQ(event.peer, kPeer);
    EXPECT_EQ(event.protocol, 17);
    EXPECT_EQ(event.source, address("192.0.2.1"));
    EXPECT_EQ(event.destination, address("10.1.2.3"));
    EXPECT_EQ(event.source_port, 1111);
    EXPECT_EQ(event.destination_port, 2222);
    EXPECT_EQ(event.length, small4().bytes().size());
    EXPECT_NE(event.ifindex, 0);
    const auto after = std::chrono::system_clock::now().time_since_epoch();
    EXPECT_GE(event.time_us + 1000, before / std::chrono::microseconds(1));
    EXPECT_LE(event.time_us - 1000, after / std::chrono::microseconds(1));

    route("10.2.0.0/16", SteerAction::drop);
    Ip refused{.source = "192.0.2.1", .destination = "10.2.0.1", .protocol = 1, .transport = icmp(8)};
    (void)run(frame(refused));
    const PacketEvent second = only();
    EXPECT_EQ(second.reason, "route");
    EXPECT_EQ(second.peer, 0U);
    EXPECT_EQ(second.protocol, 1);
    EXPECT_EQ(second.source_port, 0);
}

TEST_F(Events, TooBigSaysWhatCameAndWhatFits) {
    watch(60);
    Ip v4 = small4(), v6{.source = "2001:db8:1::1", .destination = "fd01::5"};
    v4.transport = udp(1111, 2222, filler(1472));
    v6.transport = udp(1111, 2222, filler(1452));
    for (const Ip& packet : {v4, v6}) {
        EXPECT_EQ(run(frame(packet)).verdict, kRedirect);
        const PacketEvent event = only();
        EXPECT_EQ(event.kind, Kind::too_big);
        EXPECT_EQ(event.length, 1500U);
        EXPECT_EQ(event.value, static_cast<std::uint32_t>(kMtu));
        EXPECT_EQ(event.peer, kPeer);
        EXPECT_EQ(event.reason, "");
        EXPECT_EQ(event.source, address(packet.source.c_str()));
        EXPECT_EQ(event.destination, address(packet.destination.c_str()));
    }
}

TEST_F(Events, AClampSaysBothSizes) {
    watch(60);
    (void)run(frame(syn("192.0.2.1", "10.1.2.3", 1460)));
    auto events = read();
    ASSERT_EQ(events.size(), 2U);
    EXPECT_EQ(events[0].kind, Kind::mss_clamp);
    EXPECT_EQ(events[0].before, 1460U);
    EXPECT_EQ(events[0].value, kMtu - 40U);
    EXPECT_EQ(events[0].peer, kPeer);
    EXPECT_EQ(events[1].kind, Kind::flow);
    (void)run(frame(syn("192.0.2.1", "10.1.2.3", kMtu - 40)));  // fits: no clamp
    for (const PacketEvent& event : read()) EXPECT_EQ(event.kind, Kind::flow);
    EXPECT_EQ(counters().mss_clamped, 1U);
    // What comes out of the tunnel is the source's.
    (void)run(syn("2001:db8:86dd::1", "2001:db8:86dd::2", 1440).bytes(), {.program = "wglan_tun_in"});
    const PacketEvent six = only();
    EXPECT_EQ(six.kind, Kind::mss_clamp);
    EXPECT_EQ(six.before, 1440U);
    EXPECT_EQ(six.value, kMtu - 60U);
    EXPECT_EQ(six.peer, kPeer);
}

TEST_F(Events, FlowsAreASampleThatAccountsForAll) {
    watch(60);
    const auto start = std::chrono::steady_clock::now();
    constexpr std::uint32_t kPackets = 2000;
    for (std::uint32_t i = 1; i < kPackets; ++i) (void)run(frame(small4()));
    std::this_thread::sleep_for(std::chrono::nanoseconds(2 * WGLAN_FLOW_INTERVAL_NS));
    (void)run(frame(small4()));
    const auto took = std::chrono::steady_clock::now() - start;
    const auto events = read();
    ASSERT_GE(events.size(), 2U);
    EXPECT_LE(events.size(), 1U + took / std::chrono::nanoseconds(WGLAN_FLOW_INTERVAL_NS));
    std::uint32_t packets = 0;
    for (const PacketEvent& event : events) {
        EXPECT_EQ(event.kind, Kind::flow);
        EXPECT_EQ(event.peer, kPeer);
        EXPECT_EQ(event.length, small4().bytes().size());
        packets += event.value;
    }
    EXPECT_EQ(packets, kPackets);
    EXPECT_EQ(counters().events_lost, 0U);
}

TEST_F(Events, EachKindHasALimitOfItsOwnAndLossesAreCounted) {
    watch(60);
    peer(PeerState::down);
    for (int i = 0; i < 1000; ++i) (void)run(frame(small4()));
    const auto drops = read();
    EXPECT_GE(drops.size(), WGLAN_EVENTS_PER_SECOND - 0U);
    EXPECT_LT(drops.size(), 1000U);
    EXPECT_EQ(counters().events_lost, 1000U - drops.size());
    peer(PeerState::up);
    (void)run(frame(syn("192.0.2.1", "10.1.2.3", 1460)));
    const auto others = read();
    ASSERT_EQ(others.size(), 2U);
    EXPECT_EQ(others[0].kind, Kind::mss_clamp);
    EXPECT_EQ(others[1].kind, Kind::flow);
}

TEST_F(Events, WhatFindsTheBufferFullIsCounted) {
    watch(600);
    peer(PeerState::down);
    constexpr std::size_t kRecord = sizeof(wglan_event) + BPF_RINGBUF_HDR_SZ;
    constexpr std::size_t kDrops = WGLAN_EVENTS_BYTES / kRecord + 500;
    for (std::size_t i = 0; i < kDrops; ++i) {
        if (i % WGLAN_EVENTS_PER_SECOND == 0) forget_limits();
        (void)run(frame(small4()));
    }
    const auto events = read();
    EXPECT_LE(events.size(), WGLAN_EVENTS_BYTES / kRecord);
    EXPECT_GE(events.size(), WGLAN_EVENTS_BYTES / kRecord - 1);
    EXPECT_EQ(events.size() + counters().events_lost, kDrops);
    forget_limits();
    (void)run(frame(small4()));
    EXPECT_EQ(only().reason, "peer_down");
}

}  // namespace wglan::test
