// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bpf/bpf.h>
#include <gtest/gtest.h>

#include "maps/wglan_guard.h"

namespace wglan::test {

// What is no WireGuard message is dropped from now on, also where the guard lets it pass because conntrack
// can't be asked (no JIT): its programs are under test, and run the same there.
inline void drop_odd(int guard_map) {
    const __u32 zero = 0;
    wglan_guard_settings settings{};
    ASSERT_EQ(bpf_map_lookup_elem(guard_map, &zero, &settings), 0);
    settings.drop_odd = 1;
    ASSERT_EQ(bpf_map_update_elem(guard_map, &zero, &settings, BPF_ANY), 0);
}

}  // namespace wglan::test
