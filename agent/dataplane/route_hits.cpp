// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/route_hits.h"

#include <cstring>

#include "maps/convert.h"

namespace wglan {

void add_slots(RouteHits& hits, std::span<const wglan_slot> slots) {
    for (const wglan_slot& slot : slots) {
        if (slot.hits == 0 || slot.answer.action == 0) continue;
        __u8 bytes[16];
        std::memcpy(bytes, &slot.address, sizeof bytes);
        const auto prefix = Prefix::make(to_address(bytes), slot.prefix_len);
        if (!prefix) continue;
        if (const auto it = hits.find(*prefix); it != hits.end()) it->second += slot.hits;
    }
}

void settle(RouteHits& hits) {
    for (auto& [prefix, count] : hits)
        if (static_cast<std::int64_t>(count) < 0) count = 0;
}

}  // namespace wglan
