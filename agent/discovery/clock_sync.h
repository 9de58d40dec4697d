// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

namespace wglan {

// Whether the kernel believes that its clock is disciplined (adjtimex(2): STA_UNSYNC is clear).
// Where it can't be asked, true: freshness is then judged.
bool system_clock_synchronised();

// The same for SourceContext; logs one warning the first time the answer is no.
std::function<bool()> make_clock_check(std::function<bool()> synchronised = system_clock_synchronised);

}  // namespace wglan
