// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/clock_sync.h"

#include <utility>

#include "agent/base/log.h"

namespace wglan {

std::function<bool()> make_clock_check(std::function<bool()> synchronised) {
    return [check = std::move(synchronised), warned = false]() mutable {
        if (check()) return true;
        if (!std::exchange(warned, true))
            spdlog::warn(
                "the clock of this host is not synchronised: the age of records is not judged; set up NTP");
        return false;
    };
}

}  // namespace wglan
