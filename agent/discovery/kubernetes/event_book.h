// SPDX-License-Identifier: Apache-2.0
// Which Events about our Node go to the API, and when: repeats count up one that is there, and however much
// happens, a few go at once and one in 30 s in the long run. Pure; time is an argument.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/base/clock.h"
#include "agent/discovery/source.h"

namespace wglan {

class EventBook {
public:
    // Past so many different ones at a time others are left out.
    static constexpr std::size_t kMost = 32;
    static constexpr Seconds kSame{1800};  // what repeats within it is the same event
    static constexpr Seconds kAgain{60};   // least time between two counts of one
    static constexpr Seconds kInterval{30};
    static constexpr int kAtOnce = 10;

    struct Entry {
        NodeEvent event;
        std::string name;  // of the object that was made for it; "" = none yet
        unsigned seen = 0, told = 0;
        UnixTime first_at = 0, last_at = 0;
        SteadyTime last_seen{}, last_told{};
    };

    void take(const NodeEvent& event, SteadyTime now, UnixTime date);
    // When the next one is due; nullopt = there is none.
    std::optional<SteadyTime> due() const;
    // The one to be told now; null where none is due. Valid until the next call of take() or told().
    const Entry* next(SteadyTime now) const;
    // The entry that a copy was made of; null once it is gone.
    const Entry* find(const Entry& copy) const;
    // It stands there under this name, as `seen` so often. `name` "" = it is gone from there.
    void told(const Entry& entry, const std::string& name, unsigned seen, SteadyTime now);
    // It can't be told.
    void drop(const Entry& entry);
    void clear() { entries_.clear(); }

private:
    std::optional<SteadyTime> due(const Entry& entry) const;
    std::size_t index_of(const Entry& entry) const;

    std::vector<Entry> entries_;  // the oldest first
    SteadyTime whole_{};          // when nothing told before counts any more
};

}  // namespace wglan
