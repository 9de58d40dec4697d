/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Layout of the maps that are the guard's own (bpf/guard.bpf.c); the conventions are wglan_maps.h's.
 * Listen port, counters and events are in the maps that it shares with the steering programs.
 */
#ifndef WGLAN_GUARD_H
#define WGLAN_GUARD_H

#include <linux/types.h>

#define WGLAN_GUARD_SOURCES 16384 /* buckets; the least recently used makes room */
#define WGLAN_GUARD_ADDRESSES 4096

/* wglan_guard: array of one. */
struct wglan_guard_settings {
    __u32 handshakes_per_s; /* from one source; 0 = nothing is dropped for its rate */
    __u32 drop_odd;         /* 1: what is no WireGuard message is dropped */
    __u64 interval_ns;      /* between two tokens */
    __u64 tolerance_ns;     /* how far ahead of its time a source may be: burst - 1 intervals */
};

/* wglan_gsource: LRU hash from source (an IPv4 address, or an IPv6 /64 with zeros behind) to its bucket. */
struct wglan_guard_source {
    __u8 address[16];
};

struct wglan_guard_bucket {
    __u64 full_ns; /* CLOCK_BOOTTIME at which the bucket is full again */
};

/* wglan_gaddress: hash of this host's addresses; what goes to others isn't looked at. */
struct wglan_guard_address {
    __u8 address[16];
};

#if defined(__cplusplus)
#define WGLAN_SIZE(type, size) static_assert(sizeof(struct type) == (size), #type " is a wire format")
#else
#define WGLAN_SIZE(type, size) _Static_assert(sizeof(struct type) == (size), #type " is a wire format")
#endif
WGLAN_SIZE(wglan_guard_settings, 24);
WGLAN_SIZE(wglan_guard_source, 16);
WGLAN_SIZE(wglan_guard_bucket, 8);
WGLAN_SIZE(wglan_guard_address, 16);
#undef WGLAN_SIZE

#endif
