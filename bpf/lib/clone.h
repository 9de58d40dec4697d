/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * WireGuard knows one endpoint of a peer and initiates every 5 s at most. While a peer is looked for, each of
 * its initiations is sent to all places where it may be: the response carries the index of the initiation,
 * wherever it comes from, and WireGuard moves the endpoint there.
 *
 * The same is done with data: of two copies the receiver takes the first one, replies to where that came from
 * and drops the other as a replay. So a session finds its way without a handshake, and of two paths the
 * faster one wins, with no packet lost whichever it is.
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
    __be32 addresses[8]; /* source and destination, as in the IP header: 2 or 8 words */
    __be16 port;
    __sum16 ip_check; /* IPv4 */
    __sum16 udp_check;
};

/* All but a few packets are told apart by their length alone, unless some peer's data is cloned now. */
static __always_inline bool wglan_may_be_cloned(const struct __sk_buff* skb,
                                                const struct wglan_config* config, __u32 l2) {
    __u32 message = l2 + sizeof(struct udphdr) + WGLAN_INITIATION_LENGTH;
    __u64 until = config ? *(const volatile __u64*)&config->data_cloned_until_ns : 0;

    if (skb->len == message + sizeof(struct iphdr) || skb->len == message + sizeof(struct ipv6hdr))
        return true;
    return until && bpf_ktime_get_coarse_ns() < until;
}

static __always_inline bool wglan_is_cloned(__u32 type, __u32 length, __u32 what) {
    switch (what) {
        case WGLAN_CLONED_INITIATIONS:
            return type == WGLAN_INITIATION && length == WGLAN_INITIATION_LENGTH;
        case WGLAN_CLONED_PROBES:
            return type == WGLAN_DATA && length == WGLAN_PROBE_LENGTH;
        case WGLAN_CLONED_DATA:
            return type == WGLAN_DATA;
    }
    return false;
}

static __always_inline bool wglan_load_headers(struct __sk_buff* skb, const struct wglan_packet* packet,
                                               struct wglan_headers* headers) {
    __u32 l3 = packet->l3, l4 = packet->l4;

    if (l3 && bpf_skb_load_bytes(skb, 0, headers->mac, sizeof(headers->mac))) return false;
    if (bpf_skb_load_bytes(skb, l4 + offsetof(struct udphdr, dest), &headers->port, 2) ||
        bpf_skb_load_bytes(skb, l4 + offsetof(struct udphdr, check), &headers->udp_check, 2))
        return false;
    if (packet->family == 4)
        return !bpf_skb_load_bytes(skb, l3 + offsetof(struct iphdr, saddr), headers->addresses, 8) &&
               !bpf_skb_load_bytes(skb, l3 + offsetof(struct iphdr, check), &headers->ip_check, 2);
    return !bpf_skb_load_bytes(skb, l3 + offsetof(struct ipv6hdr, saddr), headers->addresses, 32);
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
        return !bpf_skb_store_bytes(skb, l3 + offsetof(struct iphdr, saddr), headers->addresses, 8, 0) &&
               !bpf_skb_store_bytes(skb, l3 + offsetof(struct iphdr, check), &headers->ip_check, 2, 0);
    return !bpf_skb_store_bytes(skb, l3 + offsetof(struct ipv6hdr, saddr), headers->addresses, 32, 0);
}

static __always_inline bool wglan_has_source(const struct wglan_place* to) {
    const __u32* words = (const __u32*)to->source;

    return words[0] | words[1] | words[2] | words[3];
}

/* `from`: the headers that stand in the packet. UDP's checksum covers the addresses (RFC 768, RFC 8200). */
static __always_inline bool wglan_redirect_headers(struct __sk_buff* skb, const struct wglan_packet* packet,
                                                   const struct wglan_headers* from,
                                                   const struct wglan_place* to) {
    __u32 l3 = packet->l3, l4 = packet->l4, check = l4 + offsetof(struct udphdr, check);
    __be32 after[8] = {};
    __be16 port = bpf_htons(to->port);
    __s64 difference;

    if (packet->family == 4) {
        after[0] = from->addresses[0];
        if (wglan_has_source(to)) __builtin_memcpy(after, to->source + 12, 4);
        __builtin_memcpy(after + 1, to->address + 12, 4);
        if (bpf_l3_csum_replace(skb, l3 + offsetof(struct iphdr, check), from->addresses[0], after[0], 4) ||
            bpf_l3_csum_replace(skb, l3 + offsetof(struct iphdr, check), from->addresses[1], after[1], 4) ||
            bpf_skb_store_bytes(skb, l3 + offsetof(struct iphdr, saddr), after, 8, 0))
            return false;
    } else {
        __builtin_memcpy(after, from->addresses, 16);
        if (wglan_has_source(to)) __builtin_memcpy(after, to->source, 16);
        __builtin_memcpy(after + 4, to->address, 16);
        if (bpf_skb_store_bytes(skb, l3 + offsetof(struct ipv6hdr, saddr), after, 32, 0)) return false;
    }
    /* A sum of zero says that there is none, which IPv4 allows. */
    if (from->udp_check) {
        difference = bpf_csum_diff((__be32*)from->addresses, sizeof(after), after, sizeof(after), 0);
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
    wglan_ask_for(&fib, packet->family, wglan_has_source(to) ? to->source : packet->source, to->address);
    if (bpf_fib_lookup(skb, &fib, sizeof(fib), 0) != BPF_FIB_LKUP_RET_SUCCESS || fib.ifindex == tunnel)
        return 0;
    __builtin_memcpy(mac, fib.dmac, ETH_ALEN);
    __builtin_memcpy(mac + ETH_ALEN, fib.smac, ETH_ALEN);
    return fib.ifindex;
}

enum wglan_sent {
    WGLAN_SPOILT = 0, /* the packet isn't as it was */
    WGLAN_NOT_SENT = 1,
    WGLAN_SENT = 2,
};

__noinline int wglan_clone_to(struct __sk_buff* skb, const struct wglan_packet* packet,
                              const struct wglan_headers* original, const struct wglan_place* to,
                              __u32 tunnel) {
    __u8 mac[2 * ETH_ALEN] = {};
    __u32 ifindex = skb->ifindex;
    int outcome = WGLAN_NOT_SENT;

    if (!packet || !original || !to) return WGLAN_NOT_SENT;
    if (!to->same_way) {
        ifindex = wglan_way_to(skb, packet, tunnel, to, mac);
        if (!ifindex) return WGLAN_NOT_SENT;
    }
    if (wglan_redirect_headers(skb, packet, original, to) &&
        (to->same_way || !packet->l3 || !bpf_skb_store_bytes(skb, 0, mac, sizeof(mac), 0)) &&
        !bpf_clone_redirect(skb, ifindex, 0))
        outcome = WGLAN_SENT;
    return wglan_restore_headers(skb, packet, original) ? outcome : WGLAN_SPOILT;
}

/* At uplink egress, whatever its mark. False: the packet was spoilt, and must go nowhere. */
__noinline int wglan_clone_message(struct __sk_buff* skb, __u32 l2) {
    const struct wglan_config* config = wglan_settings();
    const struct wglan_places* places;
    struct wglan_headers original;
    struct wglan_packet packet;
    struct wglan_place key;
    __u8 type[4] = {}; /* the rest of it reserved */
    int sent = WGLAN_NOT_SENT;
    __u32 i;

    if (!config || skb->cb[3] == WGLAN_CLONED || skb->vlan_present) return 1;
    __builtin_memset(&packet, 0, sizeof(packet));
    if (!wglan_parse(skb, &packet, l2) || packet.protocol != IPPROTO_UDP || packet.fragment != WGLAN_WHOLE ||
        !packet.source_port || packet.source_port != config->listen_port)
        return 1;
    if (bpf_skb_load_bytes(skb, packet.l4 + sizeof(struct udphdr), type, 4) || type[1] || type[2] || type[3])
        return 1;
    __builtin_memset(&key, 0, sizeof(key));
    __builtin_memcpy(key.address, packet.destination, 16);
    key.port = packet.destination_port;
    places = bpf_map_lookup_elem(&wglan_clones, &key);
    if (!places || !wglan_is_cloned(type[0], skb->len - packet.l4 - sizeof(struct udphdr), places->what))
        return 1;
    __builtin_memset(&original, 0, sizeof(original));
    if (!wglan_load_headers(skb, &packet, &original)) return 1;
    skb->cb[3] = WGLAN_CLONED;
    for (i = 0; i < WGLAN_CLONES && sent; i++) {
        struct wglan_place to;

        if (i >= places->count) break;
        to = places->to[i];
        sent = wglan_clone_to(skb, &packet, &original, &to, config->interface_ifindex);
        if (sent == WGLAN_SENT && places->what == WGLAN_CLONED_INITIATIONS) WGLAN_COUNT(cloned);
    }
    skb->cb[3] = 0;
    return sent != WGLAN_SPOILT;
}

#endif
