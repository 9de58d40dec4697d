// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "agent/base/result.h"

namespace wglan::ctl {

// What a program of $PATH (or of the system's folders) prints on standard output, to its end. not_found:
// there is none; timeout, exhausted: it was ended; io: it failed, with what it said last.
Result<std::string> output_of(const std::vector<std::string>& command, std::chrono::milliseconds limit);

}  // namespace wglan::ctl
