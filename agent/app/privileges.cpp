// SPDX-License-Identifier: Apache-2.0
#include "agent/app/privileges.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <string>

namespace wglan {

Result<> check_privileges() {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, 2> data{};
    if (::syscall(SYS_capget, &header, data.data()) != 0)
        return fail_errno("read this process's capabilities");
    const auto has = [&](unsigned capability) {
        return (data[capability / 32].effective & (1U << (capability % 32))) != 0;
    };
    const bool admin = has(CAP_SYS_ADMIN);
    std::string missing;
    const auto want = [&](bool there, const char* name) {
        if (!there) missing += (missing.empty() ? "" : ", ") + std::string(name);
    };
    want(has(CAP_NET_ADMIN), "CAP_NET_ADMIN");
    want(has(CAP_BPF) || admin, "CAP_BPF");
    want(has(CAP_PERFMON) || admin, "CAP_PERFMON");
    if (missing.empty()) return {};
    return fail(ErrorKind::permission,
                "this process lacks " + missing + "; run it as root, or give it these capabilities");
}

}  // namespace wglan
