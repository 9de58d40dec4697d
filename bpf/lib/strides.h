/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The IPv4 routes once more, as a table in strides of 16, 8 and 8 bits: a look-up is two or three loads and
 * the route, where a trie takes a step for each bit in which prefixes differ. Prefixes of one cluster lie
 * close to each other, so that what is asked stays in the caches. The agent makes it when there are many
 * routes; else there is none, and the trie is asked.
 *
 * It is one array of lines of 64 bytes, which the agent writes as memory: the first stride, blocks of 256
 * entries for what is longer than 16 or 24 bits, and the routes, two a line. An entry is
 *   0                  no route
 *   WGLAN_BLOCK | n    a block, which begins at line n
 *   n                  the route in half n % 2 of line n / 2
 * Each entry is written at once, a block before the entry that leads there, and a route's place isn't used
 * for another one: a look-up finds the old answer or the new one, as in the trie.
 */
#ifndef WGLAN_BPF_STRIDES_H
#define WGLAN_BPF_STRIDES_H

#include <bpf/bpf_endian.h>

#include "bpf/lib/maps.h"

/* Made with the room that is needed. Without BTF: Linux 6.1 wants inner maps to have their template's. */
struct wglan_strides_inner {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __uint(map_flags, BPF_F_MMAPABLE | BPF_F_INNER_MAP);
    __uint(key_size, sizeof(__u32));
    __uint(value_size, sizeof(struct wglan_line));
};

/* Not pinned: it belongs to the programs that ask it, and their agent fills it. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, 1);
    __type(key, __u32);
    __array(values, struct wglan_strides_inner);
} wglan_strides SEC(".maps");

/* NULL: there is none. */
static __always_inline void* wglan_strides_table(void) {
    __u32 zero = 0;

    return bpf_map_lookup_elem(&wglan_strides, &zero);
}

/* `place`: of the entry, from the beginning of the lines on. */
static __always_inline __u32 wglan_stride(void* table, __u32 place) {
    __u32 number = place / WGLAN_LINE_ENTRIES;
    const struct wglan_line* line = bpf_map_lookup_elem(table, &number);

    return line ? *(const volatile __u32*)&line->entries[place % WGLAN_LINE_ENTRIES] : 0;
}

static __always_inline __u32 wglan_block_of(__u32 entry) {
    return (entry & ~WGLAN_BLOCK) * WGLAN_LINE_ENTRIES;
}

/* The longest match. `address`: its four bytes. */
static __always_inline struct wglan_route* wglan_ask_strides(void* table, const __u8* address) {
    struct wglan_line* line;
    __u32 whole, entry, number;

    __builtin_memcpy(&whole, address, 4);
    whole = bpf_ntohl(whole);
    entry = wglan_stride(table, whole >> 16);
    if (entry & WGLAN_BLOCK) entry = wglan_stride(table, wglan_block_of(entry) + (whole >> 8 & 0xff));
    if (entry & WGLAN_BLOCK) entry = wglan_stride(table, wglan_block_of(entry) + (whole & 0xff));
    if (!entry) return NULL;
    number = entry >> 1;
    line = bpf_map_lookup_elem(table, &number);
    return line ? &line->routes[entry & 1].route : NULL;
}

#endif
