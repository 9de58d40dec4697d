// SPDX-License-Identifier: Apache-2.0
// The benchmark's own BPF programs.
#pragma once

#include <memory>

#include "agent/base/unique_fd.h"

struct wglan_bench;

namespace wglan::bench {

struct SkeletonFree {
    void operator()(wglan_bench* skeleton) const noexcept;
};
using Skeleton = std::unique_ptr<wglan_bench, SkeletonFree>;

Skeleton open_skeleton();
void load(const Skeleton& skeleton);

// A TC program at one device until the link closes: at ingress before what is attached there already, at
// egress behind it.
UniqueFd attach_at_ingress(int program, unsigned ifindex);
UniqueFd attach_at_egress(int program, unsigned ifindex);

}  // namespace wglan::bench
