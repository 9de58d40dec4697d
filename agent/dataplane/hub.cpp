// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/hub.h"

#include <cerrno>

#include <bpf/libbpf.h>

#include "agent/dataplane/direct.h"
#include "agent/dataplane/libbpf_log.h"
#include "agent/dataplane/object.h"
#include "bpf/hub.skel.h"

namespace wglan {

void HubObject::Destroy::operator()(wglan_hub* skeleton) const noexcept { wglan_hub__destroy(skeleton); }
HubObject::HubObject() = default;
HubObject::HubObject(HubObject&&) noexcept = default;
HubObject& HubObject::operator=(HubObject&&) noexcept = default;
HubObject::~HubObject() = default;

Result<HubObject> HubObject::load(const std::function<int(const char*)>& shared_map) {
    log_libbpf_through_ours();
    wake_conntrack();
    HubObject object;
    object.skeleton_.reset(wglan_hub__open());
    if (!object.skeleton_) return fail_errno("open the BPF object of the hub");
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object.skeleton_->obj) {
        const int fd = shared_map(bpf_map__name(map));
        if (fd >= 0 && bpf_map__reuse_fd(map, fd) != 0)
            return fail_errno("re-use BPF map " + std::string(bpf_map__name(map)));
    }
    if (const int error = -wglan_hub__load(object.skeleton_.get()); error != 0)
        return fail_errno("load the program that sends on from peer to peer", error);
    auto programs = loaded_programs(object.skeleton_->obj);
    if (!programs) return Failure(programs.error());
    object.program_ = std::move(programs->front());
    return object;
}

}  // namespace wglan
