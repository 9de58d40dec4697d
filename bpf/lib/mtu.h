/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Does a packet fit through the tunnel? A redirect doesn't check, and at TC egress routing is over:
 * the answer to one that doesn't (RFC 1191, RFC 8201) is made here, out of the packet itself.
 */
#ifndef WGLAN_BPF_MTU_H
#define WGLAN_BPF_MTU_H

#include "bpf/lib/verdict.h"

#define WGLAN_TOO_BIG_PER_SECOND 128 /* replies, a CPU */
#define WGLAN_QUOTE4 (sizeof(struct iphdr) + 8)
#define WGLAN_QUOTE4_MOST (60 + 8) /* with all options that there can be */
#define WGLAN_QUOTE6 60
#define WGLAN_PAST_CHECKSUM 512 /* more than from a packet's start to its transport's header */
#define WGLAN_QUOTE6_MOST 152   /* 104 bytes of extension headers, and 8 of the transport */

/* <linux/icmp.h> pulls in the C library. */
#define WGLAN_ICMP_ECHOREPLY 0
#define WGLAN_ICMP_UNREACHABLE 3
#define WGLAN_ICMP_FRAGMENTATION_NEEDED 4 /* code */
#define WGLAN_ICMP_ECHO 8
#define WGLAN_ICMPV6_TOO_BIG 2
#define WGLAN_ICMPV6_INFORMATIONAL 128 /* errors are below */

struct wglan_icmp {
    __u8 type;
    __u8 code;
    __sum16 checksum;
    __be32 mtu; /* IPv4: in the lower half */
};

enum wglan_fit {
    WGLAN_FITS,
    WGLAN_TOO_BIG,
    WGLAN_NO_DEVICE,
};

static __always_inline __u32 wglan_segment_length(const struct wglan_packet* packet, __u32 gso_size) {
    __u32 transport = packet->protocol == IPPROTO_TCP ? packet->tcp_length : sizeof(__u64) /* UDP */;

    return packet->l4 ? packet->l4 - packet->l3 + transport + gso_size : 0;
}

/* `*mtu` in: the route's, 0 = none; out: what counts, the smaller one of route's and device's. */
static __always_inline enum wglan_fit wglan_check_fit(struct __sk_buff* skb,
                                                      const struct wglan_packet* packet, __u32 ifindex,
                                                      __u32* mtu) {
    volatile __u32 gso_size = skb->gso_size;
    __u32 size = gso_size;
    __u32 device = 0, route = *mtu, length;
    int fits;

    /* BPF_MTU_CHK_SEGS wants a len_diff of 0; it judges by network headers itself. */
    if (size)
        fits = bpf_check_mtu(skb, ifindex, &device, 0, BPF_MTU_CHK_SEGS);
    else
        fits = bpf_check_mtu(skb, ifindex, &device, -(__s32)packet->l3, 0);
    if (fits < 0) return WGLAN_NO_DEVICE;
    if (!route || route > device) *mtu = device;
    /* The kernel sees through the headers of a tunnel around the segments. */
    if (fits != BPF_MTU_CHK_RET_SUCCESS) return WGLAN_TOO_BIG;
    if (*mtu == device) return WGLAN_FITS;
    length = size ? wglan_segment_length(packet, size) : skb->len - packet->l3;
    return length > route ? WGLAN_TOO_BIG : WGLAN_FITS;
}

static __always_inline __u16 wglan_fold(__u64 sum) {
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (__u16)~sum;
}

static __always_inline __u64 wglan_sum(void* bytes, __u32 length, __u64 seed) {
    return (__u64)(__u32)bpf_csum_diff(NULL, 0, bytes, length, (__u32)seed);
}

/* Back to where it came from: what the device would have received had a router answered. */
static __always_inline void wglan_swap_macs(struct __sk_buff* skb, struct ethhdr* eth) {
    __u8 mac[ETH_ALEN];

    bpf_skb_load_bytes(skb, 0, eth, sizeof(*eth));
    __builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
    __builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
    __builtin_memcpy(eth->h_source, mac, ETH_ALEN);
}

/*
 * Cuts the packet to the reply's length and overwrites it. `with_mac` starts 14 bytes before `ip`, and ends
 * with a quote of which `most` bytes could stand; `quote` of them do. A checksum that the device on the way
 * back would fill in, into what is the reply by then, is given up by pulling the packet's start past where
 * it begins (skb_postpull_rcsum): nothing else tells the kernel.
 */
static __always_inline bool wglan_become(struct __sk_buff* skb, __u32 l3, void* with_mac, void* ip,
                                         __u32 ip_length, __u32 quote, __u32 most) {
    __u64 flags = BPF_F_RECOMPUTE_CSUM | BPF_F_INVALIDATE_HASH;

    /* The barrier keeps what the verifier knows of this number in one register. */
    barrier_var(quote);
    if (quote > most) return false;
    if (bpf_skb_change_tail(skb, l3 + ip_length + quote + WGLAN_PAST_CHECKSUM, 0)) return false;
    if (bpf_skb_adjust_room(skb, -WGLAN_PAST_CHECKSUM, BPF_ADJ_ROOM_MAC, 0)) return false;
    if (l3)
        return bpf_skb_store_bytes(skb, 0, with_mac, sizeof(struct ethhdr) + ip_length + quote, flags) == 0;
    return bpf_skb_store_bytes(skb, 0, ip, ip_length + quote, flags) == 0;
}

/*
 * How much of the packet is quoted: what its sender needs to find the socket by, that is all headers and 8
 * bytes of the transport (RFC 792, RFC 4443 section 2.4 (c)).
 */
static __always_inline __u32 wglan_quote_of(const struct wglan_packet* packet, __u32 least, __u32 most) {
    __u32 length = packet->l4 ? packet->l4 - packet->l3 + 8 : least;

    if (length < least) return least;
    return length < most ? length : most;
}

struct wglan_reply4 {
    __u8 pad[2]; /* aligns what follows the Ethernet header */
    struct ethhdr eth;
    struct iphdr ip;
    struct wglan_icmp icmp;
    __u8 quote[WGLAN_QUOTE4_MOST];
};

__noinline int wglan_reply_too_big4(struct __sk_buff* skb, const struct wglan_packet* packet, __u32 mtu) {
    struct wglan_reply4 reply = {};
    __u32 l3 = packet ? packet->l3 : 0, quote;

    if (!packet) return 0;
    quote = wglan_quote_of(packet, WGLAN_QUOTE4, sizeof(reply.quote));
    /* The barriers keep clang from folding both bounds into one that the verifier can't follow. */
    barrier_var(quote);
    if (quote > sizeof(reply.quote)) return 0;
    barrier_var(quote);
    if (quote < WGLAN_QUOTE4) return 0;
    if (l3) wglan_swap_macs(skb, &reply.eth);
    if (bpf_skb_load_bytes(skb, l3, reply.quote, quote)) return 0;
    reply.icmp.type = WGLAN_ICMP_UNREACHABLE;
    reply.icmp.code = WGLAN_ICMP_FRAGMENTATION_NEEDED;
    reply.icmp.mtu = bpf_htonl(mtu & 0xffff);
    /* What isn't quoted is zero. */
    reply.icmp.checksum = wglan_fold(wglan_sum(&reply.icmp, sizeof(reply.icmp) + sizeof(reply.quote), 0));
    reply.ip.version = 4;
    reply.ip.ihl = 5;
    reply.ip.tos = 0xc0; /* internetwork control, as the kernel marks its own */
    reply.ip.tot_len = bpf_htons((__u16)(sizeof(reply.ip) + sizeof(reply.icmp) + quote));
    reply.ip.ttl = 64;
    reply.ip.protocol = IPPROTO_ICMP;
    __builtin_memcpy(&reply.ip.saddr, packet->destination + 12, 4);
    __builtin_memcpy(&reply.ip.daddr, packet->source + 12, 4);
    reply.ip.check = wglan_fold(wglan_sum(&reply.ip, sizeof(reply.ip), 0));
    return wglan_become(skb, l3, &reply.eth, &reply.ip, sizeof(reply.ip) + sizeof(reply.icmp), quote,
                        sizeof(reply.quote));
}

struct wglan_reply6 {
    __u8 pad[2];
    struct ethhdr eth;
    struct ipv6hdr ip;
    struct wglan_icmp icmp;
    __u8 quote[WGLAN_QUOTE6_MOST];
};

__noinline int wglan_reply_too_big6(struct __sk_buff* skb, const struct wglan_packet* packet, __u32 mtu) {
    struct wglan_reply6 reply = {};
    __u32 l3 = packet ? packet->l3 : 0, quote;
    __be32 pseudo[2] = {0, bpf_htonl(IPPROTO_ICMPV6)};
    __u64 sum;

    if (!packet) return 0;
    quote = wglan_quote_of(packet, WGLAN_QUOTE6, sizeof(reply.quote));
    /* The barriers keep clang from folding both bounds into one that the verifier can't follow. */
    barrier_var(quote);
    if (quote > sizeof(reply.quote)) return 0;
    barrier_var(quote);
    if (quote < WGLAN_QUOTE6) return 0;
    if (l3) wglan_swap_macs(skb, &reply.eth);
    if (bpf_skb_load_bytes(skb, l3, reply.quote, quote)) return 0;
    pseudo[0] = bpf_htonl(sizeof(reply.icmp) + quote);
    reply.icmp.type = WGLAN_ICMPV6_TOO_BIG;
    reply.icmp.mtu = bpf_htonl(mtu);
    reply.ip.version = 6;
    reply.ip.payload_len = bpf_htons((__u16)(sizeof(reply.icmp) + quote));
    reply.ip.nexthdr = IPPROTO_ICMPV6;
    reply.ip.hop_limit = 64;
    __builtin_memcpy(&reply.ip.saddr, packet->destination, 16);
    __builtin_memcpy(&reply.ip.daddr, packet->source, 16);
    sum = wglan_sum(pseudo, sizeof(pseudo), 0);
    sum = wglan_sum(&reply.ip.saddr, 2 * sizeof(reply.ip.saddr), sum);
    sum = wglan_sum(&reply.icmp, sizeof(reply.icmp) + sizeof(reply.quote), sum);
    reply.icmp.checksum = wglan_fold(sum);
    return wglan_become(skb, l3, &reply.eth, &reply.ip, sizeof(reply.ip) + sizeof(reply.icmp), quote,
                        sizeof(reply.quote));
}

/* RFC 1812 section 4.3.2.7, RFC 4443 section 2.4 (e): no answer to errors, groups, later fragments. */
static __always_inline bool wglan_may_answer(const struct wglan_packet* packet) {
    __u8 type = packet->icmp_type;

    if (packet->family == 4 && !packet->l4) return false; /* a header of less than its least length */
    if (packet->fragment == WGLAN_LATER_FRAGMENT) return false;
    if (wglan_link_scope(packet->family, packet->source)) return false;
    if (packet->family == 6)
        return packet->protocol != IPPROTO_ICMPV6 ||
               (packet->icmp_known && type >= WGLAN_ICMPV6_INFORMATIONAL);
    return packet->protocol != IPPROTO_ICMP ||
           (packet->icmp_known && (type == WGLAN_ICMP_ECHO || type == WGLAN_ICMP_ECHOREPLY));
}

#define WGLAN_SEND_WHOLE (-2) /* no verdict of a program's */
#define WGLAN_ENOTSUPP 524    /* <linux/errno.h>, the kernel's own */

/* The kernel doesn't cut what it says is wrapped (skb->encapsulation). TCP is never the outside of a tunnel.
 */
static __always_inline bool wglan_is_wrapped(struct __sk_buff* skb, const struct wglan_packet* packet) {
    return packet->protocol != IPPROTO_TCP && bpf_skb_change_tail(skb, skb->len, 0) == -WGLAN_ENOTSUPP;
}

/*
 * The verdict on a packet that doesn't fit and may not be fragmented. `direction`: BPF_F_INGRESS sends the
 * answer to this host, 0 out of the device again. WGLAN_SEND_WHOLE: no answer can be made of what a tunnel of
 * this host's wrapped while it left checksum or segments to a device. It goes into ours as it is, to be
 * fragmented outside, or its sender would never learn.
 */
static __always_inline int wglan_answer_too_big(struct __sk_buff* skb, const struct wglan_packet* packet,
                                                __u32 peer, __u32 mtu, __u64 direction) {
    struct wglan_note note = {
        .kind = WGLAN_EVENT_TOO_BIG, .peer = peer, .value = mtu, .length = skb->len - packet->l3};
    bool made;

    if (wglan_is_wrapped(skb, packet)) return WGLAN_SEND_WHOLE;
    if (!wglan_may_answer(packet) || !wglan_allow(WGLAN_LIMIT_TOO_BIG, WGLAN_TOO_BIG_PER_SECOND))
        return wglan_drop(skb, packet, peer, WGLAN_DROP_TOO_BIG);
    if (packet->family == 4)
        made = wglan_reply_too_big4(skb, packet, mtu);
    else
        made = wglan_reply_too_big6(skb, packet, mtu);
    if (!made) return wglan_drop(skb, packet, peer, WGLAN_DROP_TOO_BIG);
    WGLAN_COUNT(packet_too_big);
    wglan_report(skb, packet, &note);
    return (int)bpf_redirect(skb->ifindex, direction);
}

#endif
