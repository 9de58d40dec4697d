// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "agent/base/clock_state.h"

namespace wglan {

// system_clock_synchronised() for SourceContext; logs one warning the first time the answer is no.
std::function<bool()> make_clock_check(std::function<bool()> synchronised = system_clock_synchronised);

}  // namespace wglan
