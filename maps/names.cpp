// SPDX-License-Identifier: Apache-2.0
#include "maps/names.h"

#include <algorithm>

namespace wglan {

std::string_view drop_reason_name(std::uint32_t number) {
    const auto* found = std::find_if(kDropReasons.begin(), kDropReasons.end(),
                                     [&](const DropReason& reason) { return reason.number == number; });
    return found == kDropReasons.end() ? "unknown" : found->name;
}

}  // namespace wglan
