// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/source.h"

namespace wglan {

Task<Result<>> Source::withdraw(std::uint64_t, std::chrono::milliseconds) { co_return Result<>{}; }

}  // namespace wglan
