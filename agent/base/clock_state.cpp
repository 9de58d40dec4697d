// SPDX-License-Identifier: Apache-2.0
#include "agent/base/clock_state.h"

#include <sys/timex.h>

namespace wglan {

bool system_clock_synchronised() {
    timex query{};  // modes 0: asks only
    if (adjtimex(&query) < 0) return true;
    return (query.status & STA_UNSYNC) == 0;
}

}  // namespace wglan
