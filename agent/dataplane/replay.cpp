// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/replay.h"

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>

#include <algorithm>
#include <cerrno>
#include <initializer_list>
#include <string>
#include <utility>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/direct.skel.h"
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

Result<> take(const bpf_object* object, std::initializer_list<std::pair<const char*, int>> maps) {
    for (const auto& [name, fd] : maps)
        if (bpf_map__reuse_fd(bpf_object__find_map_by_name(object, name), fd) != 0)
            return fail_errno(std::string("re-use BPF map ") + name);
    return {};
}

Result<> take_tables(const bpf_object* object, const Tables& tables) {
    return take(object, {{"wglan_route4", tables.route4.raw().fd()},
                         {"wglan_route6", tables.route6.raw().fd()},
                         {"wglan_peers", tables.peers.raw().fd()},
                         {"wglan_endpts", tables.endpoints.raw().fd()},
                         {"wglan_config", tables.config.raw().fd()}});
}

Result<ReplayVerdict> run(const bpf_program* program, const std::vector<std::uint8_t>& frame,
                          __sk_buff context) {
    std::vector<std::uint8_t> out(frame.size() + 256);
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(), .data_out = out.data(),
                .data_size_in = static_cast<__u32>(frame.size()),
                .data_size_out = static_cast<__u32>(out.size()), .ctx_in = &context,
                .ctx_size_in = sizeof context);
    if (bpf_prog_test_run_opts(bpf_program__fd(program), &options) != 0)
        return fail_errno(std::string("run ") + bpf_program__name(program));
    switch (static_cast<int>(options.retval)) {
        case TC_ACT_REDIRECT:
            return ReplayVerdict::steer;
        case TC_ACT_SHOT:
            return ReplayVerdict::drop;
        default:
            return ReplayVerdict::pass;
    }
}

}  // namespace

std::vector<std::uint8_t> replay_frame(const ReplayPacket& packet, const MacAddress& to) {
    std::vector<std::uint8_t> frame(to.begin(), to.end());
    append(frame, std::array<std::uint8_t, 6>{2, 0, 0, 0, 0, 1});
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
    if (auto taken = take_tables(replay->skeleton_->obj, tables); !taken) return Failure(taken.error());
    replay->skeleton_->rodata->wglan_counts_hits = false;
    if (const int error = -wglan_steer__load(replay->skeleton_.get()); error != 0)
        return fail_errno("load the BPF programs", error);
    return replay;
}

Result<ReplayVerdict> Replay::egress(const ReplayPacket& packet) const {
    __sk_buff context{};
    context.mark = packet.mark;
    return run(skeleton_->progs.wglan_egress, replay_frame(packet), context);
}

void PodReplay::Destroy::operator()(wglan_direct* skeleton) const noexcept {
    wglan_direct__destroy(skeleton);
}
PodReplay::~PodReplay() = default;

Result<std::unique_ptr<PodReplay>> PodReplay::load(const Tables& tables, const DirectTables& direct) {
    std::unique_ptr<PodReplay> replay(new PodReplay);
    replay->skeleton_.reset(wglan_direct__open());
    if (!replay->skeleton_) return fail_errno("open the BPF object");
    const bpf_object* object = replay->skeleton_->obj;
    if (auto taken = take_tables(object, tables); !taken) return Failure(taken.error());
    if (auto taken = take(object, {{"wglan_pods", direct.pods.raw().fd()},
                                   {"wglan_macs", direct.macs.raw().fd()},
                                   {"wglan_own", direct.own.raw().fd()}});
        !taken)
        return Failure(taken.error());
    bpf_program__set_autoload(replay->skeleton_->progs.wglan_tun_dir, false);
    replay->skeleton_->rodata->wglan_counts_hits = false;
    if (const int error = -wglan_direct__load(replay->skeleton_.get()); error != 0)
        return fail_errno("load the BPF programs", error);
    auto stats = duplicate(bpf_map__fd(replay->skeleton_->maps.wglan_dstats));
    if (!stats) return Failure(stats.error());
    replay->stats_ = {std::move(*stats), "wglan_dstats"};
    return replay;
}

Result<std::uint64_t> PodReplay::known() const {
    const auto cpus = stats_.get(0);
    if (!cpus) return Failure(cpus.error());
    std::uint64_t sum = 0;
    for (const wglan_direct_stats& cpu : *cpus) sum += cpu.known;
    return sum;
}

// Nobody else runs this instance: what it counts meanwhile is this packet.
Result<PodReplayVerdict> PodReplay::ingress(const ReplayPacket& packet, const PodDevice& device) const {
    __sk_buff context{};
    context.mark = packet.mark;
    context.ifindex = static_cast<__u32>(device.ifindex);
    const auto before = known();
    if (!before) return Failure(before.error());
    const auto verdict = run(skeleton_->progs.wglan_pod_in, replay_frame(packet, device.mac), context);
    if (!verdict) return Failure(verdict.error());
    const auto after = known();
    if (!after) return Failure(after.error());
    return PodReplayVerdict{*verdict, *after != *before};
}

}  // namespace wglan
