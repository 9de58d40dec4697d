// SPDX-License-Identifier: Apache-2.0
#include "agent/app/privileges.h"

#include <fmt/ranges.h>

#include "agent/inspect/capabilities.h"

namespace wglan {

Result<> check_privileges() {
    const auto found = read_capabilities();
    if (!found) return Failure(found.error());
    if (found->missing.empty()) return {};
    return fail(ErrorKind::permission,
                fmt::format("this process lacks {}; run it as root, or give it these capabilities",
                            fmt::join(found->missing, ", ")));
}

}  // namespace wglan
