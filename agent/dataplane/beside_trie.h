// SPDX-License-Identifier: Apache-2.0
// A table beside a trie of routes: made when there are many. It only makes look-ups cheaper. Whatever goes
// wrong here turns it off, and the trie decides alone.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "agent/base/result.h"
#include "agent/dataplane/route_hits.h"
#include "maps/wglan_maps.h"

namespace wglan {

// `Key`: the trie's, wglan_key4 or wglan_key6.
template <class Key>
class BesideTrie {
public:
    virtual ~BesideTrie() = default;

    virtual bool on() const = 0;
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

protected:
    // From more than `from` routes on there is a table, from fewer than half of that none.
    BesideTrie(std::string_view family, std::size_t from) : family_(family), from_(from) {}
    BesideTrie(BesideTrie&&) noexcept = default;
    BesideTrie& operator=(BesideTrie&&) noexcept = default;

    // Room for as many again, so that a table is seldom made anew.
    static std::size_t room_for(std::size_t count) { return count * 2; }
    // What tables counted that are gone; of routes that were hit.
    RouteHits& former() { return former_; }

private:
    // A table of these for the programs, in the place of the one that is there, whose counts former() takes.
    // After an error take_away() follows.
    virtual Result<> make(std::span<const Key> keys, std::span<const wglan_route> values) = 0;
    // Only while it is on. False: there is no room for it.
    virtual Result<bool> put_one(const Key& key, const wglan_route& value) = 0;
    // Only while it is on. False: it isn't there.
    virtual Result<bool> remove_one(const Key& key) = 0;
    virtual std::size_t size() const = 0;
    virtual void add_own_hits(RouteHits& hits) const = 0;
    // From the programs; former() takes its counts. It may be off.
    virtual void take_away() = 0;

    void turn_off(std::string_view why);

    std::string_view family_;
    std::size_t from_;
    RouteHits former_;
    bool refill_ = false;   // it was full, or in doubt
    bool refused_ = false;  // it can't be had: not tried again
};

extern template class BesideTrie<wglan_key4>;
extern template class BesideTrie<wglan_key6>;

}  // namespace wglan
