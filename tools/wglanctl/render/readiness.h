// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "tools/wglanctl/render/json_read.h"

namespace wglan::ctl {

// What `status --wait-ready` still waits for; "" = ready. Sources are synced when none is
// connecting and, of those that others answer for (not `static` and `cache`), at least one is
// synced: one service of several may be down. peers: how many must be up; none = all known ones,
// at least one.
std::string missing_for_ready(const Json& status, std::optional<std::size_t> peers);

}  // namespace wglan::ctl
