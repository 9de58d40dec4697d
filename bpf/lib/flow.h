/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Which flow a packet belongs to, and whether the host's conntrack knows it. */
#ifndef WGLAN_BPF_FLOW_H
#define WGLAN_BPF_FLOW_H

#include "bpf/lib/mtu.h"

#define WGLAN_ICMP_TIME_EXCEEDED 11
#define WGLAN_ICMP_PARAMETER_PROBLEM 12
#define WGLAN_ICMPV6_PARAMETER_PROBLEM 4
#define WGLAN_ICMPV6_ECHO_REQUEST 128
#define WGLAN_ICMPV6_ECHO_REPLY 129
#define WGLAN_ICMP_HEADER 8

/* In the direction of the packet; of an ICMP error, that of the flow that it is about, turned round. */
struct wglan_flow {
    __u8 source[16];
    __u8 destination[16];
    __u16 source_port;
    __u16 destination_port;
    __u8 family;
    __u8 protocol; /* 0: echo, which conntrack can't be asked about */
    __u8 error;    /* the packet is an ICMP error */
    __u8 pad0;
};

/* Never looked into, but declared alone it would be of another kind of BTF than the kernel's. */
struct nf_conn {
    int unused;
};

/* struct bpf_ct_opts of net/netfilter/nf_conntrack_bpf.c: 12 bytes of it do for every kernel. */
struct wglan_lookup_options {
    __s32 netns_id;
    __s32 error;
    __u8 protocol;
    __u8 direction;
    __u8 reserved[2];
};

extern struct nf_conn* bpf_skb_ct_lookup(struct __sk_buff* skb, struct bpf_sock_tuple* tuple,
                                         __u32 tuple_size, struct wglan_lookup_options* options,
                                         __u32 options_size) __ksym;
extern void bpf_ct_release(struct nf_conn* flow) __ksym;

/* TCP and UDP, by either direction's tuple. */
__noinline int wglan_flow_known(struct __sk_buff* skb, const struct wglan_flow* flow) {
    struct wglan_lookup_options options = {.netns_id = -1 /* this one */};
    struct bpf_sock_tuple tuple = {};
    struct nf_conn* found;

    if (!flow) return 1;
    options.protocol = flow->protocol;
    if (flow->family == 4) {
        __builtin_memcpy(&tuple.ipv4.saddr, flow->source + 12, 4);
        __builtin_memcpy(&tuple.ipv4.daddr, flow->destination + 12, 4);
        tuple.ipv4.sport = bpf_htons(flow->source_port);
        tuple.ipv4.dport = bpf_htons(flow->destination_port);
        found = bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv4), &options, sizeof(options));
    } else {
        __builtin_memcpy(&tuple.ipv6.saddr, flow->source, 16);
        __builtin_memcpy(&tuple.ipv6.daddr, flow->destination, 16);
        tuple.ipv6.sport = bpf_htons(flow->source_port);
        tuple.ipv6.dport = bpf_htons(flow->destination_port);
        found = bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv6), &options, sizeof(options));
    }
    if (!found) return 0;
    bpf_ct_release(found);
    return 1;
}

static __always_inline bool wglan_is_echo(__u8 family, __u8 type) {
    return family == 4 ? type == WGLAN_ICMP_ECHO || type == WGLAN_ICMP_ECHOREPLY
                       : type == WGLAN_ICMPV6_ECHO_REQUEST || type == WGLAN_ICMPV6_ECHO_REPLY;
}

static __always_inline bool wglan_is_error(__u8 family, __u8 type) {
    return family == 4 ? type == WGLAN_ICMP_UNREACHABLE || type == WGLAN_ICMP_TIME_EXCEEDED ||
                             type == WGLAN_ICMP_PARAMETER_PROBLEM
                       : type >= 1 && type <= WGLAN_ICMPV6_PARAMETER_PROBLEM;
}

/* The transport of the quoted packet: 8 bytes are all that must be there. */
static __always_inline int wglan_quoted_transport(struct __sk_buff* skb, struct wglan_flow* flow, __u32 l4,
                                                  __u8 protocol) {
    __u8 head[4];

    if (bpf_skb_load_bytes(skb, l4, head, sizeof(head))) return 0;
    if (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP) {
        flow->protocol = protocol;
        flow->destination_port = (__u16)(head[0] << 8 | head[1]);
        flow->source_port = (__u16)(head[2] << 8 | head[3]);
        return 1;
    }
    return protocol == (flow->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6) &&
           wglan_is_echo(flow->family, head[0]);
}

/* Fragments, options and extension headers in a quote: their flow went by the stack. */
static __always_inline int wglan_quoted(struct __sk_buff* skb, struct wglan_flow* flow, __u32 offset) {
    struct iphdr ip4;
    struct ipv6hdr ip6;

    flow->error = 1;
    if (flow->family == 4) {
        if (bpf_skb_load_bytes(skb, offset, &ip4, sizeof(ip4)) || ip4.version != 4 || ip4.ihl != 5) return 0;
        if (ip4.frag_off & bpf_htons(0x3fff)) return 0;
        wglan_map_address(flow->destination, &ip4.saddr);
        wglan_map_address(flow->source, &ip4.daddr);
        return wglan_quoted_transport(skb, flow, offset + sizeof(ip4), ip4.protocol);
    }
    if (bpf_skb_load_bytes(skb, offset, &ip6, sizeof(ip6)) || ip6.version != 6) return 0;
    __builtin_memcpy(flow->destination, &ip6.saddr, 16);
    __builtin_memcpy(flow->source, &ip6.daddr, 16);
    return wglan_quoted_transport(skb, flow, offset + sizeof(ip6), ip6.nexthdr);
}

static __always_inline void wglan_take_ports(const struct wglan_packet* packet, struct wglan_flow* flow) {
    flow->protocol = packet->protocol;
    flow->source_port = packet->source_port;
    flow->destination_port = packet->destination_port;
}

static __always_inline void wglan_take_addresses(const struct wglan_packet* packet, struct wglan_flow* flow) {
    __builtin_memcpy(flow->source, packet->source, 16);
    __builtin_memcpy(flow->destination, packet->destination, 16);
}

/*
 * 0: a packet that only the stack can judge: a fragment, one with options or extension headers, malformed,
 * or neither TCP, UDP, echo nor an ICMP error about one of them. `*flow` must be zero.
 */
__noinline int wglan_flow_of(struct __sk_buff* skb, const struct wglan_packet* packet,
                             struct wglan_flow* flow) {
    if (!packet || !flow) return 0;
    if (packet->fragment != WGLAN_WHOLE || packet->has_options || !packet->l4) return 0;
    if (packet->family == 6 && packet->l4 != packet->l3 + sizeof(struct ipv6hdr)) return 0;
    flow->family = packet->family;
    if (packet->protocol == (packet->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)) {
        if (!packet->icmp_known) return 0;
        if (wglan_is_error(packet->family, packet->icmp_type))
            return wglan_quoted(skb, flow, packet->l4 + WGLAN_ICMP_HEADER);
        if (!wglan_is_echo(packet->family, packet->icmp_type)) return 0;
    } else {
        if (packet->protocol == IPPROTO_TCP ? packet->tcp_length < 20 : packet->protocol != IPPROTO_UDP)
            return 0;
        if (!packet->source_port || !packet->destination_port) return 0;
        wglan_take_ports(packet, flow);
    }
    wglan_take_addresses(packet, flow);
    return 1;
}

/* As wglan_flow_of; `*flow` may be anything. */
static __always_inline bool wglan_flow_quickly(struct __sk_buff* skb, const struct wglan_packet* packet,
                                               struct wglan_flow* flow) {
    __builtin_memset(flow, 0, sizeof(*flow));
    if (!packet->plain || (packet->protocol == IPPROTO_TCP && packet->tcp_length < 20) ||
        !packet->source_port || !packet->destination_port)
        return wglan_flow_of(skb, packet, flow);
    flow->family = packet->family;
    wglan_take_ports(packet, flow);
    wglan_take_addresses(packet, flow);
    return true;
}

#endif
