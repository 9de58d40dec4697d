// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "agent/base/result.h"

namespace wglan {

// `permission`, naming what is missing and how to give it, unless this process may set up interfaces and
// load programs: CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN for the last two, capabilities(7)).
Result<> check_privileges();

}  // namespace wglan
