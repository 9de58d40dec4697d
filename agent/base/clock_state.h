// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace wglan {

// Whether the kernel believes that its clock is disciplined (adjtimex(2): STA_UNSYNC is clear).
// Where it can't be asked, true: freshness is then judged.
bool system_clock_synchronised();

}  // namespace wglan
