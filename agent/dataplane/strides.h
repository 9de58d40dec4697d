// SPDX-License-Identifier: Apache-2.0
// The table in strides beside the IPv4 trie (bpf/lib/strides.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>

#include "agent/base/result.h"
#include "agent/base/unique_fd.h"
#include "agent/dataplane/beside_trie.h"
#include "agent/dataplane/map_memory.h"
#include "agent/dataplane/route_hits.h"
#include "maps/wglan_maps.h"

namespace wglan {

class StrideTable final : public BesideTrie<wglan_key4> {
public:
    // `outer` is the programs' map (owned by them).
    StrideTable(int outer, std::size_t from) : BesideTrie("IPv4", from), outer_(outer) {}

    bool on() const override { return memory_.valid(); }

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
    Result<> make(std::span<const wglan_key4> keys, std::span<const wglan_route> values) override;
    Result<bool> put_one(const wglan_key4& key, const wglan_route& value) override;
    Result<bool> remove_one(const wglan_key4& key) override;
    std::size_t size() const override { return routes_.size(); }
    void add_own_hits(RouteHits& hits) const override { add_hits_of(memory_, routes_, hits); }
    void take_away() override;
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
    static void add_hits_of(const MapMemory& memory, const Routes& routes, RouteHits& hits);

    int outer_;
    UniqueFd inner_;
    MapMemory memory_;
    Routes routes_;
    std::size_t next_block_ = 0, end_of_blocks_ = 0;  // lines
    Entry next_route_ = 0, end_of_routes_ = 0;
};

}  // namespace wglan
