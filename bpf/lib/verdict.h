/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Ends of a program: pass, drop with a reason, count. */
#ifndef WGLAN_BPF_VERDICT_H
#define WGLAN_BPF_VERDICT_H

#include <linux/pkt_cls.h>

#include "bpf/lib/lookup.h"
#include "bpf/lib/report.h"

/* TCX_NEXT has the same number: whatever comes after us still sees the packet. */
#define WGLAN_NEXT TC_ACT_UNSPEC

__noinline int wglan_drop(struct __sk_buff* skb, const struct wglan_packet* packet, __u32 peer,
                          __u32 reason) {
    struct wglan_note note = {.kind = WGLAN_EVENT_DROP, .reason = reason, .peer = peer};
    struct wglan_stats* stats = wglan_counters();

    if (!packet) return TC_ACT_SHOT;
    if (stats && reason < WGLAN_DROP_SPARE) stats->dropped[reason]++;
    wglan_report(skb, packet, &note);
    return TC_ACT_SHOT;
}

static __always_inline int wglan_pass(void) {
    WGLAN_COUNT(passed);
    return WGLAN_NEXT;
}

static __always_inline void wglan_count_peer(__u32 peer, __u32 bytes, __u32 packets, bool transmit) {
    struct wglan_peer_stats* stats = bpf_map_lookup_elem(&wglan_pstats, &peer);

    if (!stats) return;
    if (transmit) {
        stats->tx_packets += packets;
        stats->tx_bytes += bytes;
    } else {
        stats->rx_packets += packets;
        stats->rx_bytes += bytes;
    }
}

enum wglan_path {
    WGLAN_PATH_TUNNEL,
    WGLAN_PATH_BYPASS,
    WGLAN_PATH_DROP, /* with a reason */
};

/* `have_interface` false: nothing can be sent, so a peer that is up counts as down. */
static __always_inline enum wglan_path wglan_judge_peer(__u32 id, bool have_interface, __u32* reason) {
    const struct wglan_peer* peer = bpf_map_lookup_elem(&wglan_peers, &id);
    __u8 fallback = WGLAN_FALLBACK_DROP;

    if (!peer) {
        *reason = WGLAN_DROP_PEER_MISSING;
        return WGLAN_PATH_DROP;
    }
    switch (peer->state) {
        case WGLAN_PEER_UP:
        case WGLAN_PEER_DEGRADED:
            if (have_interface) return WGLAN_PATH_TUNNEL;
            *reason = WGLAN_DROP_NO_INTERFACE;
            fallback = peer->when_down;
            break;
        case WGLAN_PEER_DOWN:
            *reason = WGLAN_DROP_PEER_DOWN;
            fallback = peer->when_down;
            break;
        case WGLAN_PEER_UNKNOWN:
            *reason = WGLAN_DROP_PEER_UNKNOWN;
            fallback = peer->when_unknown;
            break;
        default:
            *reason = WGLAN_DROP_PEER_QUARANTINED;
            break;
    }
    return fallback == WGLAN_FALLBACK_BYPASS ? WGLAN_PATH_BYPASS : WGLAN_PATH_DROP;
}

#endif
