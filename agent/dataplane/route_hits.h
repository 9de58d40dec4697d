// SPDX-License-Identifier: Apache-2.0
// How often each route was hit: put together from where the programs count it (bpf/lib/cache.h).
#pragma once

#include <cstdint>
#include <map>
#include <span>

#include "agent/base/ip.h"
#include "maps/wglan_maps.h"

namespace wglan {

// By route; sums wrap, since a part of one may be negative.
using RouteHits = std::map<Prefix, std::uint64_t>;

// What slots hold for routes that `hits` has; of others, which are gone, nothing.
void add_slots(RouteHits& hits, std::span<const wglan_slot> slots);
// Parts are read one after the other while packets pass: what comes out below zero is none yet.
void settle(RouteHits& hits);

}  // namespace wglan
