// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/steering.h"

namespace wglan {

// Everybody's programs at a TC hook in the order in which they run: those by TCX, then filters, by priority.
// A name may be "", and is the filter's kind where that isn't "bpf".
Result<std::vector<std::string>> programs_in_order(int ifindex, Attachment::Hook hook);
// Anybody's, of any kind. False where there is no clsact qdisc.
Result<bool> has_filters(int ifindex, Attachment::Hook hook);

}  // namespace wglan
