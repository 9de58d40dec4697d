// SPDX-License-Identifier: Apache-2.0
// The hash table beside the IPv6 trie (bpf/lib/exact.h), for routes of few prefix lengths.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "agent/base/result.h"
#include "agent/dataplane/beside_trie.h"
#include "agent/dataplane/route_hits.h"
#include "maps/table.h"
#include "maps/wglan_maps.h"

namespace wglan {

class ExactTable final : public BesideTrie<wglan_key6> {
public:
    using Key = wglan_key6;

    // `outer`, `lengths` and `trie` are the programs' maps (owned by them).
    ExactTable(int outer, int lengths, int trie, std::size_t from)
        : BesideTrie("IPv6", from), outer_(outer), lengths_(lengths), trie_(trie) {}

    bool on() const override { return inner_.raw().fd() >= 0; }

private:
    static constexpr std::size_t kLengths = sizeof(Key::address) * 8 + 1;

    Result<> make(std::span<const Key> keys, std::span<const wglan_route> values) override;
    Result<bool> put_one(const Key& key, const wglan_route& value) override;
    Result<bool> remove_one(const Key& key) override;
    std::size_t size() const override { return size_; }
    void add_own_hits(RouteHits& hits) const override;
    void take_away() override;
    Result<> publish() const;
    void publish_none() const;
    std::uint32_t& count_of(const Key& key);

    int outer_, lengths_, trie_;
    Table<Key, wglan_route> inner_;                 // without a descriptor: off
    std::array<std::uint32_t, kLengths> counts_{};  // entries, by prefix length
    std::size_t size_ = 0, room_ = 0;
};

}  // namespace wglan
