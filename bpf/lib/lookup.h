/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Questions to the maps: whose is this address, is this one of WireGuard's own packets? */
#ifndef WGLAN_BPF_LOOKUP_H
#define WGLAN_BPF_LOOKUP_H

#include "bpf/lib/cache.h"
#include "bpf/lib/maps.h"
#include "bpf/lib/packet.h"

static __always_inline const struct wglan_route* wglan_ask_tries(const struct wglan_packet* packet,
                                                                 const __u8* address) {
    if (packet->family == 4) {
        struct wglan_key4 key = {.prefix_len = 32};

        __builtin_memcpy(key.address, address + 12, 4);
        return bpf_map_lookup_elem(&wglan_route4, &key);
    } else {
        struct wglan_key6 key = {.prefix_len = 128};

        __builtin_memcpy(key.address, address, 16);
        return bpf_map_lookup_elem(&wglan_route6, &key);
    }
}

/* The longest prefix that holds an address of the packet; false: there is none. */
static __always_inline bool wglan_find_route(const struct wglan_packet* packet, const __u8* address,
                                             const struct wglan_config* config, struct wglan_route* route) {
    __u32 generation = *(const volatile __u32*)&config->generation;
    const struct wglan_route* found;
    struct wglan_slot* slot;
    __u64 words[2], mixed, answer = 0;

    __builtin_memcpy(words, address, sizeof(words));
    mixed = wglan_mix(words[0], words[1]);
    slot = wglan_slot_of(mixed);
    if (slot && generation) {
        answer = *(volatile __u64*)&slot->answer;
        if (slot->address[0] == words[0] && slot->address[1] == words[1] && slot->generation == generation &&
            slot->check == wglan_slot_check(mixed, answer, generation)) {
            __builtin_memcpy(route, &answer, sizeof(answer));
            return answer != 0;
        }
        answer = 0;
    }
    found = wglan_ask_tries(packet, address);
    if (found) __builtin_memcpy(&answer, found, sizeof(answer));
    if (slot && generation) {
        slot->address[0] = words[0];
        slot->address[1] = words[1];
        slot->answer = answer;
        slot->generation = generation;
        slot->check = wglan_slot_check(mixed, answer, generation);
    }
    __builtin_memcpy(route, &answer, sizeof(answer));
    return found != NULL;
}

static __always_inline bool wglan_is_endpoint(const struct wglan_packet* packet, __u8 kind, __u16 port) {
    struct wglan_endpoint_key key = {.port = port, .protocol = packet->protocol, .kind = kind};

    __builtin_memcpy(key.address, packet->destination, 16);
    return bpf_map_lookup_elem(&wglan_endpts, &key) != NULL;
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
static __always_inline bool wglan_never_steered(const struct wglan_packet* packet) {
    if (packet->fragment == WGLAN_LATER_FRAGMENT)
        return wglan_is_endpoint(packet, WGLAN_ENDPOINT_FRAGMENT, 0);
    return packet->destination_port &&
           wglan_is_endpoint(packet, WGLAN_ENDPOINT_REACH, packet->destination_port);
}

#endif
