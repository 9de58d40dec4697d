// SPDX-License-Identifier: Apache-2.0
// The steering program's own answer for a packet that was never sent (BPF_PROG_TEST_RUN). It runs a second
// time loaded: with the tables that are in force, but counters, events and kept answers of its own, so that
// a question leaves no trace.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "agent/base/result.h"
#include "agent/dataplane/object.h"
#include "agent/dataplane/replay_packet.h"

namespace wglan {

// Ethernet, IP with the right checksum, and as much of the transport as the program reads. Pure.
std::vector<std::uint8_t> replay_frame(const ReplayPacket& packet);

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

}  // namespace wglan
