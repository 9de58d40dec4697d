// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/datapath_worker/programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/bench.skel.h"
#include "tools/bench/datapath_worker/host.h"
#include "tools/bench/datapath_worker/must.h"

namespace wglan::bench {

namespace {

// A program that forwards takes one off the TTL each time: fewer than that, from 255.
constexpr int kRepeat = 100;
constexpr std::uint8_t kHops = 255;

double run_once(int program, const std::string& packet, unsigned ifindex) {
    __sk_buff context{};
    context.ifindex = ifindex;
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet.data(),
                .data_size_in = static_cast<__u32>(packet.size()), .ctx_in = &context,
                .ctx_size_in = sizeof context, .repeat = kRepeat);
    must_call(bpf_prog_test_run_opts(program, &options), "run a program by itself");
    return options.duration;
}

}  // namespace

std::vector<double> time_program(int program, const Traffic& traffic, bool l2, const std::string& device,
                                 unsigned passes) {
    Skeleton skeleton;
    if (program < 0) {
        skeleton = open_skeleton();
        load(skeleton);
        program = bpf_program__fd(skeleton->progs.bench_nothing);
    }
    const unsigned ifindex = ifindex_of(device);
    const bench_frame frame = make_frame(traffic, mac_of(device));
    std::vector<std::string> packets;
    for (__u32 i = 0; i < traffic.range.destinations; ++i) {
        packets.push_back(packet_to(frame, traffic.family, i, kHops));
        if (!l2) packets.back().erase(0, 14);
    }
    std::vector<double> times;
    for (unsigned pass = 0; pass < passes; ++pass) {
        double sum = 0;
        for (const std::string& packet : packets) sum += run_once(program, packet, ifindex);
        times.push_back(sum / static_cast<double>(packets.size()));
    }
    return times;
}

}  // namespace wglan::bench
