// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The guard of the WireGuard port at the ingress of uplinks: XDP on physical ones, TC elsewhere. What
 * is for the port and no WireGuard message, or an initiation too many of its source, goes no further. What
 * hides its port from it, behind many extension headers, counts as an initiation. Nothing is ever changed,
 * and data messages cost no map look-up but the settings'.
 *
 * wglan_plain_*: the same for kernels in which conntrack can't be asked.
 */
#include "bpf/lib/guard.h"

#include <linux/pkt_cls.h>

#include "bpf/lib/conntrack.h"
#include "bpf/lib/tagged.h"

#define WGLAN_NEXT TC_ACT_UNSPEC /* TCX_NEXT has the same number */
#define WGLAN_PULL_MOST 512      /* MAC and IP headers, and far more extension headers than are sent */

static __always_inline __be16 wglan_ether_type(const void* data, const void* end) {
    const struct ethhdr* frame = data;

    return (const void*)(frame + 1) > end ? 0 : frame->h_proto;
}

static __always_inline int wglan_at_xdp(struct xdp_md* ctx, bool ask) {
    const void *data = (void*)(long)ctx->data, *end = (void*)(long)ctx->data_end;
    const struct wglan_config* config = wglan_settings();
    struct wglan_datagram datagram;
    enum wglan_find found;
    __be16 type;

    if (!config || !config->listen_port) return XDP_PASS;
    __builtin_memset(&datagram, 0, sizeof(datagram));
    type = wglan_ether_type(data, end);
    /* The first buffer holds all headers that are likely. */
    if (wglan_is_tag(type))
        found = wglan_find_tagged_xdp(ctx, config->listen_port, &datagram);
    else
        found = wglan_find_datagram(data, end, type, ETH_HLEN, config->listen_port, &datagram);
    if (found == WGLAN_NOT_OURS || wglan_is_data(&datagram)) return XDP_PASS;
    if (ask && datagram.destination_port && wglan_form_of(&datagram) != WGLAN_DROP_SPARE &&
        WGLAN_IS_REPLY(bpf_xdp_ct_lookup, ctx, &datagram))
        return XDP_PASS;
    return wglan_refuses(&datagram, ctx->ingress_ifindex) ? XDP_DROP : XDP_PASS;
}

/* `l2`: length of the MAC header that packets carry on this kind of device. */
static __always_inline int wglan_at_tc(struct __sk_buff* skb, __u32 l2, bool ask) {
    const struct wglan_config* config = wglan_settings();
    struct wglan_datagram datagram;
    enum wglan_find found;

    if (!config || !config->listen_port || (skb->vlan_present && skb->vlan_tci & 0x0fff)) return WGLAN_NEXT;
    __builtin_memset(&datagram, 0, sizeof(datagram));
    if (l2 && wglan_is_tag((__be16)skb->protocol))
        found = wglan_find_tagged_skb(skb, config->listen_port, &datagram);
    else
        found = wglan_find_datagram((void*)(long)skb->data, (void*)(long)skb->data_end, skb->protocol, l2,
                                    config->listen_port, &datagram);
    if (found == WGLAN_CUT && !wglan_is_tag((__be16)skb->protocol)) {
        __u32 all = skb->len;

        if (bpf_skb_pull_data(skb, all < WGLAN_PULL_MOST ? all : WGLAN_PULL_MOST)) return WGLAN_NEXT;
        __builtin_memset(&datagram, 0, sizeof(datagram));
        found = wglan_find_datagram((void*)(long)skb->data, (void*)(long)skb->data_end, skb->protocol, l2,
                                    config->listen_port, &datagram);
    }
    if (found == WGLAN_NOT_OURS) return WGLAN_NEXT;
    if (skb->gso_size && datagram.destination_port) {
        int judged = wglan_judge_segments(skb, &datagram);

        if (judged != WGLAN_SEGMENTS_ODD) return judged == WGLAN_SEGMENTS_REFUSED ? TC_ACT_SHOT : WGLAN_NEXT;
    } else if (wglan_is_data(&datagram)) {
        return WGLAN_NEXT;
    }
    if (ask && datagram.destination_port && wglan_form_of(&datagram) != WGLAN_DROP_SPARE &&
        WGLAN_IS_REPLY(bpf_skb_ct_lookup, skb, &datagram))
        return WGLAN_NEXT;
    return wglan_refuses(&datagram, skb->ifindex) ? TC_ACT_SHOT : WGLAN_NEXT;
}

SEC("?xdp.frags")
int wglan_guard_xdp(struct xdp_md* ctx) { return wglan_at_xdp(ctx, true); }

SEC("?tc")
int wglan_guard_tc(struct __sk_buff* skb) { return wglan_at_tc(skb, ETH_HLEN, true); }

/* Uplinks without a MAC header. */
SEC("?tc")
int wglan_guard_l3(struct __sk_buff* skb) { return wglan_at_tc(skb, 0, true); }

SEC("?xdp.frags")
int wglan_plain_xdp(struct xdp_md* ctx) { return wglan_at_xdp(ctx, false); }

SEC("?tc")
int wglan_plain_tc(struct __sk_buff* skb) { return wglan_at_tc(skb, ETH_HLEN, false); }

SEC("?tc")
int wglan_plain_l3(struct __sk_buff* skb) { return wglan_at_tc(skb, 0, false); }

char wglan_license[] SEC("license") = "Dual BSD/GPL";
