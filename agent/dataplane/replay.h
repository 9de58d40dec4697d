// SPDX-License-Identifier: Apache-2.0
// The steering program's own answer for a packet that was never sent (BPF_PROG_TEST_RUN). It runs a second
// time loaded: with the tables that are in force, but counters, events and kept answers of its own, so that
// a question leaves no trace.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "agent/base/result.h"
#include "agent/dataplane/direct.h"
#include "agent/dataplane/object.h"
#include "agent/dataplane/replay_packet.h"
#include "agent/model/pods.h"

namespace wglan {

inline constexpr MacAddress kReplayMac = {2, 0, 0, 0, 0, 2};

// Ethernet, IP with the right checksum, and as much of the transport as the program reads. Pure.
std::vector<std::uint8_t> replay_frame(const ReplayPacket& packet, const MacAddress& to = kReplayMac);

class Replay {
public:
    // `unsupported` where the kernel can't run programs for a test.
    static Result<std::unique_ptr<Replay>> load(const Tables& tables);
    ~Replay();
    Result<ReplayVerdict> egress(const ReplayPacket& packet) const;

private:
    Replay() = default;
    struct Destroy {
        void operator()(wglan_steer* skeleton) const noexcept;
    };
    std::unique_ptr<wglan_steer, Destroy> skeleton_;
};

// The same for wglan_pod_in, which podDatapath: direct has.
class PodReplay {
public:
    static Result<std::unique_ptr<PodReplay>> load(const Tables& tables, const DirectTables& direct);
    ~PodReplay();
    // `device`: where it comes in; one that runs the program.
    Result<PodReplayVerdict> ingress(const ReplayPacket& packet, const PodDevice& device) const;

private:
    PodReplay() = default;
    struct Destroy {
        void operator()(wglan_direct* skeleton) const noexcept;
    };
    Result<std::uint64_t> known() const;
    std::unique_ptr<wglan_direct, Destroy> skeleton_;
    PerCpuTable<__u32, wglan_direct_stats> stats_;  // its own
};

}  // namespace wglan
