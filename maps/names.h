// SPDX-License-Identifier: Apache-2.0
// Names of what the maps hold as numbers.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "maps/wglan_maps.h"

namespace wglan {

// Every map that is pinned, in <pinPath>/maps under its name.
inline constexpr std::array<const char*, 10> kPinnedMaps = {
    "wglan_route4", "wglan_route6", "wglan_peers",  "wglan_endpts", "wglan_config",
    "wglan_stats",  "wglan_pstats", "wglan_events", "wglan_clones", "wglan_cache"};

// The guard's own, in the same folder while it is on.
inline constexpr std::array<const char*, 3> kGuardMaps = {"wglan_guard", "wglan_gsource", "wglan_gaddress"};

struct DropReason {
    std::uint32_t number;   // enum wglan_drop_reason
    std::string_view name;  // the metric's label, as in `wglan_dropped_packets_total{reason}`
};

inline constexpr std::array kDropReasons = {
#define WGLAN_DROP_NAME(constant, number, text) DropReason{number, text},
    WGLAN_DROP_REASONS(WGLAN_DROP_NAME)
#undef WGLAN_DROP_NAME
};

// "unknown" for a number that this version doesn't know.
std::string_view drop_reason_name(std::uint32_t number);

}  // namespace wglan
