/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What every object of ours has: settings, counters, events. Those that load later take the first's maps. */
#ifndef WGLAN_BPF_SHARED_H
#define WGLAN_BPF_SHARED_H

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "maps/wglan_maps.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __uint(map_flags, BPF_F_MMAPABLE); /* the agent changes single numbers in place */
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

/* No agent has been alive for longer than it was told to be missed. */
static __always_inline bool wglan_orphaned(const struct wglan_config* config) {
    __u64 now;

    if (!config->orphan_after_s) return false;
    now = bpf_ktime_get_coarse_ns();
    return now > config->heartbeat_ns && now - config->heartbeat_ns > config->orphan_after_s * 1000000000ULL;
}

#endif
