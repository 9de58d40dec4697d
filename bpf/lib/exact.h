/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The IPv6 routes once more, in a hash table by prefix: one look-up for each prefix length that occurs, the
 * longest first, where a trie takes a step for each bit in which prefixes differ. The agent makes it when
 * there are many routes and few lengths; else there is none, and the trie is asked.
 *
 * Entries come and go one by one and each look-up finds the old or the new one, as in the trie.
 */
#ifndef WGLAN_BPF_EXACT_H
#define WGLAN_BPF_EXACT_H

#include <bpf/bpf_endian.h>

#include "bpf/lib/maps.h"

/* Made with the room that is needed, so max_entries here is of no meaning. */
struct wglan_exact6_inner {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct wglan_key6);
    __type(value, struct wglan_route);
};

/* Not pinned: they belong to the programs that ask them, and their agent fills them. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, 1);
    __type(key, __u32);
    __array(values, struct wglan_exact6_inner);
} wglan_exact6 SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct wglan_lengths);
} wglan_lengths SEC(".maps");

/* The `bits` first of 64. */
static __always_inline __u64 wglan_mask(__u32 bits) {
    return bits >= 64 ? ~0ULL : bits ? ~0ULL << (64 - bits) : 0;
}

/* `whole`: the bytes of an address as they stand. */
static __always_inline void wglan_cut4(struct wglan_key4* key, __u32 whole, __u32 prefix_len) {
    __u32 cut = whole & bpf_htonl((__u32)(wglan_mask(prefix_len) >> 32));

    key->prefix_len = prefix_len;
    __builtin_memcpy(key->address, &cut, 4);
}

static __always_inline void wglan_cut6(struct wglan_key6* key, const __u64* whole, __u32 prefix_len) {
    __u64 cut[2];

    key->prefix_len = prefix_len;
    cut[0] = whole[0] & bpf_cpu_to_be64(wglan_mask(prefix_len));
    cut[1] = whole[1] & bpf_cpu_to_be64(prefix_len > 64 ? wglan_mask(prefix_len - 64) : 0);
    __builtin_memcpy(key->address, cut, 16);
}

static __always_inline struct wglan_route* wglan_ask_exact6(void* table, struct wglan_lengths lengths,
                                                            const __u8* address) {
    struct wglan_key6 key;
    __u64 whole[2];
    __u32 i;

    __builtin_memcpy(whole, address, 16);
    for (i = 0; i < WGLAN_LENGTHS && i < lengths.count; i++) {
        struct wglan_route* found;

        wglan_cut6(&key, whole, lengths.lengths[i]);
        found = bpf_map_lookup_elem(table, &key);
        if (found) return found;
    }
    return NULL;
}

/* `*table` NULL: there is none. */
static __always_inline struct wglan_lengths wglan_exact_table(void** table) {
    __u32 zero = 0;
    struct wglan_lengths *value = bpf_map_lookup_elem(&wglan_lengths, &zero), lengths = {};

    *table = NULL;
    if (!value) return lengths;
    /* At once: the agent writes all of them as one number. */
    *(__u64*)&lengths = *(volatile __u64*)value;
    if (lengths.count) *table = bpf_map_lookup_elem(&wglan_exact6, &zero);
    return lengths;
}

#endif
