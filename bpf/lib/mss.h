/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Lowers the MSS option of SYN and SYN-ACK to what the tunnel carries (RFC 9293 section 3.7.1). */
#ifndef WGLAN_BPF_MSS_H
#define WGLAN_BPF_MSS_H

#include "bpf/lib/packet.h"
#include "bpf/lib/report.h"

#define WGLAN_TCP_FIXED 20
#define WGLAN_TCP_CHECKSUM 16 /* offset in the header */
#define WGLAN_TCP_OPTIONS_MOST 40
#define WGLAN_OPTION_END 0
#define WGLAN_OPTION_NOP 1
#define WGLAN_OPTION_MSS 2
#define WGLAN_OPTION_MSS_LENGTH 4

/*
 * `place`: offset of the two bytes in the TCP header. At an odd one they straddle two words of the
 * checksum, which sees them swapped. bpf_l4_csum_replace leaves a checksum that is yet to be
 * computed (CHECKSUM_PARTIAL) as it is.
 */
static __always_inline bool wglan_write_mss(struct __sk_buff* skb, __u32 l4, __u32 place, __u16 from,
                                            __u16 to) {
    __be16 from_be = bpf_htons(from), to_be = bpf_htons(to);
    bool odd = place & 1;

    if (bpf_l4_csum_replace(skb, l4 + WGLAN_TCP_CHECKSUM, odd ? __builtin_bswap16(from_be) : from_be,
                            odd ? __builtin_bswap16(to_be) : to_be, 2))
        return false;
    return bpf_skb_store_bytes(skb, l4 + place, &to_be, 2, 0) == 0;
}

struct wglan_tcp_options {
    __u8 bytes[WGLAN_TCP_OPTIONS_MOST];
    __u32 length;
};

/*
 * Walks the options, from one at `place` on; at a malformed one it stops, as receivers do. The place of the
 * first MSS above `most`; WGLAN_TCP_OPTIONS_MOST: there is none.
 * bpf_loop would be shorter, but kernels without a JIT refuse callbacks.
 */
__noinline int wglan_find_mss(const struct wglan_tcp_options* options, __u32 place, __u32 most) {
    int i;

    if (!options) return WGLAN_TCP_OPTIONS_MOST;
    for (i = 0; i < WGLAN_TCP_OPTIONS_MOST; i++) {
        __u8 kind, size;

        if (place + WGLAN_OPTION_MSS_LENGTH > options->length) break;
        /* The barriers keep clang from folding both bounds into one that the verifier can't follow. */
        barrier_var(place);
        if (place > sizeof(options->bytes) - WGLAN_OPTION_MSS_LENGTH) break;
        kind = options->bytes[place];
        size = options->bytes[place + 1];
        if (kind == WGLAN_OPTION_END || (kind != WGLAN_OPTION_NOP && size < 2)) break;
        if (kind == WGLAN_OPTION_MSS && size == WGLAN_OPTION_MSS_LENGTH &&
            (__u32)(options->bytes[place + 2] << 8 | options->bytes[place + 3]) > most)
            return (int)place;
        place += kind == WGLAN_OPTION_NOP ? 1 : size;
        /* Forgets the range, so that the verifier finds every round alike. */
        barrier_var(place);
        place &= 0x1ff;
    }
    return WGLAN_TCP_OPTIONS_MOST;
}

/*
 * `length`: of the TCP header in bytes. Of several MSS options some receivers take the last one, so all are
 * lowered. The MSS that stood there if it was changed, the first one; else 0.
 */
__noinline int wglan_clamp_options(struct __sk_buff* skb, __u32 l4, __u32 length, __u32 most) {
    struct wglan_tcp_options options = {};
    __u32 place = 0;
    int i, before = 0;

    length -= WGLAN_TCP_FIXED;
    barrier_var(length);
    if (length > sizeof(options.bytes)) return 0;
    barrier_var(length);
    if (length < WGLAN_OPTION_MSS_LENGTH) return 0;
    if (bpf_skb_load_bytes(skb, l4 + WGLAN_TCP_FIXED, options.bytes, length)) return 0;
    options.length = length;
    for (i = 0; i < WGLAN_TCP_OPTIONS_MOST / WGLAN_OPTION_MSS_LENGTH; i++) {
        __u16 mss;

        place = (__u32)wglan_find_mss(&options, place, most);
        barrier_var(place);
        if (place > sizeof(options.bytes) - WGLAN_OPTION_MSS_LENGTH) break;
        mss = (__u16)(options.bytes[place + 2] << 8 | options.bytes[place + 3]);
        if (!wglan_write_mss(skb, l4, WGLAN_TCP_FIXED + place + 2, mss, (__u16)most)) break;
        if (!before) before = mss;
        place += WGLAN_OPTION_MSS_LENGTH;
    }
    return before;
}

/* `mtu`: largest IP packet, 0 = not known. Counted and reported where the packet is changed. */
static __always_inline void wglan_clamp_mss(struct __sk_buff* skb, const struct wglan_packet* packet,
                                            __u32 mtu, __u32 peer) {
    __u32 headers = WGLAN_TCP_FIXED + (packet->family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
    struct wglan_note note = {.kind = WGLAN_EVENT_MSS_CLAMP, .peer = peer, .value = mtu - headers};

    if (!packet->tcp_syn || mtu <= headers) return;
    note.before = (__u32)wglan_clamp_options(skb, packet->l4, packet->tcp_length, mtu - headers);
    if (!note.before) return;
    WGLAN_COUNT(mss_clamped);
    wglan_report(skb, packet, &note);
}

#endif
