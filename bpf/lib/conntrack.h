/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Is a datagram the answer to something that went out from here? A masqueraded flow may have been given
 * the WireGuard port, and its replies look like nonsense for that port. What others began doesn't count:
 * anybody's first packet that passes makes a flow.
 */
#ifndef WGLAN_BPF_CONNTRACK_H
#define WGLAN_BPF_CONNTRACK_H

#include "bpf/lib/datagram.h"

/* Never looked into. Declared alone it would be of another BTF kind than the kernel's, and refused. */
struct nf_conn {
    int unused;
};

/* struct bpf_ct_opts of net/netfilter/nf_conntrack_bpf.c, in the form that all kernels take (12 bytes). */
struct wglan_ct_options {
    __s32 netns_id;
    __s32 error;
    __u8 protocol;
    __u8 direction;
    __u8 reserved[2];
};

extern struct nf_conn* bpf_xdp_ct_lookup(struct xdp_md* ctx, struct bpf_sock_tuple* tuple, __u32 tuple_size,
                                         struct wglan_ct_options* options, __u32 options_size) __ksym __weak;
extern struct nf_conn* bpf_skb_ct_lookup(struct __sk_buff* ctx, struct bpf_sock_tuple* tuple,
                                         __u32 tuple_size, struct wglan_ct_options* options,
                                         __u32 options_size) __ksym __weak;
extern void bpf_ct_release(struct nf_conn* flow) __ksym __weak;

#define WGLAN_CT_CURRENT_NETNS -1 /* BPF_F_CURRENT_NETNS */
#define WGLAN_CT_REPLY 1          /* IP_CT_DIR_REPLY */

static __always_inline __u32 wglan_tuple_of(const struct wglan_datagram* datagram,
                                            struct bpf_sock_tuple* tuple) {
    if (datagram->family == 4) {
        __builtin_memcpy(&tuple->ipv4.saddr, datagram->source + 12, 4);
        __builtin_memcpy(&tuple->ipv4.daddr, datagram->destination + 12, 4);
        tuple->ipv4.sport = bpf_htons(datagram->source_port);
        tuple->ipv4.dport = bpf_htons(datagram->destination_port);
        return sizeof(tuple->ipv4);
    }
    __builtin_memcpy(tuple->ipv6.saddr, datagram->source, 16);
    __builtin_memcpy(tuple->ipv6.daddr, datagram->destination, 16);
    tuple->ipv6.sport = bpf_htons(datagram->source_port);
    tuple->ipv6.dport = bpf_htons(datagram->destination_port);
    return sizeof(tuple->ipv6);
}

/* `lookup`: one of the two above. */
#define WGLAN_IS_REPLY(lookup, ctx, datagram)                                                             \
    ({                                                                                                    \
        struct wglan_ct_options options_ = {.netns_id = WGLAN_CT_CURRENT_NETNS, .protocol = IPPROTO_UDP}; \
        struct bpf_sock_tuple tuple_ = {};                                                                \
        struct nf_conn* flow_;                                                                            \
                                                                                                          \
        if (wglan_tuple_of(datagram, &tuple_) == sizeof(tuple_.ipv4))                                     \
            flow_ = lookup(ctx, &tuple_, sizeof(tuple_.ipv4), &options_, sizeof(options_));               \
        else                                                                                              \
            flow_ = lookup(ctx, &tuple_, sizeof(tuple_.ipv6), &options_, sizeof(options_));               \
        if (flow_) bpf_ct_release(flow_);                                                                 \
        flow_&& options_.direction == WGLAN_CT_REPLY;                                                     \
    })

#endif
