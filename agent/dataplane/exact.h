// SPDX-License-Identifier: Apache-2.0
// The hash table beside the IPv6 trie (bpf/lib/exact.h): made when there are many routes of few prefix
// lengths. It only makes look-ups cheaper. Whatever goes wrong here turns it off, and the trie decides alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "agent/base/result.h"
#include "agent/base/unique_fd.h"
#include "agent/dataplane/route_hits.h"
#include "maps/wglan_maps.h"

namespace wglan {

class ExactTable {
public:
    using Key = wglan_key6;

    // `outer`, `lengths` and `trie` are the programs' maps (owned by them). From more than `from` routes on
    // it is on, from fewer than half of that off.
    ExactTable(int outer, int lengths, int trie, std::size_t from)
        : outer_(outer), lengths_(lengths), trie_(trie), from_(from) {}

    bool on() const { return inner_.valid(); }
    // True if the routes must be handed over as a whole: `count` is how many there may be now.
    bool wants_all(std::size_t count) const { return refill_ || (!on() && !refused_ && count > from_); }
    // All routes of the family.
    void fill(std::span<const Key> keys, std::span<const wglan_route> values);
    // After the trie has them.
    void put(std::span<const Key> keys, std::span<const wglan_route> values);
    void remove(const Key& key);
    // What was counted here, for routes that `hits` has.
    void add_hits(RouteHits& hits) const;
    // The trie may hold what isn't here: off until all routes are handed over again.
    void doubt();

private:
    static constexpr std::size_t kLengths = sizeof(Key::address) * 8 + 1;

    Result<> make(std::span<const Key> keys, std::span<const wglan_route> values);
    Result<> put_one(const Key& key, const wglan_route& value);
    Result<> publish() const;
    void turn_off(const char* why);
    void add_own_hits(RouteHits& hits) const;
    void retire();

    int outer_, lengths_, trie_;
    std::size_t from_;
    UniqueFd inner_;
    std::array<std::uint32_t, kLengths> counts_{};  // entries, by prefix length
    std::size_t size_ = 0, room_ = 0;
    RouteHits former_;      // what tables counted that are gone; of routes that were hit
    bool refill_ = false;   // it is full
    bool refused_ = false;  // too many lengths, or the kernel won't: not tried again
};

}  // namespace wglan
