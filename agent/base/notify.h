// SPDX-License-Identifier: Apache-2.0
// Readiness for service managers, sd_notify(3)'s protocol.
#pragma once

#include <string_view>

#include "agent/base/result.h"

namespace wglan {

// Sends "READY=1", "STOPPING=1", "STATUS=..." to the socket that $NOTIFY_SOCKET names; does nothing
// where it is unset. Never blocks. Nothing depends on the answer: an error is for the log.
Result<> notify_service_manager(std::string_view state);

}  // namespace wglan
