/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the maps said of a destination lately, misses included: a direct-mapped table of each CPU, so that a
 * look-up costs the same whatever the size of the tries. The answer also says whether the peer is up, which
 * is all that most packets need to know of it.
 *
 * An answer holds for one generation. The agent changes routes or peers, then the generation, and once more
 * when every program that ran meanwhile is done; a reader takes the generation before it asks the maps and
 * stores that one with the answer. So no answer from before a change is taken for one from after it.
 *
 * A slot also counts how often its answer was given. The route itself counts what isn't in a slot: the
 * look-up that fills one, and what a slot held that another answer takes.
 */
#ifndef WGLAN_BPF_CACHE_H
#define WGLAN_BPF_CACHE_H

#include "bpf/lib/maps.h"

static __always_inline bool wglan_peer_is_up(const struct wglan_answer* answer) {
    return (answer->flags & WGLAN_ROUTE_UP) != 0;
}

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
