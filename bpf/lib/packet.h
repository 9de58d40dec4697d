/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the programs need to know of a packet. Nearly all are plain: their headers are read in place. The
 * others are read through bpf_skb_load_bytes, which works on non-linear packets and leaves them as they are.
 *
 * Functions that aren't static are verified once by themselves, for any argument, instead of along
 * every path to them: that keeps loading fast (milliseconds, not seconds). The verifier wants the
 * check for NULL in them.
 */
#ifndef WGLAN_BPF_PACKET_H
#define WGLAN_BPF_PACKET_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define WGLAN_EXTENSION_HEADERS 6 /* more than any sender uses; beyond, the transport is unknown */
#define WGLAN_PROTOCOL_NONE 255   /* IANA: reserved */

enum wglan_fragment {
    WGLAN_WHOLE,
    WGLAN_FIRST_FRAGMENT,
    WGLAN_LATER_FRAGMENT, /* no transport header */
};

struct wglan_packet {
    __u8 source[16]; /* IPv4-mapped */
    __u8 destination[16];
    __u32 l3;          /* offset of the IP header */
    __u32 l4;          /* offset of what follows it and its extension headers; 0 = unknown */
    __u16 source_port; /* TCP, UDP; 0 = none, or out of reach */
    __u16 destination_port;
    __u8 family; /* 4, 6 */
    __u8 protocol;
    __u8 fragment;
    __u8 icmp_type;
    __u8 icmp_known; /* icmp_type could be read */
    __u8 tcp_length; /* of the header in bytes; 0 = not TCP, or truncated, or malformed */
    __u8 tcp_syn;
    __u8 has_options;  /* IPv4 */
    __u8 may_fragment; /* IPv4 without DF */
    __u8 ttl;
    __u8 plain; /* TCP or UDP, whole, right behind an IP header without options or extension headers */
};

static __always_inline void wglan_map_address(__u8* to, const void* from) {
    __builtin_memset(to, 0, 10);
    to[10] = 0xff;
    to[11] = 0xff;
    __builtin_memcpy(to + 12, from, 4);
}

static __always_inline void wglan_parse_transport(struct __sk_buff* skb, struct wglan_packet* packet) {
    __u8 head[20] = {};

    if (!packet->l4 || packet->fragment == WGLAN_LATER_FRAGMENT) return;
    if (packet->protocol == IPPROTO_TCP) {
        if (bpf_skb_load_bytes(skb, packet->l4, head, 20)) return;
        packet->tcp_length = (head[12] >> 4) * 4;
        packet->tcp_syn = (head[13] & 0x02) != 0;
    } else if (packet->protocol == IPPROTO_UDP) {
        if (bpf_skb_load_bytes(skb, packet->l4, head, 8)) return;
    } else if (packet->protocol == IPPROTO_ICMP || packet->protocol == IPPROTO_ICMPV6) {
        if (bpf_skb_load_bytes(skb, packet->l4, head, 1)) return;
        packet->icmp_type = head[0];
        packet->icmp_known = 1;
        return;
    } else {
        return;
    }
    packet->source_port = (__u16)(head[0] << 8 | head[1]);
    packet->destination_port = (__u16)(head[2] << 8 | head[3]);
}

static __always_inline bool wglan_parse_ipv4(struct __sk_buff* skb, struct wglan_packet* packet) {
    struct iphdr ip;
    __u16 offset;

    if (bpf_skb_load_bytes(skb, packet->l3, &ip, sizeof(ip)) || ip.version != 4) return false;
    packet->family = 4;
    wglan_map_address(packet->source, &ip.saddr);
    wglan_map_address(packet->destination, &ip.daddr);
    packet->protocol = ip.protocol;
    packet->ttl = ip.ttl;
    packet->has_options = ip.ihl != 5;
    offset = bpf_ntohs(ip.frag_off);
    packet->may_fragment = !(offset & 0x4000);
    if (offset & 0x1fff)
        packet->fragment = WGLAN_LATER_FRAGMENT;
    else if (offset & 0x2000)
        packet->fragment = WGLAN_FIRST_FRAGMENT;
    if (ip.ihl >= 5) packet->l4 = packet->l3 + ip.ihl * 4;
    return true;
}

/* RFC 8200 section 4. AH (RFC 4302) counts its length in words of four, less two. */
static __always_inline void wglan_skip_extensions(struct __sk_buff* skb, struct wglan_packet* packet,
                                                  __u8 next) {
    __u32 offset = packet->l3 + sizeof(struct ipv6hdr);
    __u8 head[4];
    int i;

    packet->protocol = WGLAN_PROTOCOL_NONE;
    for (i = 0; i < WGLAN_EXTENSION_HEADERS; i++) {
        if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
            next != IPPROTO_FRAGMENT && next != IPPROTO_AH) {
            packet->protocol = next;
            packet->l4 = offset;
            return;
        }
        if (bpf_skb_load_bytes(skb, offset, head, sizeof(head))) return;
        if (next == IPPROTO_FRAGMENT) {
            __u16 place = (__u16)(head[2] << 8 | head[3]);

            if (place & 0xfff8) {
                packet->fragment = WGLAN_LATER_FRAGMENT;
                packet->protocol = head[0];
                return;
            }
            if (place & 1) packet->fragment = WGLAN_FIRST_FRAGMENT;
            offset += 8;
        } else if (next == IPPROTO_AH) {
            offset += (head[1] + 2) * 4;
        } else {
            offset += (head[1] + 1) * 8;
        }
        next = head[0];
    }
}

static __always_inline bool wglan_parse_ipv6(struct __sk_buff* skb, struct wglan_packet* packet) {
    struct ipv6hdr ip;

    if (bpf_skb_load_bytes(skb, packet->l3, &ip, sizeof(ip)) || ip.version != 6) return false;
    packet->family = 6;
    __builtin_memcpy(packet->source, &ip.saddr, 16);
    __builtin_memcpy(packet->destination, &ip.daddr, 16);
    packet->ttl = ip.hop_limit;
    wglan_skip_extensions(skb, packet, ip.nexthdr);
    return true;
}

/*
 * 0: not IP, or less than an IP header. All else is judged by its addresses, however odd the
 * rest is, so that nothing malformed slips past a steered prefix; ports and the like are then 0.
 * `*packet` must be zero, padding included: older verifiers refuse arguments that aren't filled.
 */
__noinline int wglan_parse(struct __sk_buff* skb, struct wglan_packet* packet, __u32 l3) {
    bool ip = false;

    if (!packet) return 0;
    packet->l3 = l3;
    if (skb->protocol == bpf_htons(ETH_P_IP))
        ip = wglan_parse_ipv4(skb, packet);
    else if (skb->protocol == bpf_htons(ETH_P_IPV6))
        ip = wglan_parse_ipv6(skb, packet);
    if (ip) wglan_parse_transport(skb, packet);
    return ip;
}

/* `l4`: offset of a TCP or UDP header, of which 8 bytes are there. */
static __always_inline bool wglan_read_ports(const void* transport, const void* end,
                                             struct wglan_packet* packet) {
    const __u8* head = transport;

    if (packet->protocol == IPPROTO_TCP) {
        if (transport + 20 > end) return false;
        packet->tcp_length = (head[12] >> 4) * 4;
        packet->tcp_syn = (head[13] & 0x02) != 0;
    } else if (packet->protocol != IPPROTO_UDP) {
        return false;
    }
    packet->source_port = bpf_ntohs(*(const __be16*)transport);
    packet->destination_port = bpf_ntohs(*(const __be16*)(transport + 2));
    packet->plain = 1;
    return true;
}

static __always_inline bool wglan_read_plain4(const void* ip_header, const void* end,
                                              struct wglan_packet* packet) {
    const struct iphdr* ip = ip_header;

    if ((const void*)(ip + 1) + 8 > end) return false;
    if (*(const __u8*)ip_header != 0x45 || (ip->frag_off & bpf_htons(0x3fff))) return false;
    packet->family = 4;
    packet->protocol = ip->protocol;
    packet->ttl = ip->ttl;
    packet->may_fragment = !(ip->frag_off & bpf_htons(0x4000));
    packet->l4 = packet->l3 + sizeof(*ip);
    wglan_map_address(packet->source, &ip->saddr);
    wglan_map_address(packet->destination, &ip->daddr);
    return wglan_read_ports(ip + 1, end, packet);
}

static __always_inline bool wglan_read_plain6(const void* ip_header, const void* end,
                                              struct wglan_packet* packet) {
    const struct ipv6hdr* ip = ip_header;

    if ((const void*)(ip + 1) + 8 > end) return false;
    if ((*(const __u8*)ip_header & 0xf0) != 0x60) return false;
    packet->family = 6;
    packet->protocol = ip->nexthdr;
    packet->ttl = ip->hop_limit;
    packet->l4 = packet->l3 + sizeof(*ip);
    __builtin_memcpy(packet->source, &ip->saddr, 16);
    __builtin_memcpy(packet->destination, &ip->daddr, 16);
    return wglan_read_ports(ip + 1, end, packet);
}

/* As wglan_parse, which it spares the most packets. */
static __always_inline bool wglan_read(struct __sk_buff* skb, struct wglan_packet* packet, __u32 l3) {
    const void *ip = (void*)(long)skb->data + l3, *end = (void*)(long)skb->data_end;

    __builtin_memset(packet, 0, sizeof(*packet));
    packet->l3 = l3;
    if (skb->protocol == bpf_htons(ETH_P_IP)) {
        if (wglan_read_plain4(ip, end, packet)) return true;
    } else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
        if (wglan_read_plain6(ip, end, packet)) return true;
    }
    __builtin_memset(packet, 0, sizeof(*packet));
    return wglan_parse(skb, packet, l3);
}

/* Destinations that belong to one link or to everybody: never a peer's. */
static __always_inline bool wglan_link_scope(__u32 family, const __u8* address) {
    const __u8* a = address;

    if (family == 4) {
        a += 12;
        return a[0] == 0 || a[0] == 127 || a[0] >= 224 || (a[0] == 169 && a[1] == 254);
    }
    if (a[0] == 0xff || (a[0] == 0xfe && (a[1] & 0xc0) == 0x80)) return true;
    /* ::/96 holds the unspecified and the loopback address; mapped ones are none of IPv6 (RFC 6890). */
    if (a[0] | a[1] | a[2] | a[3] | a[4] | a[5] | a[6] | a[7] | a[8] | a[9]) return false;
    return a[10] == a[11] && (a[10] == 0 || a[10] == 0xff);
}

/* RFC 4861: 133-137 must stay on the link even when they go to a unicast address. */
static __always_inline bool wglan_neighbour_discovery(const struct wglan_packet* packet) {
    return packet->family == 6 && packet->protocol == IPPROTO_ICMPV6 && packet->icmp_known &&
           packet->icmp_type >= 133 && packet->icmp_type <= 137;
}

#endif
