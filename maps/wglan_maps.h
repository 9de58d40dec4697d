/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Layout of the pinned BPF maps: the one definition that the programs (bpf/) and C++ share.
 *
 * Conventions: addresses are byte arrays in network order, so that `bpftool map dump` prints them
 * readably; ports and all other numbers are in host order; an IPv4 address in 16 bytes is
 * IPv4-mapped (::ffff:a.b.c.d). Padding is named and zero. A change of any struct that isn't a mere
 * addition of names to spare room needs a new WGLAN_LAYOUT_VERSION (CMakeLists.txt).
 */
#ifndef WGLAN_MAPS_H
#define WGLAN_MAPS_H

#include <linux/types.h>

#ifndef WGLAN_LAYOUT_VERSION
#define WGLAN_LAYOUT_VERSION 4
#endif

#define WGLAN_MAX_ROUTES 131072 /* default entries of each LPM trie; the agent may set another */
#define WGLAN_MAX_PEERS 16384
#define WGLAN_MAX_ENDPOINTS 131072
#define WGLAN_EVENTS_BYTES (256 * 1024)
#define WGLAN_NAME_LENGTH 32 /* with the final zero */

/* wglan_route4, wglan_route6: LPM tries from destination to what is done with it. */
struct wglan_key4 {
    __u32 prefix_len;
    __u8 address[4];
};

struct wglan_key6 {
    __u32 prefix_len;
    __u8 address[16];
};

enum wglan_action {
    WGLAN_ACTION_PASS = 1,
    WGLAN_ACTION_STEER = 2,
    WGLAN_ACTION_DROP = 3, /* as is any number not named here */
};

enum wglan_route_flags {
    WGLAN_ROUTE_PODS = 1,  /* the peer's pods: podDatapath direct may send there past the stack */
    WGLAN_ROUTE_UP = 0x80, /* in an answer alone: the peer's state is up or degraded */
};

struct wglan_route {
    __u32 peer; /* key into wglan_peers; 0 with pass and drop */
    __u8 action;
    __u8 flags;       /* enum wglan_route_flags */
    __u16 mtu;        /* largest IP packet for the tunnel; 0 = the interface's */
    __u32 prefix_len; /* the key's */
    __u32 pad0;
    __u64 hits; /* look-ups that it answered since it was written, but for those that slots still count */
};

/*
 * wglan_cache: per-CPU array of slots: what the tries said of a destination lately, misses included. The
 * agent reads it only for its counts.
 */
#define WGLAN_CACHE_BITS 12

struct wglan_address {
    __u64 words[2];
};

/* The first half of a struct wglan_route. All zero: no prefix holds the address. */
struct wglan_answer {
    __u32 peer;
    __u8 action;
    __u8 flags;
    __u16 mtu;
};

struct wglan_slot {
    __u8 address[16]; /* read and written as a struct wglan_address */
    struct wglan_answer answer;
    __u32 prefix_len; /* of the route that gave the answer */
    __u32 generation;
    __u64 hits;  /* for that route, not counted there yet; may be negative */
    __u32 check; /* over address, answer, and generation: where a program can be preempted a slot may be half
                    written */
    __u32 pad0;
} __attribute__((aligned(8)));

/*
 * wglan_lengths: array of one: the prefix lengths that occur in wglan_exact6, longest first. That holds what
 * wglan_route6 holds, for look-ups that are as dear as one prefix length each.
 */
#define WGLAN_LENGTHS 7

struct wglan_lengths {
    __u8 count; /* 0: the trie is asked */
    __u8 lengths[WGLAN_LENGTHS];
} __attribute__((aligned(8)));

/* wglan_strides: what wglan_route4 holds, in lines of memory (bpf/lib/strides.h). */
#define WGLAN_LINE_ENTRIES 16U
#define WGLAN_BLOCK 0x80000000U
#define WGLAN_BLOCK_LINES (256U / WGLAN_LINE_ENTRIES)
#define WGLAN_FIRST_STRIDE_LINES (65536U / WGLAN_LINE_ENTRIES)

struct wglan_line {
    union {
        __u32 entries[WGLAN_LINE_ENTRIES];
        struct {
            struct wglan_route route;
            __u64 pad0;
        } routes[2];
    };
};

/*
 * wglan_up: array of words, a bit for each peer id: its state is up or degraded, or was when it was last
 * written. What wglan_peers says of a peer to which packets are sent, in a thousandth of the memory.
 */
#define WGLAN_UP_WORDS (WGLAN_MAX_PEERS / 64 + 1)

/* wglan_peers: hash from peer id (1 ...) to its state. */
enum wglan_peer_state {
    WGLAN_PEER_UNKNOWN = 0,
    WGLAN_PEER_UP = 1,
    WGLAN_PEER_DEGRADED = 2,
    WGLAN_PEER_DOWN = 3,
    WGLAN_PEER_QUARANTINED = 4, /* as is any number not named here */
};

enum wglan_fallback {
    WGLAN_FALLBACK_BYPASS = 0,
    WGLAN_FALLBACK_DROP = 1, /* as is any number not named here */
};

struct wglan_peer {
    __u8 state;
    __u8 when_unknown;
    __u8 when_down;
    __u8 pad0;
    __u32 flags; /* none yet */
    __u8 public_key[32];
    char name[WGLAN_NAME_LENGTH];
};

/* wglan_endpts: hash; membership is all that counts. */
enum wglan_endpoint_kind {
    WGLAN_ENDPOINT_OUTER = 1,    /* WireGuard packets: UDP from our listen port to address and port */
    WGLAN_ENDPOINT_REACH = 2,    /* address, port and protocol that are never steered */
    WGLAN_ENDPOINT_FRAGMENT = 3, /* address and protocol (port 0) of one to reach: later fragments */
    WGLAN_ENDPOINT_SERVE = 4,    /* own address, port and protocol: what is sent from there isn't dropped */
};

struct wglan_endpoint_key {
    __u8 address[16];
    __u16 port;
    __u8 protocol; /* IPPROTO_* */
    __u8 kind;
};

struct wglan_endpoint {
    __u32 flags; /* none yet */
};

/*
 * wglan_clones: hash from the endpoint that WireGuard uses for a peer to other places where it may be, all of
 * one family. The agent removes the entry when the peer is found.
 */
#define WGLAN_CLONES 8

enum wglan_cloned {
    WGLAN_CLONED_INITIATIONS = 0, /* a peer that is looked for */
    WGLAN_CLONED_PROBES = 1,      /* one that may be lost: data packets as long as a probe */
    WGLAN_CLONED_DATA = 2,        /* a better path is tried beside the one in use */
};

struct wglan_place {
    __u8 address[16];
    __u16 port;
    __u8 same_way; /* in a value: by the same device and next hop as the key */
    __u8 pad0[5];
    __u8 source[16]; /* in a value: ours, on the way there; zero = the packet's */
} __attribute__((aligned(8)));

struct wglan_places {
    __u32 count;
    __u32 what; /* enum wglan_cloned */
    struct wglan_place to[WGLAN_CLONES];
};

/* wglan_config: array of one. */
struct wglan_config {
    __u32 layout_version;
    __u32 interface_ifindex; /* wglan0; 0 = there is none */
    __u32 firewall_mark;
    __u32 firewall_mark_mask;
    __u16 listen_port;
    __u16 interface_mtu;
    __u32 orphan_after_s; /* 0 = never */
    __u64 heartbeat_ns;   /* CLOCK_MONOTONIC when the agent was last alive: a suspended host isn't orphaned */
    __u32 generation;     /* of the tables, see bpf/lib/cache.h; 0 = answers aren't kept */
    __u32 watched_until_s;      /* CLOCK_BOOTTIME up to which somebody reads wglan_events; 0 = nobody */
    __u64 reach_ports[4];       /* bit (port modulo 256) of each port in WGLAN_ENDPOINT_REACH */
    __u64 data_cloned_until_ns; /* CLOCK_MONOTONIC up to which wglan_clones is asked of data; 0 = it isn't */
};

/* Why a packet was dropped, with the name that people see (a metric's label). Append only; the guard's
 * reasons stand at the end of the room there is. */
#define WGLAN_DROP_REASONS(X)                  \
    X(ROUTE, 0, "route")                       \
    X(PEER_UNKNOWN, 1, "peer_unknown")         \
    X(PEER_DOWN, 2, "peer_down")               \
    X(PEER_QUARANTINED, 3, "peer_quarantined") \
    X(PEER_MISSING, 4, "peer_missing")         \
    X(NO_INTERFACE, 5, "no_interface")         \
    X(TOO_BIG, 6, "too_big")                   \
    X(TUNNEL_IN_TUNNEL, 7, "tunnel_in_tunnel") \
    X(GUARD_RATE, 28, "guard_rate")            \
    X(GUARD_TYPE, 29, "guard_type")            \
    X(GUARD_LENGTH, 30, "guard_length")

enum wglan_drop_reason {
#define WGLAN_DROP_ENUM(name, number, text) WGLAN_DROP_##name = number,
    WGLAN_DROP_REASONS(WGLAN_DROP_ENUM)
#undef WGLAN_DROP_ENUM
        WGLAN_DROP_SPARE = 32, /* room in wglan_stats */
};

/* wglan_stats: per-CPU array of one. Packets. */
struct wglan_stats {
    __u64 steered4;
    __u64 steered6;
    __u64 passed; /* at uplink egress, whatever the reason */
    __u64 mss_clamped;
    __u64 packet_too_big;            /* ICMP replies made */
    __u64 oversized;                 /* larger than the MTU and steered whole: IPv4 that may be fragmented */
    __u64 events_lost;               /* that somebody watched for: over the rate, or the buffer was full */
    __u64 forwarded;                 /* from one peer to another, past the stack; those are in steered too */
    __u64 cloned;                    /* handshake initiations, sent to another place too */
    __u64 dropped[WGLAN_DROP_SPARE]; /* by enum wglan_drop_reason */
};

/* wglan_pstats: per-CPU hash by peer id; the agent makes and removes the entries. */
struct wglan_peer_stats {
    __u64 tx_packets;
    __u64 tx_bytes;
    __u64 rx_packets;
    __u64 rx_bytes;
};

/*
 * wglan_events: ring buffer, filled only while wglan_config.watched_until_s says that somebody reads it.
 * Of each kind at most WGLAN_EVENTS_PER_SECOND a CPU; flows are a sample, at most one packet every
 * WGLAN_FLOW_INTERVAL_NS on a CPU.
 */
#define WGLAN_EVENTS_PER_SECOND 128
#define WGLAN_FLOW_INTERVAL_NS (1000000000ULL / 64)

enum wglan_event_kind {
    WGLAN_EVENT_DROP = 1,
    WGLAN_EVENT_TOO_BIG = 2, /* answered with packet-too-big */
    WGLAN_EVENT_MSS_CLAMP = 3,
    WGLAN_EVENT_GUARD = 4, /* dropped at the WireGuard port */
    WGLAN_EVENT_FLOW = 5,
    WGLAN_EVENT_SPARE = 8, /* a rate limit for each below */
};

struct wglan_event {
    __u64 time_ns; /* CLOCK_BOOTTIME */
    __u32 ifindex;
    __u32 peer; /* 0 = none */
    __u8 kind;
    __u8 reason; /* drop, guard: enum wglan_drop_reason */
    __u8 protocol;
    __u8 pad0;
    __u16 source_port; /* 0 where there is none */
    __u16 destination_port;
    __u32 length; /* IP packet in bytes, all of its segments */
    __u32 value;  /* too_big: the MTU told; mss_clamp: the MSS now; flow: packets that this one stands for */
    __u32 before; /* mss_clamp: the MSS that stood there */
    __u32 pad1;
    __u8 source[16];
    __u8 destination[16];
};

#if defined(__cplusplus)
#define WGLAN_SIZE(type, size) static_assert(sizeof(struct type) == (size), #type " is a wire format")
#else
#define WGLAN_SIZE(type, size) _Static_assert(sizeof(struct type) == (size), #type " is a wire format")
#endif
WGLAN_SIZE(wglan_key4, 8);
WGLAN_SIZE(wglan_key6, 20);
WGLAN_SIZE(wglan_route, 24);
WGLAN_SIZE(wglan_answer, 8);
WGLAN_SIZE(wglan_slot, 48);
WGLAN_SIZE(wglan_lengths, 8);
WGLAN_SIZE(wglan_line, 64);
WGLAN_SIZE(wglan_peer, 72);
WGLAN_SIZE(wglan_endpoint_key, 20);
WGLAN_SIZE(wglan_endpoint, 4);
WGLAN_SIZE(wglan_place, 40);
WGLAN_SIZE(wglan_places, 8 + 8 * 40);
WGLAN_SIZE(wglan_config, 80);
WGLAN_SIZE(wglan_stats, 8 * (9 + WGLAN_DROP_SPARE));
WGLAN_SIZE(wglan_peer_stats, 32);
WGLAN_SIZE(wglan_event, 72);
#undef WGLAN_SIZE

#endif
