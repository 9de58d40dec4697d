// SPDX-License-Identifier: Apache-2.0
#include "agent/inspect/capabilities.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

namespace wglan {

Result<Capabilities> read_capabilities() {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, 2> data{};
    if (::syscall(SYS_capget, &header, data.data()) != 0)
        return fail_errno("read this process's capabilities");
    const auto has = [&](unsigned capability) {
        return (data[capability / 32].effective & (1U << (capability % 32))) != 0;
    };
    const bool admin = has(CAP_SYS_ADMIN);
    Capabilities found;
    const auto want = [&](bool there, const char* name) {
        if (!there) found.missing.emplace_back(name);
    };
    want(has(CAP_NET_ADMIN), "CAP_NET_ADMIN");
    want(has(CAP_BPF) || admin, "CAP_BPF");
    want(has(CAP_PERFMON) || admin, "CAP_PERFMON");
    found.raw = has(CAP_NET_RAW);
    return found;
}

}  // namespace wglan
