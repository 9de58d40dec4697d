// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/datapath_worker/skeleton.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/bench.skel.h"
#include "tools/bench/datapath_worker/must.h"

namespace wglan::bench {

namespace {

constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);  // linux/bpf.h of 6.6
constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);
constexpr __u32 kBefore = 1U << 3, kAfter = 1U << 4;  // BPF_F_BEFORE, BPF_F_AFTER

UniqueFd attach(int program, unsigned ifindex, bpf_attach_type hook, __u32 flags) {
    LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags);
    return UniqueFd(must_call(bpf_link_create(program, static_cast<int>(ifindex), hook, &options),
                              "attach to ifindex " + std::to_string(ifindex)));
}

}  // namespace

void SkeletonFree::operator()(wglan_bench* skeleton) const noexcept { wglan_bench__destroy(skeleton); }

Skeleton open_skeleton() {
    Skeleton skeleton;
    skeleton.reset(wglan_bench__open());
    if (!skeleton) must_call(-1, "open the benchmark's programs");
    return skeleton;
}

void load(const Skeleton& skeleton) {
    must_call(wglan_bench__load(skeleton.get()), "load the benchmark's programs");
}

UniqueFd attach_at_ingress(int program, unsigned ifindex) {
    return attach(program, ifindex, kTcxIngress, kBefore);
}

UniqueFd attach_at_egress(int program, unsigned ifindex) {
    return attach(program, ifindex, kTcxEgress, kAfter);
}

}  // namespace wglan::bench
