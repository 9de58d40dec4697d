// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/clsact.h"

#include <cerrno>
#include <string_view>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "agent/base/unique_fd.h"
#include "agent/dataplane/attach.h"
#include "agent/dataplane/bpffs.h"
#include "agent/dataplane/hook_order.h"

namespace wglan {
namespace {

constexpr std::string_view kNote = "clsact-";  // and the ifindex

Result<bool> is_used(int ifindex) {
    for (const auto hook : {Attachment::Hook::tc_egress, Attachment::Hook::tc_ingress}) {
        const auto used = has_filters(ifindex, hook);
        if (!used || *used) return used;
    }
    return false;
}

}  // namespace

Result<> note_own_clsact(const std::string& links, int ifindex) {
    for (const std::string& pin : list_pins(links))
        if (const auto other = ifindex_of_pin(pin, kNote); other && interface_name(*other).empty())
            if (auto forgotten = unpin(links + "/" + pin); !forgotten) return forgotten;
    const UniqueFd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, "wglan_clsact", 4, 4, 1, nullptr));
    if (!map.valid()) return fail_errno("make a map");
    return pin(map.get(), links + "/" + std::string(kNote) + std::to_string(ifindex));
}

Result<> remove_own_clsacts(const std::string& links) {
    for (const std::string& pin : list_pins(links)) {
        const auto ifindex = ifindex_of_pin(pin, kNote);
        if (!ifindex) continue;
        const std::string device = interface_name(*ifindex);
        if (!device.empty()) {
            const auto used = is_used(*ifindex);
            if (!used) return Failure(used.error());
            LIBBPF_OPTS(bpf_tc_hook, tc, .ifindex = *ifindex,
                        .attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS));
            const int error = *used ? 0 : -bpf_tc_hook_destroy(&tc);
            if (error != 0 && error != ENOENT && error != ENODEV && error != EINVAL)
                return fail_errno("remove the clsact qdisc of " + device, error);
        }
        if (auto forgotten = unpin(links + "/" + pin); !forgotten) return forgotten;
    }
    return {};
}

}  // namespace wglan
