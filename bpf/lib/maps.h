/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The maps that maps/wglan_maps.h lays out. The agent pins all of them but wglan_limits. */
#ifndef WGLAN_BPF_MAPS_H
#define WGLAN_BPF_MAPS_H

#include "bpf/lib/shared.h"

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, WGLAN_MAX_ROUTES);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct wglan_key4);
    __type(value, struct wglan_route);
} wglan_route4 SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, WGLAN_MAX_ROUTES);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct wglan_key6);
    __type(value, struct wglan_route);
} wglan_route6 SEC(".maps");

/* Hashes, not arrays: an overwrite replaces the whole value at once, and a dump shows what is there. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, WGLAN_MAX_PEERS);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, __u32);
    __type(value, struct wglan_peer);
} wglan_peers SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, WGLAN_MAX_ENDPOINTS);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct wglan_endpoint_key);
    __type(value, struct wglan_endpoint);
} wglan_endpts SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
    __uint(max_entries, WGLAN_MAX_PEERS);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, __u32);
    __type(value, struct wglan_peer_stats);
} wglan_pstats SEC(".maps");

/* Not pinned: it belongs to the programs, and their agent writes it as memory. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, WGLAN_UP_WORDS);
    __uint(map_flags, BPF_F_MMAPABLE);
    __type(key, __u32);
    __type(value, __u64);
} wglan_up SEC(".maps");

#endif
