// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * podDatapath: direct. What pods send to peers' pods goes into the tunnel before the host's stack sees
 * it, and what comes out of the tunnel for a pod goes straight there.
 */
#include "bpf/lib/direct.h"

#include "bpf/lib/fib.h"
#include "bpf/lib/hub.h"

static __always_inline int wglan_to_pods(struct __sk_buff* skb, const struct wglan_packet* packet,
                                         const struct wglan_config* config, const struct wglan_answer* route,
                                         struct wglan_slot* slot) {
    struct wglan_direct_stats* stats;
    struct wglan_flow flow;

    if (!wglan_leads_to_pods(route) || !wglan_is_own_pod(packet, false)) return WGLAN_NEXT;
    if (!wglan_needs_no_stack(skb, packet, &flow)) {
        WGLAN_COUNT_DIRECT(stack);
        return WGLAN_NEXT;
    }
    /* A pod that forwards tells of other people's flows. */
    if (flow.error && (__builtin_memcmp(flow.source, packet->source, 16) ||
                       __builtin_memcmp(flow.destination, packet->destination, 16)))
        return WGLAN_NEXT;
    if (wglan_left_to_stack(skb, &flow)) return WGLAN_NEXT;
    stats = wglan_direct_counters();
    return wglan_send(skb, packet, config, route, slot, ETH_HLEN, stats ? &stats->sent : NULL);
}

/* From a pod, at its device on this host. */
SEC("tc")
int wglan_pod_in(struct __sk_buff* skb) {
    const struct wglan_config* config = wglan_settings();
    const struct wglan_pod* pod;
    struct wglan_packet packet;
    struct wglan_answer route;
    struct wglan_slot* slot;
    __u32 device = skb->ifindex;
    int verdict;

    pod = bpf_map_lookup_elem(&wglan_pods, &device);
    if (!config || !pod || wglan_orphaned(config)) return WGLAN_NEXT;
    if (skb->vlan_present || !wglan_to_this_host(skb, pod)) return WGLAN_NEXT;
    if (!wglan_read(skb, &packet, ETH_HLEN)) return WGLAN_NEXT;
    wglan_find_route(&packet, packet.destination, config, &route, &slot);
    verdict = wglan_to_pods(skb, &packet, config, &route, slot);
    if (verdict == WGLAN_NEXT) wglan_no_hit(slot);
    return verdict;
}

/* The way to a pod: its device on this host, and the frame's header. */
struct wglan_way {
    __u32 ifindex;
    __u32 kind;     /* enum wglan_pod_kind */
    __u32 resolved; /* `eth` is whole */
    struct ethhdr eth;
};

/* 0: the stack knows better, be it only that there is no such pod. `*way` must be zero. */
__noinline int wglan_find_pod(struct __sk_buff* skb, const struct wglan_packet* packet,
                              struct wglan_way* way) {
    struct bpf_fib_lookup fib = {};
    const struct wglan_pod* pod;
    volatile __u32 gso_size = skb->gso_size;
    __u32 size = gso_size, mtu = 0, device; /* older verifiers want keys on the stack */
    long found;

    if (!packet || !way) return 0;
    fib.ifindex = skb->ifindex;
    fib.l4_protocol = packet->protocol;
    if (!size) fib.tot_len = (__u16)skb->len;
    wglan_ask_for(&fib, packet->family, packet->source, packet->destination);
    found = bpf_fib_lookup(skb, &fib, sizeof(fib), 0);
    if (found != BPF_FIB_LKUP_RET_SUCCESS && found != BPF_FIB_LKUP_RET_NO_NEIGH) return 0;
    device = fib.ifindex;
    pod = bpf_map_lookup_elem(&wglan_pods, &device);
    if (!pod || pod->kind == WGLAN_POD_PORT) return 0;
    if (size && bpf_check_mtu(skb, device, &mtu, 0, BPF_MTU_CHK_SEGS) != BPF_MTU_CHK_RET_SUCCESS) return 0;
    way->ifindex = device;
    way->kind = pod->kind;
    way->resolved = found == BPF_FIB_LKUP_RET_SUCCESS;
    __builtin_memcpy(way->eth.h_dest, fib.dmac, ETH_ALEN);
    __builtin_memcpy(way->eth.h_source, fib.smac, ETH_ALEN);
    way->eth.h_proto = (__be16)skb->protocol;
    return 1;
}

/* Without a MAC header captures in the pod would show garbage, and no other way than redirect_peer works. */
static __always_inline int wglan_deliver(struct __sk_buff* skb, const struct wglan_packet* packet,
                                         struct wglan_way* way) {
    if (!wglan_decrement_ttl(skb, packet, 0)) return WGLAN_NEXT;
    if (bpf_skb_change_head(skb, ETH_HLEN, 0)) return WGLAN_NEXT;
    /* A header that can't be written can't be taken away again either. */
    if (bpf_skb_store_bytes(skb, 0, &way->eth, ETH_HLEN, 0)) return TC_ACT_SHOT;
    WGLAN_COUNT_DIRECT(delivered);
    /* A reply that conntrack doesn't know is INVALID: the stack would drop it before it asks for the MAC. */
    if (!way->resolved) return (int)bpf_redirect_neigh(way->ifindex, NULL, 0, 0);
    if (way->kind == WGLAN_POD_PEER) return (int)bpf_redirect_peer(way->ifindex, 0);
    return (int)bpf_redirect(way->ifindex, 0);
}

/* `route`: of the packet's source; changed for an error's. */
static __always_inline int wglan_into_pod(struct __sk_buff* skb, const struct wglan_packet* packet,
                                          const struct wglan_config* config, struct wglan_answer* route) {
    struct wglan_slot* slot;
    struct wglan_flow flow;
    struct wglan_way way;

    __builtin_memset(&way, 0, sizeof(way));
    if (wglan_orphaned(config)) return WGLAN_NEXT;
    if (!wglan_needs_no_stack(skb, packet, &flow)) {
        WGLAN_COUNT_DIRECT(stack);
        return WGLAN_NEXT;
    }
    if (flow.error) {
        /* Any hop may have sent it: what counts is whom the flow is with. */
        if (__builtin_memcmp(flow.destination, packet->destination, 16)) return WGLAN_NEXT;
        wglan_find_route(packet, flow.source, config, route, &slot);
        wglan_no_hit(slot);
    }
    if (!wglan_leads_to_pods(route) || !wglan_peer_is_up(route)) return WGLAN_NEXT;
    if (wglan_left_to_stack(skb, &flow)) return WGLAN_NEXT;
    if (!wglan_find_pod(skb, packet, &way)) {
        WGLAN_COUNT_DIRECT(stack);
        return WGLAN_NEXT;
    }
    return wglan_deliver(skb, packet, &way);
}

/* In the place of wglan_tun_in. */
SEC("tc")
int wglan_tun_dir(struct __sk_buff* skb) {
    const struct wglan_config* config = wglan_settings();
    struct wglan_packet packet;
    struct wglan_answer route;

    int verdict;

    if (!wglan_arrives(skb, config, &packet, &route, &verdict)) return verdict;
    if (wglan_is_own_pod(&packet, true)) return wglan_into_pod(skb, &packet, config, &route);
    return wglan_between_peers(skb, &packet, config, &route);
}

char wglan_license[] SEC("license") = "Dual BSD/GPL";
