// SPDX-License-Identifier: Apache-2.0
// The guard of the WireGuard port as values (maps/wglan_guard.h, bpf/guard.bpf.c).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/base/ip.h"
#include "agent/model/steering.h"

namespace wglan {

inline constexpr std::size_t kMostGuardedAddresses = 4096;  // as in maps/wglan_guard.h

struct GuardSettings {
    std::uint32_t handshakes_per_s = 50;  // from one source, and as many at once
    std::vector<IpAddress> addresses;     // of this host, sorted: what goes elsewhere isn't looked at
    bool operator==(const GuardSettings&) const = default;
};

enum class GuardMode : std::uint8_t { native, generic, tc };
std::string_view to_string(GuardMode mode);  // "xdp-native", "xdp-generic", "tc"

// One device that the guard stands at.
struct GuardPlace {
    Attachment attachment;
    GuardMode mode = GuardMode::tc;
    std::string note;      // why it isn't by XDP where that belongs; "" = it is as it should be
    bool current = true;   // false: another build's or an earlier process's program
    bool movable = false;  // what kept it from XDP is gone, or its place in front of others is lost
    bool operator==(const GuardPlace&) const = default;
};

}  // namespace wglan
