/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The maps that maps/wglan_maps.h lays out. The agent pins all of them but wglan_limits. */
#ifndef WGLAN_BPF_MAPS_H
#define WGLAN_BPF_MAPS_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "maps/wglan_maps.h"

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
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct wglan_config);
} wglan_config SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct wglan_stats);
} wglan_stats SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
    __uint(max_entries, WGLAN_MAX_PEERS);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, __u32);
    __type(value, struct wglan_peer_stats);
} wglan_pstats SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, WGLAN_EVENTS_BYTES);
} wglan_events SEC(".maps");

enum wglan_limit {
    WGLAN_LIMIT_TOO_BIG,
    WGLAN_LIMIT_EVENTS, /* the first of one for each kind of event */
    WGLAN_LIMITS = WGLAN_LIMIT_EVENTS + WGLAN_EVENT_SPARE,
};

struct wglan_window {
    __u64 start_ns;
    __u64 used;
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, WGLAN_LIMITS);
    __type(key, __u32);
    __type(value, struct wglan_window);
} wglan_limits SEC(".maps");

/* At most `most` a second and CPU, counted in windows of one second. */
static __always_inline int wglan_allow(__u32 limit, __u64 most) {
    struct wglan_window* window = bpf_map_lookup_elem(&wglan_limits, &limit);
    __u64 now = bpf_ktime_get_boot_ns();

    if (!window) return 0;
    if (now - window->start_ns >= 1000000000ULL) {
        window->start_ns = now;
        window->used = 0;
    }
    return window->used++ < most;
}

static __always_inline const struct wglan_config* wglan_settings(void) {
    __u32 zero = 0;

    return bpf_map_lookup_elem(&wglan_config, &zero);
}

static __always_inline struct wglan_stats* wglan_counters(void) {
    __u32 zero = 0;

    return bpf_map_lookup_elem(&wglan_stats, &zero);
}

#define WGLAN_COUNT(field)                             \
    do {                                               \
        struct wglan_stats* stats_ = wglan_counters(); \
        if (stats_) stats_->field++;                   \
    } while (0)

#endif
