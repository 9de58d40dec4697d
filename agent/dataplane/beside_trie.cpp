// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/beside_trie.h"

#include "agent/base/log.h"
#include "maps/convert.h"

namespace wglan {

template <class Key>
void BesideTrie<Key>::add_hits(RouteHits& hits) const {
    RouteHits counted = former_;
    add_own_hits(counted);
    for (const auto& [prefix, count] : counted)
        if (const auto it = hits.find(prefix); it != hits.end()) it->second += count;
}

template <class Key>
void BesideTrie<Key>::turn_off(std::string_view why) {
    if (on()) spdlog::debug("{} routes are looked up in the trie alone from now on: {}", family_, why);
    take_away();
    refill_ = false;
}

template <class Key>
void BesideTrie<Key>::fill(std::span<const Key> keys, std::span<const wglan_route> values) {
    if (keys.size() <= (on() ? from_ / 2 : from_)) {
        turn_off("they are few");
        return;
    }
    if (auto made = make(keys, values); !made) {
        spdlog::info("look-ups among {} {} routes are left to the trie: {}", keys.size(), family_,
                     made.error().message());
        turn_off("the table can't be made");
        refused_ = true;
        return;
    }
    refill_ = false;
}

template <class Key>
void BesideTrie<Key>::put(std::span<const Key> keys, std::span<const wglan_route> values) {
    if (!former_.empty())
        for (const Key& key : keys) former_.erase(to_prefix(key));
    for (std::size_t i = 0; i < keys.size() && on(); ++i) {
        const auto room = put_one(keys[i], values[i]);
        if (room && *room) continue;
        turn_off(room ? "it is full" : room.error().message());
        refill_ = room.has_value();
        refused_ = !room;
    }
}

template <class Key>
void BesideTrie<Key>::doubt() {
    if (!on()) return;
    turn_off("a write to the trie failed");
    refill_ = true;
}

template <class Key>
void BesideTrie<Key>::remove(const Key& key) {
    if (!former_.empty()) former_.erase(to_prefix(key));
    if (!on()) return;
    const auto removed = remove_one(key);
    if (!removed)
        turn_off(removed.error().message());
    else if (*removed && size() < from_ / 2)
        turn_off("they are few");
}

template class BesideTrie<wglan_key4>;
template class BesideTrie<wglan_key6>;

}  // namespace wglan
