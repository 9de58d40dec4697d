// SPDX-License-Identifier: Apache-2.0
// Who has been away for long. Pure.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/keys.h"

namespace wglan {

class Absences {
public:
    explicit Absences(SteadyTime::duration patience) : patience_(patience) {}

    // Of those that are away now, who was at each look for so long. Told once; counted anew from then on.
    std::vector<IdentityKey> long_away(const std::set<IdentityKey>& away, SteadyTime now) {
        std::erase_if(since_, [&](const auto& item) { return !away.contains(item.first); });
        std::vector<IdentityKey> found;
        for (const IdentityKey& identity : away)
            if (now - since_.emplace(identity, now).first->second >= patience_) found.push_back(identity);
        for (const IdentityKey& identity : found) since_.erase(identity);
        return found;
    }

private:
    SteadyTime::duration patience_;
    std::map<IdentityKey, SteadyTime> since_;
};

}  // namespace wglan
