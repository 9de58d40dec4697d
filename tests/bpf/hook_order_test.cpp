// SPDX-License-Identifier: Apache-2.0
// Everybody's programs at a hook, in the order in which they run.
#include "agent/dataplane/hook_order.h"

#include <net/if.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>

#include "agent/base/unique_fd.h"
#include "agent/dataplane/attach.h"
#include "tests/bpf/environment.h"

namespace wglan::test {
namespace {

using Names = std::vector<std::string>;
using Hook = Attachment::Hook;

UniqueFd program(const char* name) {
    const bpf_insn code[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = -1},
        {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    return UniqueFd(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, name, "GPL", code, 2, nullptr));
}

void add_filter(int ifindex, bpf_tc_attach_point where, int fd, unsigned priority) {
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = where);
    (void)bpf_tc_hook_create(&hook);
    LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = fd, .handle = 1, .priority = priority);
    ASSERT_EQ(bpf_tc_attach(&hook, &options), 0);
}

TEST(HookOrder, NamesFiltersByPriority) {
    const int device = make_veth("order", "order-far");
    EXPECT_EQ(programs_in_order(device, Hook::tc_egress).value(), Names{});
    const UniqueFd late = program("late"), early = program("early");
    add_filter(device, BPF_TC_EGRESS, late.get(), 30000);
    add_filter(device, BPF_TC_EGRESS, early.get(), 1);
    EXPECT_EQ(programs_in_order(device, Hook::tc_egress).value(), (Names{"early", "late"}));
    EXPECT_EQ(programs_in_order(device, Hook::tc_ingress).value(), Names{});
    add_filter(device, BPF_TC_INGRESS, early.get(), 5);
    EXPECT_EQ(programs_in_order(device, Hook::tc_ingress).value(), Names{"early"});
}

TEST(HookOrder, TcxComesBeforeFilters) {
    if (!Attacher("", false).uses_tcx()) GTEST_SKIP() << "this kernel has no TCX";
    const int device = make_veth("both", "both-far");
    const UniqueFd filter = program("filter"), link = program("link");
    add_filter(device, BPF_TC_EGRESS, filter.get(), 1);
    const UniqueFd attached(bpf_link_create(link.get(), device, static_cast<bpf_attach_type>(47), nullptr));
    ASSERT_TRUE(attached.valid());
    EXPECT_EQ(programs_in_order(device, Hook::tc_egress).value(), (Names{"link", "filter"}));
}

TEST(HookOrder, OfADeviceThatIsGoneNothingIsSaid) {
    const auto names = programs_in_order(4711, Hook::tc_egress);
    EXPECT_TRUE(!names || names->empty());
}

}  // namespace
}  // namespace wglan::test
