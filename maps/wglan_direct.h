/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Layout of the maps that `podDatapath: direct` adds to those of wglan_maps.h, whose conventions hold
 * here too. All are empty in host mode.
 */
#ifndef WGLAN_MAPS_DIRECT_H
#define WGLAN_MAPS_DIRECT_H

#include "maps/wglan_maps.h"

#define WGLAN_MAX_PODS 16384
#define WGLAN_OWN_PREFIXES 8 /* of each family */

/*
 * wglan_pods: hash from ifindex to what is known of a device towards pods. Both directions look here,
 * so that one write turns a device on or off for both.
 */
enum wglan_pod_kind {
    WGLAN_POD_PEER = 1,   /* veth, netkit: delivered by bpf_redirect_peer */
    WGLAN_POD_DEVICE = 2, /* other Ethernet device: delivered by bpf_redirect */
    WGLAN_POD_PORT = 3,   /* port of a bridge: pods send through it, delivery is the bridge's */
    WGLAN_POD_BRIDGE = 4, /* delivered as by a device; its ports run the program */
};

struct wglan_pod {
    __u8 mac[6]; /* what frames to this host are sent to: the device's own, a port's bridge's */
    __u8 kind;   /* enum wglan_pod_kind */
    __u8 pad0;
} __attribute__((aligned(8)));

/* wglan_macs: hash; other addresses of a bridge (its ports'), which it takes as its own too. */
struct wglan_mac {
    __u8 mac[6];
    __u8 pad0[2];
} __attribute__((aligned(8)));

/* wglan_own: array of one; the node's own pod prefixes. */
struct wglan_own4 {
    __u8 address[4];
    __u8 mask[4];
} __attribute__((aligned(8)));

struct wglan_own6 {
    __u8 address[16];
    __u8 mask[16];
} __attribute__((aligned(8)));

struct wglan_own {
    __u32 count4;
    __u32 count6;
    struct wglan_own4 ipv4[WGLAN_OWN_PREFIXES];
    struct wglan_own6 ipv6[WGLAN_OWN_PREFIXES];
};

/* wglan_dstats: per-CPU array of one. Packets. */
struct wglan_direct_stats {
    __u64 sent;      /* from a pod straight into the tunnel */
    __u64 delivered; /* from the tunnel straight into a pod */
    __u64 known;     /* left to the stack because conntrack knows their flow */
    __u64 stack;     /* between pods, and left to the stack for what they are */
};

#if defined(__cplusplus)
#define WGLAN_SIZE(type, size) static_assert(sizeof(struct type) == (size), #type " is a wire format")
#else
#define WGLAN_SIZE(type, size) _Static_assert(sizeof(struct type) == (size), #type " is a wire format")
#endif
WGLAN_SIZE(wglan_pod, 8);
WGLAN_SIZE(wglan_mac, 8);
WGLAN_SIZE(wglan_own, 8 + 8 * 8 + 32 * 8);
WGLAN_SIZE(wglan_direct_stats, 32);
#undef WGLAN_SIZE

#endif
