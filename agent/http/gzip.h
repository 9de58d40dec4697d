// SPDX-License-Identifier: Apache-2.0
// RFC 1952, by zlib.
#pragma once

#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace wglan {

// One or more gzip members, whole. exhausted: more than `most` bytes would come out; protocol: cut short,
// damaged, or something else behind.
Result<std::string> gunzip(std::string_view packed, std::size_t most);

}  // namespace wglan
