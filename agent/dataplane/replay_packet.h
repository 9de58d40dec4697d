// SPDX-License-Identifier: Apache-2.0
// A packet that is asked about, and the answer.
#pragma once

#include <cstdint>

#include "agent/base/ip.h"

namespace wglan {

// A packet as it would leave an uplink, or come from a pod.
struct ReplayPacket {
    IpAddress source, destination;  // of one family
    std::uint8_t protocol = 0;
    std::uint16_t source_port = 0, destination_port = 0;  // host order; TCP and UDP
    std::uint32_t mark = 0;
};

enum class ReplayVerdict { pass, steer, drop };

// What pods' devices let in. `pass` is to the host's stack.
struct PodReplayVerdict {
    ReplayVerdict verdict = ReplayVerdict::pass;
    bool known = false;  // it passes since conntrack knows the flow
};

}  // namespace wglan
