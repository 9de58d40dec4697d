/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Events of packets at TC. */
#ifndef WGLAN_BPF_REPORT_H
#define WGLAN_BPF_REPORT_H

#include "bpf/lib/events.h"
#include "bpf/lib/packet.h"

/* What an event says besides its packet; names as in struct wglan_event. */
struct wglan_note {
    __u32 kind;
    __u32 reason;
    __u32 peer;
    __u32 value;
    __u32 before;
    __u32 length; /* 0: the packet is still as it came */
};

__noinline int wglan_report(struct __sk_buff* skb, const struct wglan_packet* packet,
                            const struct wglan_note* note) {
    struct wglan_event* event;

    if (!packet || !note || note->kind >= WGLAN_EVENT_SPARE) return 0;
    event = wglan_begin_event(note->kind);
    if (!event) return 0;
    event->ifindex = skb->ifindex;
    event->peer = note->peer;
    event->reason = (__u8)note->reason;
    event->protocol = packet->protocol;
    event->source_port = packet->source_port;
    event->destination_port = packet->destination_port;
    event->length = note->length ? note->length : skb->len - packet->l3;
    event->value = note->value;
    event->before = note->before;
    __builtin_memcpy(event->source, packet->source, 16);
    __builtin_memcpy(event->destination, packet->destination, 16);
    bpf_ringbuf_submit(event, 0);
    return 1;
}

/* How many packets the present one stands for; 0: it is too soon after the last sample. */
static __always_inline __u32 wglan_sample(__u64 now) {
    __u32 limit = WGLAN_LIMIT_EVENTS + WGLAN_EVENT_FLOW;
    struct wglan_window* window = bpf_map_lookup_elem(&wglan_limits, &limit);
    __u64 packets;

    if (!window) return 0;
    packets = ++window->used;
    if (now - window->start_ns < WGLAN_FLOW_INTERVAL_NS) return 0;
    window->start_ns = now;
    window->used = 0;
    return (__u32)packets;
}

/* Of the packets that go into the tunnel. */
static __always_inline void wglan_report_flow(struct __sk_buff* skb, const struct wglan_packet* packet,
                                              const struct wglan_config* config, __u32 peer) {
    struct wglan_note note = {.kind = WGLAN_EVENT_FLOW, .peer = peer};
    __u64 until = wglan_watched_until_ns(config), now;

    if (!until) return;
    now = bpf_ktime_get_boot_ns();
    if (now < until) note.value = wglan_sample(now);
    if (note.value) wglan_report(skb, packet, &note);
}

#endif
