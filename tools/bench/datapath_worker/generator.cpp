// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/datapath_worker/generator.h"

#include <netinet/in.h>

#include <cstring>
#include <thread>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/bench.skel.h"
#include "tools/bench/datapath_worker/host.h"
#include "tools/bench/datapath_worker/must.h"

namespace wglan::bench {

namespace {

constexpr std::size_t kEthernet = 14;
constexpr std::uint16_t kSourcePort = 40000;
constexpr std::uint8_t kHops = 64;
constexpr __u32 kBatch = 64;
constexpr __u32 kLiveFrames = 1U << 1;  // BPF_F_TEST_XDP_LIVE_FRAMES
constexpr std::uint64_t kMostARun = 1U << 20;

void put16(std::uint8_t* to, unsigned value) {
    to[0] = static_cast<std::uint8_t>(value >> 8U);
    to[1] = static_cast<std::uint8_t>(value);
}

std::uint32_t sum_words(const std::uint8_t* bytes, std::size_t size) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < size; i += 2)
        sum += static_cast<std::uint32_t>(bytes[i] << 8U | bytes[i + 1]);
    return sum;
}

std::uint16_t fold(std::uint32_t sum) {
    sum = (sum & 0xffffU) + (sum >> 16U);
    sum = (sum & 0xffffU) + (sum >> 16U);
    return htons(static_cast<std::uint16_t>(~sum));
}

}  // namespace

bench_frame make_frame(const Traffic& traffic, const std::string& mac) {
    const bool v4 = traffic.family == Family::v4;
    const std::size_t size = v4 ? 4 : 16, source = kEthernet + (v4 ? 12U : 8U), destination = source + size;
    bench_frame frame{};
    frame.range = traffic.range;
    frame.in_order = traffic.in_order;
    frame.place = static_cast<__u32>(traffic.from_range ? source : destination);
    std::uint8_t* bytes = frame.headers;
    mac.copy(reinterpret_cast<char*>(bytes), 6);
    bytes[6] = 0x02;  // any sender
    std::uint8_t *ip = bytes + kEthernet, *udp = ip + (v4 ? 20 : 40);
    std::memcpy(bytes + (traffic.from_range ? destination : source), traffic.other.bytes().data(), size);
    const auto udp_length = static_cast<unsigned>(BENCH_IP_LENGTH - (v4 ? 20 : 40));
    put16(udp, kSourcePort);
    put16(udp + 2, traffic.port);
    put16(udp + 4, udp_length);
    if (v4) {
        put16(bytes + 12, 0x0800);
        ip[0] = 0x45;
        put16(ip + 2, BENCH_IP_LENGTH);
        put16(ip + 6, 0x4000);
        ip[8] = kHops;
        ip[9] = IPPROTO_UDP;
        frame.sum = sum_words(ip, 20);
    } else {
        put16(bytes + 12, 0x86dd);
        ip[0] = 0x60;
        put16(ip + 4, udp_length);
        ip[6] = IPPROTO_UDP;
        ip[7] = kHops;
        put16(bytes + frame.place, 0xfd20);
        // The payload is zeros; the pseudo header has the length once more (RFC 8200 section 8.1).
        frame.sum = sum_words(ip + 8, 32) + sum_words(udp, 8) + udp_length + IPPROTO_UDP;
    }
    return frame;
}

std::string packet_to(const bench_frame& frame, Family family, __u32 destination, std::uint8_t hops) {
    std::string packet(reinterpret_cast<const char*>(frame.headers), sizeof frame.headers);
    packet.resize(BENCH_FRAME_LENGTH, '\0');
    const __u32 prefix = bench_prefix_of(&frame.range, destination);
    const __u32 host = bench_host_of(&frame.range, destination);
    const auto put = [&](std::size_t at, const auto& value) {
        std::memcpy(packet.data() + at, &value, sizeof value);
    };
    if (family == Family::v4) {
        const __u32 address = bench_address4(prefix, host);
        const auto hops_more =
            static_cast<std::uint32_t>((hops - static_cast<std::uint8_t>(packet[22])) << 8U);
        packet[22] = static_cast<char>(hops);
        put(24, fold(frame.sum + hops_more + (address >> 16U) + (address & 0xffffU)));
        put(frame.place, htonl(address));
        return packet;
    }
    __u16 words[3];
    bench_address6(prefix, host, words);
    packet[21] = static_cast<char>(hops);
    const std::uint16_t checksum = fold(frame.sum + words[0] + words[1] + words[2]);
    put(60, checksum == 0 ? std::uint16_t{0xffff} : checksum);
    put(frame.place + 2, htons(words[0]));
    put(frame.place + 4, htons(words[1]));
    put(frame.place + 14, htons(words[2]));
    return packet;
}

Generator::Generator(const std::string& device, const std::string& feed)
    : skeleton_(open_skeleton()), mac_(mac_of(device)), ifindex_(ifindex_of(device)) {
    if (!feed.empty()) skeleton_->rodata->bench_feed_target = ifindex_of(feed);
    load(skeleton_);
    if (!feed.empty()) feeder_ = attach_at_ingress(bpf_program__fd(skeleton_->progs.bench_feed), ifindex_);
}

void Generator::prepare(const Traffic& traffic) {
    const bench_frame frame = make_frame(traffic, mac_);
    const __u32 key = traffic.family == Family::v4 ? 0 : 1;
    must_call(bpf_map_update_elem(bpf_map__fd(skeleton_->maps.bench_frames), &key, &frame, BPF_ANY),
              "set the frame");
    program_ =
        bpf_program__fd(key == 0 ? skeleton_->progs.bench_generate4 : skeleton_->progs.bench_generate6);
    frame_.assign(reinterpret_cast<const char*>(frame.headers), sizeof frame.headers);
    frame_.resize(BENCH_FRAME_LENGTH, '\0');
}

std::uint64_t Generator::run(std::uint64_t packets) {
    std::uint64_t taken_ns = 0;
    xdp_md context{};
    context.data_end = static_cast<__u32>(frame_.size());
    context.ingress_ifindex = ifindex_;
    while (packets > 0) {
        const auto part = static_cast<int>(packets < kMostARun ? packets : kMostARun);
        LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame_.data(),
                    .data_size_in = static_cast<__u32>(frame_.size()), .ctx_in = &context,
                    .ctx_size_in = sizeof context, .repeat = part, .flags = kLiveFrames,
                    .batch_size = kBatch);
        must_call(bpf_prog_test_run_opts(program_, &options), "generate live frames");
        packets -= static_cast<std::uint64_t>(part);
        taken_ns += std::uint64_t{options.duration} * static_cast<std::uint64_t>(part);
    }
    return taken_ns;
}

std::uint64_t Generator::run_at(std::uint64_t packets_a_second, std::chrono::milliseconds time) {
    constexpr auto kPause = std::chrono::milliseconds(20);
    const auto start = std::chrono::steady_clock::now();
    std::uint64_t sent = 0;
    for (auto now = start; now < start + time;) {
        std::this_thread::sleep_until(now + kPause);
        now = std::chrono::steady_clock::now();
        const std::chrono::duration<double> passed = now - start;
        const auto due = static_cast<std::uint64_t>(passed.count() * static_cast<double>(packets_a_second));
        run(due - sent);
        sent = due;
    }
    return sent;
}

}  // namespace wglan::bench
