/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Questions to the maps: whose is this address, is this one of WireGuard's own packets? */
#ifndef WGLAN_BPF_LOOKUP_H
#define WGLAN_BPF_LOOKUP_H

#include "bpf/lib/cache.h"
#include "bpf/lib/exact.h"
#include "bpf/lib/maps.h"
#include "bpf/lib/packet.h"
#include "bpf/lib/strides.h"

/* Questions that are only asked (agent/dataplane/replay.h) leave no trace. */
const volatile bool wglan_counts_hits = true;

static __always_inline struct wglan_route* wglan_longest_match(__u32 family, const __u8* address) {
    struct wglan_lengths lengths;
    void* table;

    if (family == 4) {
        struct wglan_key4 key = {.prefix_len = 32};

        table = wglan_strides_table();
        if (table) return wglan_ask_strides(table, address + 12);
        __builtin_memcpy(key.address, address + 12, 4);
        return bpf_map_lookup_elem(&wglan_route4, &key);
    } else {
        struct wglan_key6 key = {.prefix_len = 128};

        lengths = wglan_exact_table(&table);
        if (table) return wglan_ask_exact6(table, lengths, address);
        __builtin_memcpy(key.address, address, 16);
        return bpf_map_lookup_elem(&wglan_route6, &key);
    }
}

/* As IPv4 addresses are kept. */
static __always_inline bool wglan_is_mapped(const struct wglan_address* address) {
    __u32 upper;

    __builtin_memcpy(&upper, &address->words[1], 4);
    return !address->words[0] && upper == bpf_htonl(0xffff);
}

/* The route of this prefix length that holds the address; NULL: it is gone. */
static __always_inline struct wglan_route* wglan_route_of(const struct wglan_address* address,
                                                          __u32 prefix_len) {
    struct wglan_route* found = NULL;
    void* table;

    if (wglan_is_mapped(address)) {
        struct wglan_key4 key;
        __u32 lower;

        __builtin_memcpy(&lower, (const __u8*)&address->words[1] + 4, 4);
        table = wglan_strides_table();
        if (table) found = wglan_ask_strides(table, (const __u8*)&lower);
        if (found && found->prefix_len == prefix_len) return found;
        /* There may be a longer one by now. */
        wglan_cut4(&key, lower, prefix_len);
        found = bpf_map_lookup_elem(&wglan_route4, &key);
    } else {
        struct wglan_key6 key;

        wglan_exact_table(&table);
        wglan_cut6(&key, address->words, prefix_len);
        found = table ? bpf_map_lookup_elem(table, &key) : bpf_map_lookup_elem(&wglan_route6, &key);
    }
    return found && found->prefix_len == prefix_len ? found : NULL;
}

/* What a slot counted goes to its route. 0, always. */
__noinline int wglan_settle(const struct wglan_slot* slot) {
    struct wglan_address address;
    struct wglan_route* route;

    if (!slot || !slot->answer.action || !wglan_counts_hits) return 0;
    address = *(const struct wglan_address*)slot->address;
    route = wglan_route_of(&address, slot->prefix_len);
    if (route) __sync_fetch_and_add(&route->hits, slot->hits);
    return 0;
}

static __always_inline bool wglan_in_endpoints(const __u8* address, __u8 protocol, __u8 kind, __u16 port) {
    struct wglan_endpoint_key key = {.port = port, .protocol = protocol, .kind = kind};

    __builtin_memcpy(key.address, address, 16);
    return bpf_map_lookup_elem(&wglan_endpts, &key) != NULL;
}

/* What wglan_peers says most often: the peer is there, and its state is up or degraded. */
static __always_inline bool wglan_is_up(__u32 peer) {
    __u32 word = peer / 64;
    const __u64* bits = bpf_map_lookup_elem(&wglan_up, &word);

    return bits && *(const volatile __u64*)bits >> (peer % 64) & 1;
}

struct wglan_found {
    struct wglan_answer answer; /* all zero: no prefix holds the address, or it is of one link */
    __u32 prefix_len;
    __u32 pad0;
};

/* `*result` must be zero. 0, always. */
__noinline int wglan_ask(const struct wglan_address* wanted, __u32 family, struct wglan_found* result) {
    struct wglan_route* found;
    const __u8* address;

    if (!wanted || !result) return 0;
    address = (const __u8*)wanted->words;
    if (wglan_link_scope(family, address)) return 0;
    found = wglan_longest_match(family, address);
    if (!found) return 0;
    __builtin_memcpy(&result->answer, found, sizeof(result->answer));
    result->prefix_len = found->prefix_len;
    result->answer.flags &= ~WGLAN_ROUTE_UP;
    if (wglan_is_up(result->answer.peer)) result->answer.flags |= WGLAN_ROUTE_UP;
    if (wglan_counts_hits) __sync_fetch_and_add(&found->hits, 1);
    return 0;
}

/*
 * What the longest prefix that holds an address of the packet says; false: there is none, or it is of one
 * link or not of its family. Counted as a hit: wglan_no_hit(slot) takes it back.
 */
static __always_inline bool wglan_find_route(const struct wglan_packet* packet, const __u8* address,
                                             const struct wglan_config* config, struct wglan_answer* answer,
                                             struct wglan_slot** where) {
    __u32 generation = *(const volatile __u32*)&config->generation;
    struct wglan_found found = {};
    struct wglan_address wanted;
    struct wglan_slot* slot;
    __u64 mixed, bits;

    __builtin_memcpy(&wanted, address, sizeof(wanted));
    mixed = wglan_mix(wanted.words[0], wanted.words[1]);
    slot = packet->family == 6 && wglan_is_mapped(&wanted) ? NULL : wglan_slot_of(mixed);
    *where = slot;
    if (slot && generation) {
        const struct wglan_address* held = (const void*)slot->address;

        bits = *(volatile __u64*)&slot->answer;
        if (held->words[0] == wanted.words[0] && held->words[1] == wanted.words[1] &&
            slot->generation == generation && slot->check == wglan_slot_check(mixed, bits, generation)) {
            slot->hits++;
            __builtin_memcpy(answer, &bits, sizeof(bits));
            return bits != 0;
        }
    }
    wglan_ask(&wanted, packet->family, &found);
    __builtin_memcpy(&bits, &found.answer, sizeof(bits));
    if (slot && generation) {
        if (slot->hits) wglan_settle(slot);
        *(struct wglan_address*)slot->address = wanted;
        *(volatile __u64*)&slot->answer = bits;
        slot->prefix_len = found.prefix_len;
        slot->generation = generation;
        slot->hits = 0;
        slot->check = wglan_slot_check(mixed, bits, generation);
    }
    __builtin_memcpy(answer, &bits, sizeof(bits));
    return bits != 0;
}

/* Another program will look for the same packet's route again. */
static __always_inline void wglan_no_hit(struct wglan_slot* slot) {
    if (slot) slot->hits--;
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

/*
 * A later fragment has no port: only its address and protocol tell whose it is. What isn't TCP or UDP has
 * port 0, as have the entries of such protocols.
 */
static __always_inline bool wglan_never_steered(const struct wglan_packet* packet,
                                                const struct wglan_config* config) {
    __u16 port = packet->destination_port;

    if (packet->fragment == WGLAN_LATER_FRAGMENT)
        return wglan_is_endpoint(packet, WGLAN_ENDPOINT_FRAGMENT, 0);
    if (!(config->reach_ports[port >> 6 & 3] >> (port & 63) & 1)) return false;
    return wglan_is_endpoint(packet, WGLAN_ENDPOINT_REACH, port);
}

/* An answer of what others reach here whether the tunnel works or not. */
static __always_inline bool wglan_is_served(const struct wglan_packet* packet) {
    return packet->fragment != WGLAN_LATER_FRAGMENT && packet->source_port &&
           wglan_in_endpoints(packet->source, packet->protocol, WGLAN_ENDPOINT_SERVE, packet->source_port);
}

#endif
