/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the maps said of a destination lately, misses included: a direct-mapped table of each CPU, so that a
 * look-up costs the same whatever the size of the tries. The answer also says whether the peer is up, which
 * is all that most packets need to know of it.
 *
 * An answer holds for one generation. The agent changes routes or peers, then the generation, and once more
 * when every program that ran meanwhile is done; a reader takes the generation before it asks the maps and
 * stores that one with the answer. So no answer from before a change is taken for one from after it.
 */
#ifndef WGLAN_BPF_CACHE_H
#define WGLAN_BPF_CACHE_H

#include "bpf/lib/maps.h"

#define WGLAN_CACHE_BITS 12

/* In the flags of an answer, beside enum wglan_route_flags. */
enum wglan_answer_flags {
    WGLAN_ANSWER_UP = 0x80, /* the peer's state is up or degraded */
};

struct wglan_address {
    __u64 words[2];
};

struct wglan_slot {
    struct wglan_address address;
    __u64 answer; /* a struct wglan_route; 0 = nothing is known of the address */
    __u32 generation;
    __u32 check; /* over all of the above: where a program can be preempted a slot may be half written */
};

static __always_inline bool wglan_peer_is_up(const struct wglan_route* answer) {
    return (answer->flags & WGLAN_ANSWER_UP) != 0;
}

/* Not pinned: it belongs to the programs that fill it. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1 << WGLAN_CACHE_BITS);
    __type(key, __u32);
    __type(value, struct wglan_slot);
} wglan_cache SEC(".maps");

static __always_inline __u64 wglan_mix(__u64 low, __u64 high) {
    return (low ^ (high << 32 | high >> 32)) * 0x9e3779b97f4a7c15ULL;
}

static __always_inline __u32 wglan_slot_check(__u64 mixed, __u64 answer, __u32 generation) {
    __u64 sum = (mixed ^ answer ^ generation) * 0xff51afd7ed558ccdULL;

    return (__u32)(sum >> 32);
}

static __always_inline struct wglan_slot* wglan_slot_of(__u64 mixed) {
    __u32 index = (__u32)(mixed >> (64 - WGLAN_CACHE_BITS));

    return bpf_map_lookup_elem(&wglan_cache, &index);
}

#endif
