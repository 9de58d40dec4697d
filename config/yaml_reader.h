// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "config/value.h"

namespace wglan::config {

inline constexpr std::size_t kMaxFileBytes = 4U << 20;

// The documents of a YAML (or JSON) text; none for an empty one. `name` stands in messages and marks.
// Aliases are expanded within kMaxNodes and kMaxDepth; control characters, keys that aren't plain
// text, duplicate keys and application tags are errors.
Result<std::vector<Value>> parse_documents(std::string_view text, const std::string& name);
// The same for a file, whose copy in memory is wiped.
Result<std::vector<Value>> read_documents(const std::string& path);

}  // namespace wglan::config
