/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Questions to the host's routes. */
#ifndef WGLAN_BPF_FIB_H
#define WGLAN_BPF_FIB_H

#include "bpf/lib/packet.h"

/* Addresses are IPv4-mapped where they are IPv4; `*fib` is zero but for what the caller has set. */
static __always_inline void wglan_ask_for(struct bpf_fib_lookup* fib, __u8 family, const __u8* source,
                                          const __u8* destination) {
    if (family == 4) {
        fib->family = 2; /* AF_INET */
        __builtin_memcpy(&fib->ipv4_src, source + 12, 4);
        __builtin_memcpy(&fib->ipv4_dst, destination + 12, 4);
    } else {
        fib->family = 10; /* AF_INET6 */
        __builtin_memcpy(fib->ipv6_src, source, 16);
        __builtin_memcpy(fib->ipv6_dst, destination, 16);
    }
}

#endif
