/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The ways between pods and the tunnel past the host's stack (podDatapath: direct), and their maps.
 * Both directions ask the same questions, so that a flow takes the same way there and back: are both
 * ends pods, one of ours and one of a peer's; is the peer up; does the packet need the stack; does
 * conntrack know the flow?
 */
#ifndef WGLAN_BPF_DIRECT_H
#define WGLAN_BPF_DIRECT_H

#include "bpf/lib/send.h"
#include "maps/wglan_direct.h"

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, WGLAN_MAX_PODS);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, __u32);
    __type(value, struct wglan_pod);
} wglan_pods SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, WGLAN_MAX_PODS);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct wglan_mac);
    __type(value, __u32);
} wglan_macs SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct wglan_own);
} wglan_own SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct wglan_direct_stats);
} wglan_dstats SEC(".maps");

static __always_inline struct wglan_direct_stats* wglan_direct_counters(void) {
    __u32 zero = 0;

    return bpf_map_lookup_elem(&wglan_dstats, &zero);
}

#define WGLAN_COUNT_DIRECT(field)                                    \
    do {                                                             \
        struct wglan_direct_stats* stats_ = wglan_direct_counters(); \
        if (stats_) stats_->field++;                                 \
    } while (0)

__noinline int wglan_is_own_pod(const struct wglan_packet* packet, bool destination) {
    __u32 zero = 0, i;
    const struct wglan_own* own = bpf_map_lookup_elem(&wglan_own, &zero);
    const __u8* from;
    __u64 high, low;
    __u32 word;

    if (!own || !packet) return 0;
    from = destination ? packet->destination : packet->source;
    if (packet->family == 4) {
        __builtin_memcpy(&word, from + 12, 4);
        for (i = 0; i < WGLAN_OWN_PREFIXES && i < own->count4; i++)
            if ((word & *(const __u32*)own->ipv4[i].mask) == *(const __u32*)own->ipv4[i].address) return 1;
        return 0;
    }
    __builtin_memcpy(&high, from, 8);
    __builtin_memcpy(&low, from + 8, 8);
    for (i = 0; i < WGLAN_OWN_PREFIXES && i < own->count6; i++) {
        const struct wglan_own6* net = &own->ipv6[i];

        if ((high & *(const __u64*)net->mask) == *(const __u64*)net->address &&
            (low & *(const __u64*)(net->mask + 8)) == *(const __u64*)(net->address + 8))
            return 1;
    }
    return 0;
}

/* Frames that the host would route, not those that a bridge carries from pod to pod. */
static __always_inline bool wglan_to_this_host(struct __sk_buff* skb, const struct wglan_pod* pod) {
    const void* frame = (void*)(long)skb->data;
    struct wglan_mac to = {};

    if (frame + ETH_HLEN > (const void*)(long)skb->data_end) return false;
    __builtin_memcpy(to.mac, frame, sizeof(to.mac));
    if (*(const __u16*)(to.mac + 4) == *(const __u16*)(pod->mac + 4) &&
        *(const __u32*)to.mac == *(const __u32*)pod->mac)
        return true;
    return pod->kind == WGLAN_POD_PORT && bpf_map_lookup_elem(&wglan_macs, &to) != NULL;
}

static __always_inline bool wglan_leads_to_pods(const struct wglan_answer* route) {
    return route->action == WGLAN_ACTION_STEER && (route->flags & WGLAN_ROUTE_PODS);
}

static __always_inline bool wglan_left_to_stack(struct __sk_buff* skb, const struct wglan_flow* flow) {
    if (!wglan_stack_has(skb, flow)) return false;
    WGLAN_COUNT_DIRECT(known);
    return true;
}

#endif
