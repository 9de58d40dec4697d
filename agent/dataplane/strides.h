// SPDX-License-Identifier: Apache-2.0
// The table in strides beside the IPv4 trie (bpf/lib/strides.h): made when there are many routes. It only
// makes look-ups cheaper. Whatever goes wrong here turns it off, and the trie decides alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>

#include "agent/base/result.h"
#include "agent/base/unique_fd.h"
#include "agent/dataplane/map_memory.h"
#include "agent/dataplane/route_hits.h"
#include "maps/wglan_maps.h"

namespace wglan {

class StrideTable {
public:
    // `outer` is the programs' map (owned by them). From more than `from` routes on there is a table, from
    // fewer than half of that none.
    StrideTable(int outer, std::size_t from) : outer_(outer), from_(from) {}

    bool on() const { return memory_.valid(); }
    // True if the routes must be handed over as a whole: `count` is how many there may be now.
    bool wants_all(std::size_t count) const { return refill_ || (!on() && !refused_ && count > from_); }
    // All routes of the family.
    void fill(std::span<const wglan_key4> keys, std::span<const wglan_route> values);
    // After the trie has them.
    void put(std::span<const wglan_key4> keys, std::span<const wglan_route> values);
    void remove(const wglan_key4& key);
    // What was counted here, for routes that `hits` has.
    void add_hits(RouteHits& hits) const;
    // The trie may hold what isn't here: off until all routes are handed over again.
    void doubt();

private:
    using Entry = __u32;
    struct Net {
        std::uint32_t address = 0;  // host order, without bits beyond the length
        std::uint32_t length = 0;
        bool operator==(const Net&) const = default;
    };
    struct NetHash {
        std::size_t operator()(const Net& net) const noexcept;
    };
    using Routes = std::unordered_map<Net, Entry, NetHash>;
    // Entries from place `first` on that a prefix covers, in the stride that it ends in.
    struct Range {
        std::size_t first = 0, count = 0;
    };

    static Net net_of(const wglan_key4& key);
    Result<> make(std::span<const wglan_key4> keys, std::span<const wglan_route> values);
    bool insert(const Net& net, const wglan_route& value);
    bool insert_new(const Net& net, const wglan_route& value);
    std::optional<Range> range_of(const Net& net, bool make_blocks);
    std::size_t block_at(std::size_t place, bool make);  // place of its first entry; 0: no block, no room
    void cover(const Range& range, Entry with, std::uint32_t length);
    void uncover(const Range& range, Entry gone, Entry with);
    Entry around(const Net& net) const;
    Entry& entry(std::size_t place) const { return memory_.values<Entry>()[place]; }
    static wglan_route& route_in(const MapMemory& memory, Entry number);
    wglan_route& route(Entry number) const { return route_in(memory_, number); }
    void turn_off(const char* why);
    static void add_hits_of(const MapMemory& memory, const Routes& routes, RouteHits& hits);
    void retire();

    int outer_;
    std::size_t from_;
    UniqueFd inner_;
    MapMemory memory_;
    Routes routes_;
    std::size_t next_block_ = 0, end_of_blocks_ = 0;  // lines
    Entry next_route_ = 0, end_of_routes_ = 0;
    RouteHits former_;      // what tables counted that are gone; of routes that were hit
    bool refill_ = false;   // it is full
    bool refused_ = false;  // the kernel won't: not tried again
};

}  // namespace wglan
