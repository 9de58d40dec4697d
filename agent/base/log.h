// SPDX-License-Identifier: Apache-2.0
// Set-up of the one logger (stderr). Code logs through spdlog's functions; an error is logged
// once, where it stops travelling. Secrets have no printer, so they can't be logged.
#pragma once

#include <string_view>

#include <spdlog/spdlog.h>

#include "agent/base/result.h"

namespace wglan {

enum class LogFormat { text, json };

Result<LogFormat> parse_log_format(std::string_view text);
// level: trace, debug, info, warn, error. JSON lines: {"time","level","message"}, escaped.
Result<> setup_logging(LogFormat format, std::string_view level);

}  // namespace wglan
