// SPDX-License-Identifier: Apache-2.0
// `wglanctl doctor`: what the agent finds, and what can be seen of this host without it.
#pragma once

#include "tools/wglanctl/agent.h"

namespace wglan::ctl {

// The whole answer, as `-o json` shows it: {"checks": [...], "summary": {...}, ...}.
Task<Json> examine(Agent& agent);

}  // namespace wglan::ctl
