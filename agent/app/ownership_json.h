// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "agent/registry/registry.h"

namespace wglan {

// The incumbents as a JSON object, for the cache's free part. Pure.
std::string ownership_json(const Ownership& ownership);
// What can't be read is left out: an incumbent forgotten is a tie settled anew.
Ownership parse_ownership(std::string_view json);

}  // namespace wglan
