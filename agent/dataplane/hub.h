// SPDX-License-Identifier: Apache-2.0
// The program at wglan0 that sends on what goes from one peer to another (bpf/hub.bpf.c).
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "agent/base/result.h"
#include "agent/dataplane/attach.h"

struct wglan_hub;

namespace wglan {

inline constexpr const char* kHubTunnelProgram = "wglan_tun_hub";

class HubObject {
public:
    // `shared_map` gives the descriptor of the steering object's map of that name, or -1.
    // unsupported: conntrack can't be asked on this kernel; the host's stack forwards then.
    static Result<HubObject> load(const std::function<int(const char*)>& shared_map);
    HubObject(HubObject&&) noexcept;
    HubObject& operator=(HubObject&&) noexcept;
    ~HubObject();

    const Program& program() const { return program_; }

private:
    struct Destroy {
        void operator()(wglan_hub* skeleton) const noexcept;
    };
    HubObject();

    std::unique_ptr<wglan_hub, Destroy> skeleton_;
    Program program_;
};

}  // namespace wglan
