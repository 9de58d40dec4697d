/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What every packet through wglan0 meets, whoever takes it from there, and the way in. */
#ifndef WGLAN_BPF_TUNNEL_H
#define WGLAN_BPF_TUNNEL_H

#include "bpf/lib/mss.h"
#include "bpf/lib/mtu.h"
#include "bpf/lib/verdict.h"

/*
 * Left in a packet's control block by a program that has seen to all that the one at wglan0 looks for, but
 * to count it; the redirect takes it there at once. Both words are odd and larger than any offset or length
 * that an IP layer keeps in their place (struct inet_skb_parm, struct inet6_skb_parm).
 */
#define WGLAN_HANDED 0x9d675741

static __always_inline void wglan_hand_over(struct __sk_buff* skb, __u32 peer) {
    skb->cb[0] = WGLAN_HANDED;
    skb->cb[1] = WGLAN_HANDED;
    skb->cb[2] = peer;
}

/* True: counted, and nothing is left to do. */
static __always_inline bool wglan_takes_over(struct __sk_buff* skb) {
    if (skb->cb[0] != WGLAN_HANDED || skb->cb[1] != WGLAN_HANDED) return false;
    skb->cb[0] = 0;
    wglan_count_peer(skb->cb[2], skb->len, 1, true);
    return true;
}

/* Nothing to clamp, nothing to segment, an up peer, and it fits. */
static __always_inline bool wglan_is_usual(struct __sk_buff* skb, const struct wglan_packet* packet,
                                           const struct wglan_answer* route, enum wglan_fit fit) {
    return fit == WGLAN_FITS && packet->plain && !packet->tcp_syn && wglan_peer_is_up(route) &&
           !skb->gso_size;
}

static __always_inline int wglan_into_tunnel(struct __sk_buff* skb, const struct wglan_packet* packet,
                                             const struct wglan_config* config, __u32 peer) {
    if (packet->family == 4)
        WGLAN_COUNT(steered4);
    else
        WGLAN_COUNT(steered6);
    wglan_report_flow(skb, packet, config, peer);
    return (int)bpf_redirect(config->interface_ifindex, 0);
}

/* `*route`: that of `remote`, all zero if there is none. */
static __always_inline void wglan_account(struct __sk_buff* skb, const struct wglan_packet* packet,
                                          const struct wglan_config* config, const __u8* remote,
                                          bool transmit, struct wglan_answer* route) {
    volatile __u32 gso_segs = skb->gso_segs;
    __u32 segments = gso_segs, mtu = config->interface_mtu, peer = 0;
    struct wglan_slot* slot;

    if (wglan_find_route(packet, remote, config, route, &slot) && route->action == WGLAN_ACTION_STEER) {
        peer = route->peer;
        wglan_count_peer(peer, skb->len, segments ? segments : 1, transmit);
        if (route->mtu) mtu = route->mtu;
    }
    wglan_clamp_mss(skb, packet, mtu, peer);
}

/* Outer packets have no business inside. */
static __always_inline bool wglan_tunnel_in_tunnel(const struct wglan_packet* packet,
                                                   const struct wglan_config* config) {
    return packet->protocol == IPPROTO_UDP && packet->destination_port &&
           packet->destination_port == config->listen_port;
}

/* At wglan0's ingress. False: `*verdict` is all there is to say. `*route`: of the packet's source. */
static __always_inline bool wglan_arrives(struct __sk_buff* skb, const struct wglan_config* config,
                                          struct wglan_packet* packet, struct wglan_answer* route,
                                          int* verdict) {
    *verdict = WGLAN_NEXT;
    if (!config || !wglan_read(skb, packet, 0)) return false;
    if (wglan_tunnel_in_tunnel(packet, config)) {
        *verdict = wglan_drop(skb, packet, 0, WGLAN_DROP_TUNNEL_IN_TUNNEL);
        return false;
    }
    wglan_account(skb, packet, config, packet->source, false, route);
    return true;
}

#endif
