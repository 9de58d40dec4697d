/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Questions to the maps: whose is this address, is this one of WireGuard's own packets? */
#ifndef WGLAN_BPF_LOOKUP_H
#define WGLAN_BPF_LOOKUP_H

#include "bpf/lib/cache.h"
#include "bpf/lib/exact.h"
#include "bpf/lib/maps.h"
#include "bpf/lib/packet.h"

static __always_inline const struct wglan_route* wglan_longest_match(__u32 family, const __u8* address) {
    struct wglan_lengths lengths;
    void* table;

    if (family == 4) {
        struct wglan_key4 key = {.prefix_len = 32};

        lengths = wglan_exact_of(4, &table);
        if (table) return wglan_ask_exact4(table, lengths, address);
        __builtin_memcpy(key.address, address + 12, 4);
        return bpf_map_lookup_elem(&wglan_route4, &key);
    } else {
        struct wglan_key6 key = {.prefix_len = 128};

        lengths = wglan_exact_of(6, &table);
        if (table) return wglan_ask_exact6(table, lengths, address);
        __builtin_memcpy(key.address, address, 16);
        return bpf_map_lookup_elem(&wglan_route6, &key);
    }
}

static __always_inline bool wglan_in_endpoints(const __u8* address, __u8 protocol, __u8 kind, __u16 port) {
    struct wglan_endpoint_key key = {.port = port, .protocol = protocol, .kind = kind};

    __builtin_memcpy(key.address, address, 16);
    return bpf_map_lookup_elem(&wglan_endpts, &key) != NULL;
}

/* A struct wglan_route with enum wglan_answer_flags; 0: none holds the address. */
__noinline __u64 wglan_work_out(const struct wglan_address* wanted, __u32 family) {
    const struct wglan_route* found;
    const __u8* address;
    const struct wglan_peer* peer;
    struct wglan_route route;
    __u64 answer;
    __u32 id;

    if (!wanted) return 0;
    address = (const __u8*)wanted->words;
    if (wglan_link_scope(family, address)) return 0;
    found = wglan_longest_match(family, address);
    if (!found) return 0;
    __builtin_memcpy(&route, found, sizeof(route));
    route.flags &= ~WGLAN_ANSWER_UP;
    id = route.peer;
    peer = bpf_map_lookup_elem(&wglan_peers, &id);
    if (peer && (peer->state == WGLAN_PEER_UP || peer->state == WGLAN_PEER_DEGRADED))
        route.flags |= WGLAN_ANSWER_UP;
    __builtin_memcpy(&answer, &route, sizeof(answer));
    return answer;
}

/* The longest prefix that holds an address of the packet; false: there is none, or it is of one link. */
static __always_inline bool wglan_find_route(const struct wglan_packet* packet, const __u8* address,
                                             const struct wglan_config* config, struct wglan_route* route) {
    __u32 generation = *(const volatile __u32*)&config->generation;
    struct wglan_address wanted;
    struct wglan_slot* slot;
    __u64 mixed, answer;

    __builtin_memcpy(&wanted, address, sizeof(wanted));
    mixed = wglan_mix(wanted.words[0], wanted.words[1]);
    slot = wglan_slot_of(mixed);
    if (slot && generation) {
        answer = *(volatile __u64*)&slot->answer;
        if (slot->address.words[0] == wanted.words[0] && slot->address.words[1] == wanted.words[1] &&
            slot->generation == generation && slot->check == wglan_slot_check(mixed, answer, generation)) {
            __builtin_memcpy(route, &answer, sizeof(answer));
            return answer != 0;
        }
    }
    answer = wglan_work_out(&wanted, packet->family);
    if (slot && generation) {
        slot->address = wanted;
        slot->answer = answer;
        slot->generation = generation;
        slot->check = wglan_slot_check(mixed, answer, generation);
    }
    __builtin_memcpy(route, &answer, sizeof(answer));
    return answer != 0;
}

static __always_inline bool wglan_is_endpoint(const struct wglan_packet* packet, __u8 kind, __u16 port) {
    return wglan_in_endpoints(packet->destination, packet->protocol, kind, port);
}

static __always_inline bool wglan_has_mark(const struct __sk_buff* skb, const struct wglan_config* config) {
    return config->firewall_mark_mask && config->firewall_mark &&
           (skb->mark & config->firewall_mark_mask) == config->firewall_mark;
}

/* Survives whoever rewrites marks: UDP from our port to a place where a peer is reached. */
static __always_inline bool wglan_is_outer(const struct wglan_packet* packet,
                                           const struct wglan_config* config) {
    return packet->protocol == IPPROTO_UDP && config->listen_port &&
           packet->source_port == config->listen_port &&
           wglan_is_endpoint(packet, WGLAN_ENDPOINT_OUTER, packet->destination_port);
}

/* A later fragment has no port: only its address and protocol tell whose it is. */
static __always_inline bool wglan_never_steered(const struct wglan_packet* packet,
                                                const struct wglan_config* config) {
    __u16 port = packet->destination_port;

    if (packet->fragment == WGLAN_LATER_FRAGMENT)
        return wglan_is_endpoint(packet, WGLAN_ENDPOINT_FRAGMENT, 0);
    if (!port || !(config->reach_ports[port >> 6 & 3] >> (port & 63) & 1)) return false;
    return wglan_is_endpoint(packet, WGLAN_ENDPOINT_REACH, port);
}

#endif
