// SPDX-License-Identifier: Apache-2.0
// JSON patch (RFC 6902) on a document that keeps its marks.
#pragma once

#include "agent/base/result.h"
#include "config/value.h"

namespace wglan::config {

inline constexpr std::size_t kMaxOperations = 1000;

// Applies the operations in order; at an error `document` is as the operations before left it, and
// the message names the patch's file, line and operation. `patch` must be a list of maps with op,
// path, and value or from; further members are ignored (RFC 6902 section 4).
//
// Missing parents of an `add` below /machine are made: the original documentation's patches assume a
// machine document that has them.
Result<> apply_patch(Value& document, const Value& patch);

}  // namespace wglan::config
