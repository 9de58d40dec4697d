/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What every packet through wglan0 meets, whoever takes it from there. */
#ifndef WGLAN_BPF_TUNNEL_H
#define WGLAN_BPF_TUNNEL_H

#include "bpf/lib/mss.h"
#include "bpf/lib/verdict.h"

/* `*route`: that of `remote`, all zero if there is none. */
static __always_inline void wglan_account(struct __sk_buff* skb, const struct wglan_packet* packet,
                                          const struct wglan_config* config, const __u8* remote,
                                          bool transmit, struct wglan_route* route) {
    volatile __u32 gso_segs = skb->gso_segs;
    __u32 segments = gso_segs, mtu = config->interface_mtu, peer = 0;

    if (wglan_find_route(packet, remote, config, route) && route->action == WGLAN_ACTION_STEER) {
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

#endif
