/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What somebody who watches is told (wglanctl monitor). While nobody does, that costs one test of a number.
 */
#ifndef WGLAN_BPF_EVENTS_H
#define WGLAN_BPF_EVENTS_H

#include "bpf/lib/shared.h"

/* The agent renews the time while it has readers: should it be killed, this ends by itself. */
static __always_inline __u64 wglan_watched_until_ns(const struct wglan_config* config) {
    return *(const volatile __u32*)&config->watched_until_s * 1000000000ULL;
}

/* Reserved in the buffer, all zero but time and kind; NULL: nobody watches, or it is counted as lost. */
static __always_inline struct wglan_event* wglan_begin_event(__u32 kind) {
    const struct wglan_config* config = wglan_settings();
    __u64 until = config ? wglan_watched_until_ns(config) : 0;
    struct wglan_event* event = NULL;

    if (!until || bpf_ktime_get_boot_ns() >= until) return NULL;
    if (kind == WGLAN_EVENT_FLOW || wglan_allow(WGLAN_LIMIT_EVENTS + kind, WGLAN_EVENTS_PER_SECOND))
        event = bpf_ringbuf_reserve(&wglan_events, sizeof(*event), 0);
    if (!event) {
        WGLAN_COUNT(events_lost);
        return NULL;
    }
    __builtin_memset(event, 0, sizeof(*event));
    event->time_ns = bpf_ktime_get_boot_ns();
    event->kind = (__u8)kind;
    return event;
}

#endif
