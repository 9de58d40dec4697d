// SPDX-License-Identifier: Apache-2.0
// Parts of prefixes. Pure.
#pragma once

#include <utility>
#include <vector>

#include "agent/base/ip.h"

namespace wglan {

// The lower and the upper one, each a bit longer. Not of a host's prefix.
std::pair<Prefix, Prefix> halves(const Prefix& prefix);
// Whether one of `holes` lies in the prefix, or is it.
bool has_hole(const Prefix& prefix, const std::vector<Prefix>& holes);
// The longest prefixes that make up `prefix` without `holes`, in order.
std::vector<Prefix> without(const Prefix& prefix, const std::vector<Prefix>& holes);

}  // namespace wglan
