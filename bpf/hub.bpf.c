// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* wglan_tun_in for kernels in which conntrack can be asked: sends on what goes from peer to peer. */
#include "bpf/lib/hub.h"

SEC("tc")
int wglan_tun_hub(struct __sk_buff* skb) {
    const struct wglan_config* config = wglan_settings();
    struct wglan_packet packet;
    struct wglan_answer route;
    int verdict;

    if (!wglan_arrives(skb, config, &packet, &route, &verdict)) return verdict;
    return wglan_between_peers(skb, &packet, config, &route);
}

char wglan_license[] SEC("license") = "Dual BSD/GPL";
