// SPDX-License-Identifier: Apache-2.0
// Live frames: BPF_PROG_TEST_RUN hands packets to the stack as if a driver had received them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "agent/base/ip.h"
#include "agent/base/unique_fd.h"
#include "tools/bench/datapath_worker/bench.h"
#include "tools/bench/datapath_worker/skeleton.h"

namespace wglan::bench {

struct Traffic {
    Family family = Family::v4;
    bench_range range{};
    bool from_range = false;  // the range's addresses are the sources, else the destinations
    bool in_order = false;    // else at random
    IpAddress other;          // the end that stays the same
    std::uint16_t port = 9;   // where to
};

// Whole Ethernet frame with an address of the range left 0, and what the BPF side needs to fill it in.
bench_frame make_frame(const Traffic& traffic, const std::string& mac);

// The whole frame to that destination of the range (or from it), as bench.bpf.c makes it.
std::string packet_to(const bench_frame& frame, Family family, __u32 destination, std::uint8_t hops);

// Frames that arrive on an Ethernet device; with `feed` they go on at once into the ingress of that L3
// device, as WireGuard's packets do, by its backlog.
class Generator {
public:
    Generator(const std::string& device, const std::string& feed);

    void prepare(const Traffic& traffic);
    // Gives the nanoseconds that the kernel took, without making and freeing its pool of pages, during
    // which it sleeps.
    std::uint64_t run(std::uint64_t packets);
    // At that rate on the whole, in bursts some 50 ms apart; gives how many those were.
    std::uint64_t run_at(std::uint64_t packets_a_second, std::chrono::milliseconds time);

private:
    Skeleton skeleton_;
    UniqueFd feeder_;
    std::string mac_;
    unsigned ifindex_ = 0;
    int program_ = -1;
    std::string frame_;
};

}  // namespace wglan::bench
