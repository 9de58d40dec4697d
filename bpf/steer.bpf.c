// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Steering at TC: uplink egress sends what belongs to a peer into the tunnel; wglan0's two directions
 * count, clamp, and keep the tunnel out of itself. What isn't ours goes on untouched.
 */
#include "bpf/lib/clone.h"
#include "bpf/lib/tunnel.h"

/* A frame to a group: a directed broadcast looks like unicast from its IP header alone. */
static __always_inline bool wglan_group_frame(struct __sk_buff* skb) {
    const __u8* mac = (void*)(long)skb->data;

    return (const void*)(mac + 1) > (const void*)(long)skb->data_end || (*mac & 1);
}

/* The clamp comes after the last test that may let the packet go its own way unchanged. */
static __always_inline int wglan_steer(struct __sk_buff* skb, const struct wglan_packet* packet,
                                       const struct wglan_config* config, const struct wglan_answer* route,
                                       struct wglan_slot* slot) {
    __u32 peer = route->peer, ifindex = config->interface_ifindex, mtu = route->mtu, reason = 0;
    enum wglan_fit fit = WGLAN_NO_DEVICE;

    if (ifindex) fit = wglan_check_fit(skb, packet, ifindex, &mtu);
    if (wglan_is_usual(skb, packet, route, fit)) {
        wglan_hand_over(skb, peer);
        return wglan_into_tunnel(skb, packet, config, peer);
    }
    switch (wglan_judge_peer(peer, fit != WGLAN_NO_DEVICE, &reason)) {
        case WGLAN_PATH_BYPASS:
            return wglan_pass();
        case WGLAN_PATH_DROP:
            if (reason != WGLAN_DROP_PEER_QUARANTINED && wglan_is_served(packet)) return wglan_pass();
            return wglan_drop(skb, packet, peer, reason);
        case WGLAN_PATH_TUNNEL:
            break;
    }
    /* (policy) */
    wglan_clamp_mss(skb, packet, mtu, peer);
    if (fit == WGLAN_TOO_BIG) {
        if (!packet->may_fragment) {
            int verdict = wglan_answer_too_big(skb, packet, peer, mtu, BPF_F_INGRESS);

            if (verdict != WGLAN_SEND_WHOLE) return verdict;
        }
        WGLAN_COUNT(oversized);
    }
    wglan_no_hit(slot);
    return wglan_into_tunnel(skb, packet, config, peer);
}

/* `l2`: length of the MAC header that packets carry on this kind of device. */
static __always_inline int wglan_uplink_egress(struct __sk_buff* skb, __u32 l2) {
    const struct wglan_config* config = wglan_settings();
    struct wglan_packet packet;
    struct wglan_answer route;
    struct wglan_slot* slot;

    if (wglan_may_be_cloned(skb, config, l2) && !wglan_clone_message(skb, l2)) return TC_ACT_SHOT;
    if (!config || wglan_has_mark(skb, config) || wglan_orphaned(config)) return wglan_pass();
    if (skb->vlan_present || (l2 && wglan_group_frame(skb))) return wglan_pass();
    if (!wglan_read(skb, &packet, l2) || wglan_neighbour_discovery(&packet)) return wglan_pass();
    if (!wglan_find_route(&packet, packet.destination, config, &route, &slot) ||
        route.action == WGLAN_ACTION_PASS)
        return wglan_pass();
    if (wglan_is_outer(&packet, config) || wglan_never_steered(&packet, config)) return wglan_pass();
    if (route.action != WGLAN_ACTION_STEER) return wglan_drop(skb, &packet, route.peer, WGLAN_DROP_ROUTE);
    return wglan_steer(skb, &packet, config, &route, slot);
}

SEC("tc")
int wglan_egress(struct __sk_buff* skb) { return wglan_uplink_egress(skb, ETH_HLEN); }

/* Uplinks without a MAC header: ipip, sit, gre, ppp, other tunnels. */
SEC("tc")
int wglan_egress_l3(struct __sk_buff* skb) { return wglan_uplink_egress(skb, 0); }

/* From the tunnel. */
SEC("tc")
int wglan_tun_in(struct __sk_buff* skb) {
    const struct wglan_config* config = wglan_settings();
    struct wglan_packet packet;
    struct wglan_answer route;
    int verdict;

    return wglan_arrives(skb, config, &packet, &route, &verdict) ? WGLAN_NEXT : verdict;
}

/* Into the tunnel, redirected or routed. The agent's own marked TCP may go here: only UDP is outer. */
SEC("tc")
int wglan_tun_out(struct __sk_buff* skb) {
    const struct wglan_config* config = wglan_settings();
    struct wglan_packet packet;
    struct wglan_answer route;

    if (!config || wglan_takes_over(skb) || !wglan_read(skb, &packet, 0)) return WGLAN_NEXT;
    if (packet.protocol == IPPROTO_UDP && packet.source_port && packet.source_port == config->listen_port &&
        (wglan_has_mark(skb, config) || wglan_is_outer(&packet, config)))
        return wglan_drop(skb, &packet, 0, WGLAN_DROP_TUNNEL_IN_TUNNEL);
    wglan_account(skb, &packet, config, packet.destination, true, &route);
    return WGLAN_NEXT;
}

char wglan_license[] SEC("license") = "Dual BSD/GPL";
