// SPDX-License-Identifier: Apache-2.0
// What bench.bpf.c and the worker share: how packets look and which destinations there are.
#ifndef WGLAN_BENCH_H
#define WGLAN_BENCH_H

#include <linux/types.h>

#define BENCH_IP_LENGTH 84 /* of every packet, both families */
#define BENCH_FRAME_LENGTH (14 + BENCH_IP_LENGTH)
#define BENCH_HEADERS4 (14 + 20 + 8)
#define BENCH_HEADERS6 (14 + 40 + 8)

/*
 * Prefix number i is a /24 in 20.0.0.0/6 or a /48 in fd20::/16. The numbers are scattered, and between
 * any two neighbours is a gap, so that no interval set can merge them.
 */
#define BENCH_MOST_PREFIXES (1U << 17)

static inline __u32 bench_slot(__u32 prefix) {
    return (prefix * 40503U + 12289U) & (BENCH_MOST_PREFIXES - 1);
}

struct bench_range {
    __u32 prefixes;
    __u32 destinations; /* spread evenly over the prefixes */
};

static inline __u32 bench_prefix_of(const struct bench_range* range, __u32 destination) {
    if (range->destinations <= range->prefixes)
        return (__u32)((__u64)destination * range->prefixes / range->destinations);
    return destination % range->prefixes;
}

static inline __u32 bench_host_of(const struct bench_range* range, __u32 destination) {
    return range->destinations <= range->prefixes ? 1 : 1 + destination / range->prefixes % 250;
}

static inline __u32 bench_address4(__u32 prefix, __u32 host) {
    return 0x14000000U + (bench_slot(prefix) << 9) + host;
}

/* Words 1, 2 and 7 of the address; word 0 is 0xfd20, the others are 0. */
static inline void bench_address6(__u32 prefix, __u32 host, __u16 words[3]) {
    __u32 slot = bench_slot(prefix);

    words[0] = (__u16)(slot >> 15);
    words[1] = (__u16)(slot << 1);
    words[2] = (__u16)host;
}

/* bench_frames: one per address family, 0 = IPv4. */
struct bench_frame {
    __u8 headers[64];
    __u32 place; /* of the address that varies, in headers */
    __u32 sum;   /* of the checksum without that address, not folded, words in host order */
    struct bench_range range;
    __u32 in_order; /* one after the other instead of at random */
    __u32 next;
};

struct bench_count {
    __u64 expected; /* packets of a length that the generators send */
    __u64 other;
};

#endif
