// SPDX-License-Identifier: Apache-2.0
// Whose clsact qdiscs are: one that an agent made goes with --cleanup, unless somebody uses it meanwhile.
#pragma once

#include <string>

#include "agent/base/result.h"

namespace wglan {

// Pins an empty map named for the device below `links`: nothing else lasts exactly until the next boot. What
// is noted of devices that are gone is forgotten.
Result<> note_own_clsact(const std::string& links, int ifindex);
// Those noted that have no filter, neither way. Ours must be gone by then.
Result<> remove_own_clsacts(const std::string& links);

}  // namespace wglan
