// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/replay.h"

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>

#include <algorithm>
#include <cerrno>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/steer.skel.h"

namespace wglan {

namespace {

constexpr std::size_t kPayload = 16;

void put16(std::vector<std::uint8_t>& to, unsigned value) {
    to.push_back(static_cast<std::uint8_t>(value >> 8U));
    to.push_back(static_cast<std::uint8_t>(value));
}

template <class Range>
void append(std::vector<std::uint8_t>& to, const Range& bytes) {
    to.insert(to.end(), bytes.begin(), bytes.end());
}

std::vector<std::uint8_t> transport(const ReplayPacket& packet) {
    std::vector<std::uint8_t> bytes;
    if (packet.protocol == IPPROTO_TCP || packet.protocol == IPPROTO_UDP) {
        put16(bytes, packet.source_port);
        put16(bytes, packet.destination_port);
    } else if (packet.protocol == IPPROTO_ICMP) {
        bytes.push_back(ICMP_ECHO);
    } else if (packet.protocol == IPPROTO_ICMPV6) {
        bytes.push_back(ICMP6_ECHO_REQUEST);
    }
    bytes.resize(packet.protocol == IPPROTO_TCP ? 20 : 8);
    if (packet.protocol == IPPROTO_TCP) {
        bytes[12] = 5 << 4;  // header length in words
        bytes[13] = 0x10;    // ACK
    }
    bytes.resize(bytes.size() + kPayload);
    return bytes;
}

// RFC 791
void checksum(std::vector<std::uint8_t>& frame, std::size_t at) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < 20; i += 2)
        sum += static_cast<std::uint32_t>(frame[at + i] << 8U | frame[at + i + 1]);
    while (sum >> 16U != 0) sum = (sum & 0xffffU) + (sum >> 16U);
    frame[at + 10] = static_cast<std::uint8_t>(~sum >> 8U);
    frame[at + 11] = static_cast<std::uint8_t>(~sum);
}

}  // namespace

std::vector<std::uint8_t> replay_frame(const ReplayPacket& packet) {
    std::vector<std::uint8_t> frame = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};
    const auto content = transport(packet);
    if (packet.destination.is_v4()) {
        put16(frame, 0x0800);
        const std::size_t start = frame.size();
        frame.push_back(0x45);
        frame.push_back(0);
        put16(frame, static_cast<unsigned>(20 + content.size()));
        put16(frame, 0);
        put16(frame, 0x4000);  // DF
        frame.push_back(64);
        frame.push_back(packet.protocol);
        put16(frame, 0);
        append(frame, packet.source.bytes());
        append(frame, packet.destination.bytes());
        checksum(frame, start);
    } else {
        put16(frame, 0x86dd);
        append(frame, std::array<std::uint8_t, 4>{0x60, 0, 0, 0});
        put16(frame, static_cast<unsigned>(content.size()));
        frame.push_back(packet.protocol);
        frame.push_back(64);
        append(frame, packet.source.bytes());
        append(frame, packet.destination.bytes());
    }
    append(frame, content);
    return frame;
}

void Replay::Destroy::operator()(wglan_steer* skeleton) const noexcept { wglan_steer__destroy(skeleton); }
Replay::~Replay() = default;

Result<std::unique_ptr<Replay>> Replay::load(const Tables& tables) {
    std::unique_ptr<Replay> replay(new Replay);
    replay->skeleton_.reset(wglan_steer__open());
    if (!replay->skeleton_) return fail_errno("open the BPF object");
    const auto& maps = replay->skeleton_->maps;
    for (const auto& [map, fd] : {std::pair{maps.wglan_route4, tables.route4.raw().fd()},
                                  {maps.wglan_route6, tables.route6.raw().fd()},
                                  {maps.wglan_peers, tables.peers.raw().fd()},
                                  {maps.wglan_endpts, tables.endpoints.raw().fd()},
                                  {maps.wglan_config, tables.config.raw().fd()}})
        if (bpf_map__reuse_fd(map, fd) != 0) return fail_errno("re-use a BPF map");
    replay->skeleton_->rodata->wglan_counts_hits = false;
    if (const int error = -wglan_steer__load(replay->skeleton_.get()); error != 0)
        return fail_errno("load the BPF programs", error);
    return replay;
}

Result<ReplayVerdict> Replay::egress(const ReplayPacket& packet) const {
    const auto frame = replay_frame(packet);
    __sk_buff context{};
    context.mark = packet.mark;
    std::vector<std::uint8_t> out(frame.size() + 256);
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(), .data_out = out.data(),
                .data_size_in = static_cast<__u32>(frame.size()),
                .data_size_out = static_cast<__u32>(out.size()), .ctx_in = &context,
                .ctx_size_in = sizeof context);
    if (bpf_prog_test_run_opts(bpf_program__fd(skeleton_->progs.wglan_egress), &options) != 0)
        return fail_errno("run the steering program");
    switch (static_cast<int>(options.retval)) {
        case TC_ACT_REDIRECT:
            return ReplayVerdict::steer;
        case TC_ACT_SHOT:
            return ReplayVerdict::drop;
        default:
            return ReplayVerdict::pass;
    }
}

}  // namespace wglan
