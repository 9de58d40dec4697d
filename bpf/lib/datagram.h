/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Finds UDP datagrams for one port, by direct access: XDP and TC alike have data and data_end. What
 * isn't one, or can't be told from one, is somebody else's.
 */
#ifndef WGLAN_BPF_DATAGRAM_H
#define WGLAN_BPF_DATAGRAM_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define WGLAN_DATAGRAM_EXTENSIONS 6 /* as in packet.h: more than any sender uses */
#define WGLAN_DATAGRAM_UNSEEN 255   /* in place of a protocol; IANA: reserved */

struct wglan_datagram {
    __u8 source[16]; /* IPv4-mapped */
    __u8 destination[16];
    __u32 start;   /* first four bytes of the payload as a little-endian number */
    __u16 length;  /* of the payload, as the UDP header says: that is what a socket gets */
    __u16 payload; /* its offset */
    __u16 source_port;
    __u16 destination_port;
    __u8 has_start;
    __u8 family; /* 4, 6 */
};

enum wglan_find {
    WGLAN_FOUND,
    WGLAN_NOT_OURS,
    WGLAN_CUT,  /* data ends too early; there may be more of it elsewhere */
    WGLAN_DEEP, /* behind more extension headers than are looked through; both addresses are known */
};

static __always_inline void wglan_take_udp(const struct udphdr* udp, __u32 offset,
                                           struct wglan_datagram* datagram) {
    datagram->source_port = bpf_ntohs(udp->source);
    datagram->destination_port = bpf_ntohs(udp->dest);
    datagram->payload = offset + sizeof(*udp);
    datagram->length = bpf_ntohs(udp->len) > sizeof(*udp) ? bpf_ntohs(udp->len) - sizeof(*udp) : 0;
}

static __always_inline void wglan_take_start(const __u8* payload, struct wglan_datagram* datagram) {
    datagram->start = payload[0] | payload[1] << 8 | payload[2] << 16 | (__u32)payload[3] << 24;
    datagram->has_start = 1;
}

/* `data` and `end` bound what may be read; `offset` is where the UDP header is. */
static __always_inline enum wglan_find wglan_read_udp(const void* data, const void* end, __u32 offset,
                                                      __u16 port, struct wglan_datagram* datagram) {
    const struct udphdr* udp = data + offset;
    const __u8* payload = (const void*)(udp + 1);

    if ((const void*)(udp + 1) > end) return WGLAN_CUT;
    if (udp->dest != bpf_htons(port)) return WGLAN_NOT_OURS;
    wglan_take_udp(udp, offset, datagram);
    if (datagram->length < 4) return WGLAN_FOUND;
    if ((const void*)(payload + 4) > end) return WGLAN_CUT;
    wglan_take_start(payload, datagram);
    return WGLAN_FOUND;
}

/* Whole, or its first fragment. */
static __always_inline bool wglan_is_udp4(const struct iphdr* ip) {
    return ip->version == 4 && ip->ihl >= 5 && ip->protocol == IPPROTO_UDP &&
           !(ip->frag_off & bpf_htons(0x1fff));
}

static __always_inline void wglan_take_addresses4(const struct iphdr* ip, struct wglan_datagram* datagram) {
    datagram->family = 4;
    datagram->source[10] = datagram->source[11] = 0xff;
    datagram->destination[10] = datagram->destination[11] = 0xff;
    __builtin_memcpy(datagram->source + 12, &ip->saddr, 4);
    __builtin_memcpy(datagram->destination + 12, &ip->daddr, 4);
}

static __always_inline enum wglan_find wglan_find_ipv4(const void* data, const void* end, __u32 l3,
                                                       __u16 port, struct wglan_datagram* datagram) {
    const struct iphdr* ip = data + l3;

    if ((const void*)(ip + 1) > end) return WGLAN_CUT;
    if (!wglan_is_udp4(ip)) return WGLAN_NOT_OURS;
    wglan_take_addresses4(ip, datagram);
    return wglan_read_udp(data, end, l3 + ip->ihl * 4, port, datagram);
}

static __always_inline void wglan_take_addresses6(const struct ipv6hdr* ip, struct wglan_datagram* datagram) {
    datagram->family = 6;
    __builtin_memcpy(datagram->source, &ip->saddr, 16);
    __builtin_memcpy(datagram->destination, &ip->daddr, 16);
}

static __always_inline bool wglan_is_extension(__u8 next) {
    return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS ||
           next == IPPROTO_FRAGMENT || next == IPPROTO_AH;
}

/* RFC 8200 section 4; AH (RFC 4302) counts in words of four, less two. */
static __always_inline enum wglan_find wglan_find_ipv6(const void* data, const void* end, __u32 l3,
                                                       __u16 port, struct wglan_datagram* datagram) {
    const struct ipv6hdr* ip = data + l3;
    __u32 offset = l3 + sizeof(*ip);
    __u8 next;
    int i;

    if ((const void*)(ip + 1) > end) return WGLAN_CUT;
    if (ip->version != 6) return WGLAN_NOT_OURS;
    wglan_take_addresses6(ip, datagram);
    next = ip->nexthdr;
    for (i = 0; i < WGLAN_DATAGRAM_EXTENSIONS; i++) {
        const __u8* head = data + offset;

        if (next == IPPROTO_UDP) return wglan_read_udp(data, end, offset, port, datagram);
        if (!wglan_is_extension(next)) return WGLAN_NOT_OURS;
        if ((const void*)(head + 4) > end) return WGLAN_CUT;
        if (next == IPPROTO_FRAGMENT) {
            if (head[2] || (head[3] & 0xf8)) return WGLAN_NOT_OURS;
            offset += 8;
        } else if (next == IPPROTO_AH) {
            offset += (head[1] + 2) * 4;
        } else {
            offset += (head[1] + 1) * 8;
        }
        next = head[0];
    }
    if (next == IPPROTO_UDP) return wglan_read_udp(data, end, offset, port, datagram);
    return wglan_is_extension(next) ? WGLAN_DEEP : WGLAN_NOT_OURS;
}

/*
 * `type`: EtherType; `l3`: offset of the IP header. `*datagram` must be zero. Later fragments have no
 * port, and are nobody's here; a first one is judged by its own bytes and the datagram's whole length.
 */
static __always_inline enum wglan_find wglan_find_datagram(const void* data, const void* end, __be16 type,
                                                           __u32 l3, __u16 port,
                                                           struct wglan_datagram* datagram) {
    if (type == bpf_htons(ETH_P_IP)) return wglan_find_ipv4(data, end, l3, port, datagram);
    if (type == bpf_htons(ETH_P_IPV6)) return wglan_find_ipv6(data, end, l3, port, datagram);
    return WGLAN_NOT_OURS;
}

#endif
