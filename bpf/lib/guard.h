/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the guard thinks of a datagram for the WireGuard port. */
#ifndef WGLAN_BPF_GUARD_H
#define WGLAN_BPF_GUARD_H

#include "bpf/lib/datagram.h"
#include "bpf/lib/events.h"
#include "bpf/lib/wireguard.h"
#include "maps/wglan_guard.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct wglan_guard_settings);
} wglan_guard SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, WGLAN_GUARD_SOURCES);
    __type(key, struct wglan_guard_source);
    __type(value, struct wglan_guard_bucket);
} wglan_gsource SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, WGLAN_GUARD_ADDRESSES);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct wglan_guard_address);
    __type(value, __u32);
} wglan_gaddress SEC(".maps");

/* Longer than any real contention of one source's packets on several CPUs; beyond, it is a flood. */
#define WGLAN_GUARD_TRIES 4

static __always_inline bool wglan_is_data(const struct wglan_datagram* datagram) {
    return datagram->has_start && datagram->start == WGLAN_DATA &&
           datagram->length >= WGLAN_DATA_LENGTH_LEAST;
}

/* WGLAN_DROP_SPARE: nothing wrong with its form. */
static __always_inline __u32 wglan_form_of(const struct wglan_datagram* datagram) {
    if (!datagram->has_start) return WGLAN_DROP_GUARD_LENGTH;
    switch (datagram->start) {
        case WGLAN_INITIATION:
            return datagram->length == WGLAN_INITIATION_LENGTH ? WGLAN_DROP_SPARE : WGLAN_DROP_GUARD_LENGTH;
        case WGLAN_RESPONSE:
            return datagram->length == WGLAN_RESPONSE_LENGTH ? WGLAN_DROP_SPARE : WGLAN_DROP_GUARD_LENGTH;
        case WGLAN_COOKIE:
            return datagram->length == WGLAN_COOKIE_LENGTH ? WGLAN_DROP_SPARE : WGLAN_DROP_GUARD_LENGTH;
        case WGLAN_DATA:
            return datagram->length >= WGLAN_DATA_LENGTH_LEAST ? WGLAN_DROP_SPARE : WGLAN_DROP_GUARD_LENGTH;
        default:
            return WGLAN_DROP_GUARD_TYPE;
    }
}

/*
 * One host, as far as an address tells: an IPv6 /64 is one customer. Behind the well-known NAT64 prefix
 * (RFC 6052) stands all of IPv4.
 */
static __always_inline void wglan_source_of(const struct wglan_datagram* datagram,
                                            struct wglan_guard_source* source) {
    const __u8* a = datagram->source;
    bool nat64 = a[0] == 0 && a[1] == 0x64 && a[2] == 0xff && a[3] == 0x9b;

    __builtin_memset(source, 0, sizeof(*source));
    __builtin_memcpy(source->address, a, 8);
    if (datagram->family == 4 || nat64) __builtin_memcpy(source->address + 8, a + 8, 8);
}

/*
 * The bucket as the time at which it is full again (GCRA, ITU-T I.371): one number, changed by one
 * compare-and-swap, so that CPUs neither lock nor grant a token twice.
 */
static __always_inline bool wglan_take_token(const struct wglan_guard_source* source,
                                             const struct wglan_guard_settings* settings) {
    struct wglan_guard_bucket* bucket = bpf_map_lookup_elem(&wglan_gsource, source);
    __u64 now = bpf_ktime_get_boot_ns();
    int i;

    if (!bucket) {
        struct wglan_guard_bucket fresh = {.full_ns = now + settings->interval_ns};

        bpf_map_update_elem(&wglan_gsource, source, &fresh, BPF_NOEXIST);
        return true;
    }
    for (i = 0; i < WGLAN_GUARD_TRIES; i++) {
        __u64 before = *(volatile __u64*)&bucket->full_ns;
        __u64 start = before > now ? before : now;

        if (start - now > settings->tolerance_ns) return false;
        if (__sync_val_compare_and_swap(&bucket->full_ns, before, start + settings->interval_ns) == before)
            return true;
    }
    return false;
}

static __always_inline void wglan_report_guard(const struct wglan_datagram* datagram, __u32 ifindex,
                                               __u32 reason) {
    struct wglan_stats* stats = wglan_counters();
    struct wglan_event* event;

    if (stats && reason < WGLAN_DROP_SPARE) stats->dropped[reason]++;
    event = wglan_begin_event(WGLAN_EVENT_GUARD);
    if (!event) return;
    event->ifindex = ifindex;
    event->reason = (__u8)reason;
    event->protocol = datagram->destination_port ? IPPROTO_UDP : WGLAN_DATAGRAM_UNSEEN;
    event->source_port = datagram->source_port;
    event->destination_port = datagram->destination_port;
    event->length = datagram->length + sizeof(struct udphdr) +
                    (datagram->family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
    __builtin_memcpy(event->source, datagram->source, 16);
    __builtin_memcpy(event->destination, datagram->destination, 16);
    bpf_ringbuf_submit(event, 0);
}

/*
 * 1: drop it; counted and reported. Without a destination port: it wasn't found, and may well be ours. A
 * function of its own for the verifier's sake, see packet.h.
 */
__noinline int wglan_refuses(const struct wglan_datagram* datagram, __u32 ifindex) {
    const struct wglan_config* config = wglan_settings();
    const struct wglan_guard_settings* settings;
    struct wglan_guard_source source;
    struct wglan_guard_address own; /* map keys must be on the stack, for 6.1's verifier */
    __u32 zero = 0, reason;

    if (!datagram || !config) return 0;
    settings = bpf_map_lookup_elem(&wglan_guard, &zero);
    __builtin_memcpy(own.address, datagram->destination, sizeof(own.address));
    if (!settings || !bpf_map_lookup_elem(&wglan_gaddress, &own)) return 0;
    reason = datagram->destination_port ? wglan_form_of(datagram) : WGLAN_DROP_SPARE;
    if (reason == WGLAN_DROP_SPARE) {
        bool counts = !datagram->destination_port || datagram->start == WGLAN_INITIATION;

        if (!counts || !settings->handshakes_per_s) return 0;
        wglan_source_of(datagram, &source);
        if (wglan_take_token(&source, settings)) return 0;
        reason = WGLAN_DROP_GUARD_RATE;
    } else if (!settings->drop_odd) {
        return 0;
    }
    if (wglan_orphaned(config)) return 0;
    wglan_report_guard(datagram, ifindex, reason);
    return 1;
}

#define WGLAN_SEGMENTS_MOST 64 /* UDP_GRO_CNT_MAX, UDP_MAX_SEGMENTS */

enum wglan_segments {
    WGLAN_SEGMENTS_PASS,
    WGLAN_SEGMENTS_REFUSED,
    WGLAN_SEGMENTS_ODD, /* the datagram has become the first of them whose form is wrong */
};

/*
 * Several datagrams of one flow in one packet (UDP GRO, or a neighbour that left the segmentation to us): all
 * as long as the first, but the last, which may be shorter. Each is judged; what is refused takes the others
 * along.
 */
__noinline int wglan_judge_segments(struct __sk_buff* skb, struct wglan_datagram* datagram) {
    const struct wglan_guard_settings* settings;
    __u32 all, size = skb->gso_size, zero = 0, i;
    bool odd_pass;

    settings = bpf_map_lookup_elem(&wglan_guard, &zero);
    if (!datagram || !size || !settings) return WGLAN_SEGMENTS_PASS;
    odd_pass = !settings->drop_odd;
    all = datagram->length;
    for (i = 0; i < WGLAN_SEGMENTS_MOST; i++) {
        __u32 at = i * size, left;
        __u8 start[4];

        if (at >= all) break;
        left = all - at;
        datagram->length = left < size ? left : size;
        datagram->has_start = datagram->length >= sizeof(start);
        if (datagram->has_start) {
            if (bpf_skb_load_bytes(skb, datagram->payload + at, start, sizeof(start)))
                return WGLAN_SEGMENTS_PASS;
            datagram->start = start[0] | start[1] << 8 | start[2] << 16 | (__u32)start[3] << 24;
        }
        if (wglan_is_data(datagram)) continue;
        if (wglan_form_of(datagram) != WGLAN_DROP_SPARE) {
            if (odd_pass) continue;
            return WGLAN_SEGMENTS_ODD;
        }
        if (wglan_refuses(datagram, skb->ifindex)) return WGLAN_SEGMENTS_REFUSED;
    }
    return WGLAN_SEGMENTS_PASS;
}

#endif
