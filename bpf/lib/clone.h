/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * WireGuard knows one endpoint of a peer and initiates every 5 s at most. While a peer is looked for, each of
 * its initiations is sent to all places where it may be: the response carries the index of the initiation,
 * wherever it comes from, and WireGuard moves the endpoint there.
 */
#ifndef WGLAN_BPF_CLONE_H
#define WGLAN_BPF_CLONE_H

#include <linux/udp.h>

#include "bpf/lib/fib.h"
#include "bpf/lib/maps.h"
#include "bpf/lib/wireguard.h"

#define WGLAN_CLONED 0x9d674c43 /* in a clone's control block: it isn't cloned again */

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, WGLAN_MAX_PEERS);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct wglan_place);
    __type(value, struct wglan_places);
} wglan_clones SEC(".maps");

/* What a clone differs in: where it goes, and by which frame. */
struct wglan_headers {
    __u8 mac[2 * ETH_ALEN];
    __u8 destination[16]; /* as in the IP header: 4 or 16 bytes */
    __be16 port;
    __sum16 ip_check; /* IPv4 */
    __sum16 udp_check;
};

/* All but a few packets are told apart by their length alone. */
static __always_inline bool wglan_may_be_initiation(const struct __sk_buff* skb, __u32 l2) {
    __u32 message = l2 + sizeof(struct udphdr) + WGLAN_INITIATION_LENGTH;

    return skb->len == message + sizeof(struct iphdr) || skb->len == message + sizeof(struct ipv6hdr);
}

static __always_inline bool wglan_load_headers(struct __sk_buff* skb, const struct wglan_packet* packet,
                                               struct wglan_headers* headers) {
    __u32 l3 = packet->l3, l4 = packet->l4;

    if (l3 && bpf_skb_load_bytes(skb, 0, headers->mac, sizeof(headers->mac))) return false;
    if (bpf_skb_load_bytes(skb, l4 + offsetof(struct udphdr, dest), &headers->port, 2) ||
        bpf_skb_load_bytes(skb, l4 + offsetof(struct udphdr, check), &headers->udp_check, 2))
        return false;
    if (packet->family == 4)
        return !bpf_skb_load_bytes(skb, l3 + offsetof(struct iphdr, daddr), headers->destination, 4) &&
               !bpf_skb_load_bytes(skb, l3 + offsetof(struct iphdr, check), &headers->ip_check, 2);
    return !bpf_skb_load_bytes(skb, l3 + offsetof(struct ipv6hdr, daddr), headers->destination, 16);
}

/* As they were, checksums included: a sum that is taken back may come out as the other zero. */
static __always_inline bool wglan_restore_headers(struct __sk_buff* skb, const struct wglan_packet* packet,
                                                  const struct wglan_headers* headers) {
    __u32 l3 = packet->l3, l4 = packet->l4;

    if (l3 && bpf_skb_store_bytes(skb, 0, headers->mac, sizeof(headers->mac), 0)) return false;
    if (bpf_skb_store_bytes(skb, l4 + offsetof(struct udphdr, dest), &headers->port, 2, 0) ||
        bpf_skb_store_bytes(skb, l4 + offsetof(struct udphdr, check), &headers->udp_check, 2, 0))
        return false;
    if (packet->family == 4)
        return !bpf_skb_store_bytes(skb, l3 + offsetof(struct iphdr, daddr), headers->destination, 4, 0) &&
               !bpf_skb_store_bytes(skb, l3 + offsetof(struct iphdr, check), &headers->ip_check, 2, 0);
    return !bpf_skb_store_bytes(skb, l3 + offsetof(struct ipv6hdr, daddr), headers->destination, 16, 0);
}

/* `from`: the headers that stand in the packet. UDP's checksum covers the destination (RFC 768, RFC 8200). */
static __always_inline bool wglan_redirect_headers(struct __sk_buff* skb, const struct wglan_packet* packet,
                                                   const struct wglan_headers* from,
                                                   const struct wglan_place* to) {
    __u32 l3 = packet->l3, l4 = packet->l4, check = l4 + offsetof(struct udphdr, check);
    __be32 before[4] = {}, after[4] = {};
    __be16 port = bpf_htons(to->port);
    __s64 difference;

    if (packet->family == 4) {
        __builtin_memcpy(before, from->destination, 4);
        __builtin_memcpy(after, to->address + 12, 4);
        if (bpf_l3_csum_replace(skb, l3 + offsetof(struct iphdr, check), before[0], after[0], 4) ||
            bpf_skb_store_bytes(skb, l3 + offsetof(struct iphdr, daddr), after, 4, 0))
            return false;
    } else {
        __builtin_memcpy(before, from->destination, 16);
        __builtin_memcpy(after, to->address, 16);
        if (bpf_skb_store_bytes(skb, l3 + offsetof(struct ipv6hdr, daddr), after, 16, 0)) return false;
    }
    /* A sum of zero says that there is none, which IPv4 allows. */
    if (from->udp_check) {
        difference = bpf_csum_diff(before, sizeof(before), after, sizeof(after), 0);
        if (difference < 0 ||
            bpf_l4_csum_replace(skb, check, 0, (__u64)difference, BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0) ||
            bpf_l4_csum_replace(skb, check, from->port, port, BPF_F_MARK_MANGLED_0 | 2))
            return false;
    }
    return bpf_skb_store_bytes(skb, l4 + offsetof(struct udphdr, dest), &port, 2, 0) == 0;
}

/*
 * The device by which the place is reached, and the frame's addresses; 0: there is no way yet. Asked as for a
 * packet that comes out of the tunnel: there forwarding is on, which the look-up insists on.
 */
static __always_inline __u32 wglan_way_to(struct __sk_buff* skb, const struct wglan_packet* packet,
                                          __u32 tunnel, const struct wglan_place* to, __u8* mac) {
    struct bpf_fib_lookup fib = {};

    fib.ifindex = tunnel;
    fib.l4_protocol = IPPROTO_UDP;
    fib.sport = bpf_htons(packet->source_port);
    fib.dport = bpf_htons(to->port);
    wglan_ask_for(&fib, packet->family, packet->source, to->address);
    if (bpf_fib_lookup(skb, &fib, sizeof(fib), 0) != BPF_FIB_LKUP_RET_SUCCESS || fib.ifindex == tunnel)
        return 0;
    __builtin_memcpy(mac, fib.dmac, ETH_ALEN);
    __builtin_memcpy(mac + ETH_ALEN, fib.smac, ETH_ALEN);
    return fib.ifindex;
}

/* 0: the packet isn't as it was. */
__noinline int wglan_clone_to(struct __sk_buff* skb, const struct wglan_packet* packet,
                              const struct wglan_headers* original, const struct wglan_place* to,
                              __u32 tunnel) {
    __u8 mac[2 * ETH_ALEN] = {};
    __u32 ifindex = skb->ifindex;

    if (!packet || !original || !to) return 1;
    if (!to->same_way) {
        ifindex = wglan_way_to(skb, packet, tunnel, to, mac);
        if (!ifindex) return 1;
    }
    if (wglan_redirect_headers(skb, packet, original, to) &&
        (to->same_way || !packet->l3 || !bpf_skb_store_bytes(skb, 0, mac, sizeof(mac), 0)) &&
        !bpf_clone_redirect(skb, ifindex, 0))
        WGLAN_COUNT(cloned);
    return wglan_restore_headers(skb, packet, original);
}

/* At uplink egress, whatever its mark. False: the packet was spoilt, and must go nowhere. */
__noinline int wglan_clone_initiation(struct __sk_buff* skb, __u32 l2) {
    const struct wglan_config* config = wglan_settings();
    const struct wglan_places* places;
    struct wglan_headers original;
    struct wglan_packet packet;
    struct wglan_place key;
    __u8 type[4] = {}; /* the rest of it reserved */
    int whole = 1;
    __u32 i;

    if (!config || skb->cb[3] == WGLAN_CLONED || skb->vlan_present) return 1;
    __builtin_memset(&packet, 0, sizeof(packet));
    if (!wglan_parse(skb, &packet, l2) || packet.protocol != IPPROTO_UDP || packet.fragment != WGLAN_WHOLE ||
        !packet.source_port || packet.source_port != config->listen_port)
        return 1;
    if (bpf_skb_load_bytes(skb, packet.l4 + sizeof(struct udphdr), type, 4) || type[0] != WGLAN_INITIATION ||
        type[1] || type[2] || type[3])
        return 1;
    __builtin_memset(&key, 0, sizeof(key));
    __builtin_memcpy(key.address, packet.destination, 16);
    key.port = packet.destination_port;
    places = bpf_map_lookup_elem(&wglan_clones, &key);
    if (!places) return 1;
    __builtin_memset(&original, 0, sizeof(original));
    if (!wglan_load_headers(skb, &packet, &original)) return 1;
    skb->cb[3] = WGLAN_CLONED;
    for (i = 0; i < WGLAN_CLONES && whole; i++) {
        struct wglan_place to;

        if (i >= places->count) break;
        to = places->to[i];
        whole = wglan_clone_to(skb, &packet, &original, &to, config->interface_ifindex);
    }
    skb->cb[3] = 0;
    return whole;
}

#endif
