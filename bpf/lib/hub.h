/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* From one peer to another: this node is on the way between two that can't, or shall not, reach each other.
 */
#ifndef WGLAN_BPF_HUB_H
#define WGLAN_BPF_HUB_H

#include "bpf/lib/send.h"

/* At wglan0's ingress; `from`: the route of the packet's source, which WireGuard has verified. */
static __always_inline int wglan_between_peers(struct __sk_buff* skb, const struct wglan_packet* packet,
                                               const struct wglan_config* config,
                                               const struct wglan_answer* from) {
    struct wglan_stats* stats;
    struct wglan_answer to;
    struct wglan_flow flow;
    struct wglan_slot* slot;
    int verdict = WGLAN_NEXT;

    if (from->action != WGLAN_ACTION_STEER || wglan_orphaned(config)) return WGLAN_NEXT;
    if (wglan_find_route(packet, packet->destination, config, &to, &slot) &&
        to.action == WGLAN_ACTION_STEER && to.peer != from->peer &&
        wglan_needs_no_stack(skb, packet, &flow) && !wglan_stack_has(skb, &flow)) {
        stats = wglan_counters();
        verdict = wglan_send(skb, packet, config, &to, slot, 0, stats ? &stats->forwarded : NULL);
    }
    if (verdict == WGLAN_NEXT) wglan_no_hit(slot);
    return verdict;
}

#endif
