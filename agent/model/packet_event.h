// SPDX-License-Identifier: Apache-2.0
// What the BPF programs report of single packets while somebody watches.
#pragma once

#include <cstdint>
#include <string_view>

#include "agent/base/ip.h"
#include "agent/model/steering.h"

namespace wglan {

struct PacketEvent {
    // Numbers as in maps/wglan_maps.h (WGLAN_EVENT_*).
    enum class Kind : std::uint8_t {
        drop = 1,
        too_big = 2,    // answered with packet-too-big
        mss_clamp = 3,  // of a SYN or SYN-ACK
        guard = 4,      // dropped at the WireGuard port
        flow = 5,       // a sample of what goes into the tunnel
    };
    Kind kind = Kind::drop;
    std::int64_t time_us = 0;  // since 1970, UTC
    int ifindex = 0;           // where the program runs
    PeerId peer = 0;           // 0 = none
    std::string_view reason;   // of drop and guard: a name from maps/names.h; else ""
    std::uint8_t protocol = 0;
    IpAddress source, destination;
    std::uint16_t source_port = 0, destination_port = 0;  // 0 = the protocol has none, or out of reach
    std::uint32_t length = 0;                             // of the IP packet, with all its segments
    std::uint32_t value = 0;   // too_big: MTU told; mss_clamp: MSS now; flow: packets this one stands for
    std::uint32_t before = 0;  // mss_clamp: MSS that stood there
    bool operator==(const PacketEvent&) const = default;
};
std::string_view to_string(PacketEvent::Kind kind);  // "drop", "too_big" ...

}  // namespace wglan
