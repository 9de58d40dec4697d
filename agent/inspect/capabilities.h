// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.h"

namespace wglan {

struct Capabilities {
    std::vector<std::string> missing;  // of those without which the agent can't work
    bool raw = false;                  // CAP_NET_RAW
};

// This process's effective ones.
Result<Capabilities> read_capabilities();

}  // namespace wglan
