/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Into the tunnel past the host's stack: what it would have done and asked is done and asked here. Both
 * directions of a flow ask the same, so that it takes the same way there and back.
 */
#ifndef WGLAN_BPF_SEND_H
#define WGLAN_BPF_SEND_H

#include "bpf/lib/flow.h"
#include "bpf/lib/tunnel.h"

/* Nothing about the packet that only the stack can judge or answer. */
static __always_inline bool wglan_needs_no_stack(struct __sk_buff* skb, const struct wglan_packet* packet,
                                                 struct wglan_flow* flow) {
    return wglan_flow_quickly(skb, packet, flow) && packet->ttl > 1;
}

/* The last question. What conntrack knows is also what may have been translated. */
static __always_inline bool wglan_stack_has(struct __sk_buff* skb, const struct wglan_flow* flow) {
    return flow->protocol && wglan_flow_known(skb, flow);
}

/* RFC 1624, of a word whose upper byte went down by one; ip_decrease_ttl() does the same. */
static __always_inline __be16 wglan_one_less(__be16 check) {
    __u32 sum = check + bpf_htons(0x0100);

    return (__be16)(sum + (sum >= 0xffff));
}

/*
 * A hop counts itself (RFC 1812 section 5.3.1). False: the packet must not be forwarded; it is as it was.
 * `l3` is the packet's, as a constant, or older verifiers can't tell what is written.
 */
static __always_inline bool wglan_decrement_ttl(struct __sk_buff* skb, const struct wglan_packet* packet,
                                                __u32 l3) {
    void *header = (void*)(long)skb->data + l3, *end = (void*)(long)skb->data_end;

    if (packet->family == 4) {
        struct iphdr* ip = header;

        if ((void*)(ip + 1) > end || ip->ttl <= 1) return false;
        ip->ttl--;
        ip->check = wglan_one_less(ip->check);
    } else {
        struct ipv6hdr* ip = header;

        if ((void*)(ip + 1) > end || ip->hop_limit <= 1) return false;
        ip->hop_limit--;
    }
    return true;
}

/* `*counter`, if any, counts what goes. */
static __always_inline int wglan_send(struct __sk_buff* skb, const struct wglan_packet* packet,
                                      const struct wglan_config* config, const struct wglan_answer* route,
                                      struct wglan_slot* slot, __u32 l3, __u64* counter) {
    __u32 peer = route->peer, ifindex = config->interface_ifindex, mtu = route->mtu, reason = 0;
    enum wglan_fit fit = WGLAN_NO_DEVICE;
    bool usual;

    if (ifindex) fit = wglan_check_fit(skb, packet, ifindex, &mtu);
    usual = wglan_is_usual(skb, packet, route, fit);
    if (!usual) {
        switch (wglan_judge_peer(peer, fit != WGLAN_NO_DEVICE, &reason)) {
            case WGLAN_PATH_BYPASS:
                return WGLAN_NEXT;
            case WGLAN_PATH_DROP:
                return wglan_drop(skb, packet, peer, reason);
            case WGLAN_PATH_TUNNEL:
                break;
        }
        /* The stack might have no way to the peer, or one without the tunnel's MTU. */
        if (fit == WGLAN_TOO_BIG) {
            if (!packet->may_fragment) {
                int verdict = wglan_answer_too_big(skb, packet, peer, mtu, 0);

                if (verdict != WGLAN_SEND_WHOLE) return verdict;
            }
            WGLAN_COUNT(oversized);
        }
    }
    if (!wglan_decrement_ttl(skb, packet, l3)) return WGLAN_NEXT;
    if (counter) (*counter)++;
    if (usual)
        wglan_hand_over(skb, peer);
    else
        wglan_no_hit(slot);
    return wglan_into_tunnel(skb, packet, config, peer);
}

#endif
