// SPDX-License-Identifier: Apache-2.0
// A source that repeats nonsense must fill neither log nor memory.
#pragma once

#include <map>
#include <string>

#include "agent/base/clock.h"
#include "agent/discovery/source.h"

namespace wglan {

class Refusals {
public:
    // Adds `update`, an empty one of the source, as a refusal: once a minute for each peer, and for no more
    // than 256 of them.
    void tell(SourceUpdate update, const std::string& peer, const std::string& reason, SteadyTime now,
              std::vector<SourceUpdate>& updates) {
        std::erase_if(told_, [&](const auto& item) { return now - item.second >= kInterval; });
        if (told_.size() >= kMost || !told_.emplace(peer, now).second) return;
        update.kind = SourceUpdate::Kind::refused;
        update.refused_peer = peer;
        update.refused_reason = reason;
        updates.push_back(std::move(update));
    }

private:
    static constexpr Seconds kInterval{60};
    static constexpr std::size_t kMost = 256;
    std::map<std::string, SteadyTime> told_;
};

}  // namespace wglan
