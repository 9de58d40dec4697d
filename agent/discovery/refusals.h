// SPDX-License-Identifier: Apache-2.0
// A source that repeats nonsense must fill neither log nor memory.
#pragma once

#include <map>
#include <string>

#include "agent/base/clock.h"

namespace wglan {

class Refusals {
public:
    // Once a minute for each peer, and for no more than 256 of them.
    bool worth_telling(const std::string& peer, SteadyTime now) {
        std::erase_if(told_, [&](const auto& item) { return now - item.second >= kInterval; });
        return told_.size() < kMost && told_.emplace(peer, now).second;
    }

private:
    static constexpr Seconds kInterval{60};
    static constexpr std::size_t kMost = 256;
    std::map<std::string, SteadyTime> told_;
};

}  // namespace wglan
