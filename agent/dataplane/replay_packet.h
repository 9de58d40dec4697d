// SPDX-License-Identifier: Apache-2.0
// A packet that is asked about, and the answer.
#pragma once

#include <cstdint>

#include "agent/base/ip.h"

namespace wglan {

// A packet as it would leave an uplink.
struct ReplayPacket {
    IpAddress source, destination;  // of one family
    std::uint8_t protocol = 0;
    std::uint16_t source_port = 0, destination_port = 0;  // host order; TCP and UDP
    std::uint32_t mark = 0;
};

enum class ReplayVerdict { pass, steer, drop };

}  // namespace wglan
