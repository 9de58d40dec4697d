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

#define WGLAN_NEXT TC_ACT_UNSPEC /* TCX_NEXT has the same number */
#define WGLAN_PULL_MOST 512      /* MAC and IP headers, and far more extension headers than are sent */

#define WGLAN_PRIORITY_TAGS 2 /* looked through; the kernel takes one off after the other */

struct wglan_tag {
    __be16 tci;
    __be16 type;
};

/*
 * The EtherType behind tags that carry a priority alone (VLAN 0), which the device below delivers itself;
 * `*l3` in and out: the offset of what it tells of. 0: another VLAN's, whose device above has a guard of its
 * own.
 */
static __always_inline __be16 wglan_untag(const void* data, const void* end, __be16 type, __u32* l3) {
    int i;

    for (i = 0; i < WGLAN_PRIORITY_TAGS; i++) {
        const struct wglan_tag* tag = data + *l3;

        if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD)) break;
        if ((const void*)(tag + 1) > end || tag->tci & bpf_htons(0x0fff)) return 0;
        type = tag->type;
        *l3 += sizeof(*tag);
    }
    return type;
}

static __always_inline int wglan_at_xdp(struct xdp_md* ctx, bool ask) {
    const void *data = (void*)(long)ctx->data, *end = (void*)(long)ctx->data_end;
    const struct wglan_config* config = wglan_settings();
    const struct ethhdr* frame = data;
    struct wglan_datagram datagram;
    __u32 l3 = ETH_HLEN;
    __be16 type;

    if (!config || !config->listen_port || (const void*)(frame + 1) > end) return XDP_PASS;
    __builtin_memset(&datagram, 0, sizeof(datagram));
    type = wglan_untag(data, end, frame->h_proto, &l3);
    /* The first buffer holds all headers that are likely. */
    if (wglan_find_datagram(data, end, type, l3, config->listen_port, &datagram) == WGLAN_NOT_OURS ||
        wglan_is_data(&datagram))
        return XDP_PASS;
    if (ask && datagram.destination_port && wglan_form_of(&datagram) != WGLAN_DROP_SPARE &&
        WGLAN_IS_REPLY(bpf_xdp_ct_lookup, ctx, &datagram))
        return XDP_PASS;
    return wglan_refuses(&datagram, ctx->ingress_ifindex) ? XDP_DROP : XDP_PASS;
}

static __always_inline enum wglan_find wglan_find_in(struct __sk_buff* skb, __u32 l2, __u16 port,
                                                     struct wglan_datagram* datagram) {
    const void *data = (void*)(long)skb->data, *end = (void*)(long)skb->data_end;
    __u32 l3 = l2;
    __be16 type;

    __builtin_memset(datagram, 0, sizeof(*datagram));
    type = wglan_untag(data, end, (__be16)skb->protocol, &l3);
    return wglan_find_datagram(data, end, type, l3, port, datagram);
}

/* `l2`: length of the MAC header that packets carry on this kind of device. */
static __always_inline int wglan_at_tc(struct __sk_buff* skb, __u32 l2, bool ask) {
    const struct wglan_config* config = wglan_settings();
    struct wglan_datagram datagram;
    enum wglan_find found;

    if (!config || !config->listen_port || (skb->vlan_present && skb->vlan_tci & 0x0fff)) return WGLAN_NEXT;
    found = wglan_find_in(skb, l2, config->listen_port, &datagram);
    if (found == WGLAN_CUT) {
        __u32 all = skb->len;

        if (bpf_skb_pull_data(skb, all < WGLAN_PULL_MOST ? all : WGLAN_PULL_MOST)) return WGLAN_NEXT;
        found = wglan_find_in(skb, l2, config->listen_port, &datagram);
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
