/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Datagrams behind one or two VLAN tags that carry a priority alone (VLAN 0): the kernel takes one off after
 * the other, and the device itself delivers them. Those of another VLAN are its device's. Rare, so that they
 * are read by helpers, in functions of their own, for the verifier's sake.
 */
#ifndef WGLAN_BPF_TAGGED_H
#define WGLAN_BPF_TAGGED_H

#include "bpf/lib/datagram.h"

static __always_inline bool wglan_is_tag(__be16 type) {
    return type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETH_P_8021AD);
}

static __always_inline bool wglan_load(void* context, bool xdp, __u32 offset, void* to, __u32 length) {
    return (xdp ? bpf_xdp_load_bytes(context, offset, to, length)
                : bpf_skb_load_bytes(context, offset, to, length)) == 0;
}

static __always_inline enum wglan_find wglan_load_udp(void* context, bool xdp, __u32 offset, __u16 port,
                                                      struct wglan_datagram* datagram) {
    struct udphdr udp;
    __u8 start[4];

    if (!wglan_load(context, xdp, offset, &udp, sizeof(udp))) return WGLAN_CUT;
    if (udp.dest != bpf_htons(port)) return WGLAN_NOT_OURS;
    wglan_take_udp(&udp, offset, datagram);
    if (datagram->length < sizeof(start)) return WGLAN_FOUND;
    if (!wglan_load(context, xdp, datagram->payload, start, sizeof(start))) return WGLAN_CUT;
    wglan_take_start(start, datagram);
    return WGLAN_FOUND;
}

static __always_inline enum wglan_find wglan_load_ipv4(void* context, bool xdp, __u32 l3, __u16 port,
                                                       struct wglan_datagram* datagram) {
    struct iphdr ip;

    if (!wglan_load(context, xdp, l3, &ip, sizeof(ip))) return WGLAN_CUT;
    if (!wglan_is_udp4(&ip)) return WGLAN_NOT_OURS;
    wglan_take_addresses4(&ip, datagram);
    return wglan_load_udp(context, xdp, l3 + ip.ihl * 4, port, datagram);
}

/* Extension headers aren't looked through. */
static __always_inline enum wglan_find wglan_load_ipv6(void* context, bool xdp, __u32 l3, __u16 port,
                                                       struct wglan_datagram* datagram) {
    struct ipv6hdr ip;

    if (!wglan_load(context, xdp, l3, &ip, sizeof(ip))) return WGLAN_CUT;
    if (ip.version != 6) return WGLAN_NOT_OURS;
    wglan_take_addresses6(&ip, datagram);
    if (wglan_is_extension(ip.nexthdr)) return WGLAN_DEEP;
    if (ip.nexthdr != IPPROTO_UDP) return WGLAN_NOT_OURS;
    return wglan_load_udp(context, xdp, l3 + sizeof(ip), port, datagram);
}

static __always_inline enum wglan_find wglan_find_behind_tags(void* context, bool xdp, __u16 port,
                                                              struct wglan_datagram* datagram) {
    struct {
        __be16 tci;
        __be16 type;
    } tag;
    __u32 l3 = ETH_HLEN;

    if (!wglan_load(context, xdp, l3, &tag, sizeof(tag))) return WGLAN_NOT_OURS;
    l3 += sizeof(tag);
    if (wglan_is_tag(tag.type) && !(tag.tci & bpf_htons(0x0fff))) {
        if (!wglan_load(context, xdp, l3, &tag, sizeof(tag))) return WGLAN_NOT_OURS;
        l3 += sizeof(tag);
    }
    if (tag.tci & bpf_htons(0x0fff)) return WGLAN_NOT_OURS;
    if (tag.type == bpf_htons(ETH_P_IP)) return wglan_load_ipv4(context, xdp, l3, port, datagram);
    if (tag.type == bpf_htons(ETH_P_IPV6)) return wglan_load_ipv6(context, xdp, l3, port, datagram);
    return WGLAN_NOT_OURS;
}

/* `*datagram` must be zero. */
__noinline int wglan_find_tagged_xdp(struct xdp_md* context, __u32 port, struct wglan_datagram* datagram) {
    return datagram ? wglan_find_behind_tags(context, true, (__u16)port, datagram) : WGLAN_NOT_OURS;
}

__noinline int wglan_find_tagged_skb(struct __sk_buff* context, __u32 port, struct wglan_datagram* datagram) {
    return datagram ? wglan_find_behind_tags(context, false, (__u16)port, datagram) : WGLAN_NOT_OURS;
}

#endif
