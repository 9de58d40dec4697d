// SPDX-License-Identifier: Apache-2.0
/* Where the benchmark's packets come from and where they end; not part of the data path. */
#include "tools/bench/datapath_worker/bench.h"

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

const volatile __u32 bench_lengths[2] = {BENCH_IP_LENGTH, BENCH_IP_LENGTH};
const volatile __u32 bench_feed_target = 0;

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 2);
    __type(key, __u32);
    __type(value, struct bench_frame);
} bench_frames SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct bench_count);
} bench_counts SEC(".maps");

static __always_inline struct bench_frame* bench_frame_of(__u32 family) {
    return bpf_map_lookup_elem(&bench_frames, &family);
}

static __always_inline __u32 bench_choose(struct bench_frame* frame) {
    __u32 most = frame->range.destinations;

    if (!most) return 0;
    if (frame->in_order) return frame->next++ % most;
    return (__u32)((__u64)bpf_get_prandom_u32() * most >> 32);
}

static __always_inline __be16 bench_fold(__u32 sum) {
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return bpf_htons((__u16)~sum);
}

/* Frames come back as the stack left them: MAC addresses and TTL rewritten. So all is written anew. */
SEC("xdp")
int bench_generate4(struct xdp_md* ctx) {
    __u8* data = (void*)(long)ctx->data;
    struct bench_frame* frame = bench_frame_of(0);
    __u32 destination, address, place;

    if (!frame || data + BENCH_HEADERS4 > (__u8*)(long)ctx->data_end) return XDP_ABORTED;
    destination = bench_choose(frame);
    address = bench_address4(bench_prefix_of(&frame->range, destination),
                             bench_host_of(&frame->range, destination));
    __builtin_memcpy(data, frame->headers, BENCH_HEADERS4);
    *(__be16*)(data + 24) = bench_fold(frame->sum + (address >> 16) + (address & 0xffff));
    place = frame->place == 26 ? 26 : 30;
    *(__be32*)(data + place) = bpf_htonl(address);
    return XDP_PASS;
}

SEC("xdp")
int bench_generate6(struct xdp_md* ctx) {
    __u8* data = (void*)(long)ctx->data;
    struct bench_frame* frame = bench_frame_of(1);
    __u32 destination, place;
    __be16 checksum;
    __u16 words[3];

    if (!frame || data + BENCH_HEADERS6 > (__u8*)(long)ctx->data_end) return XDP_ABORTED;
    destination = bench_choose(frame);
    bench_address6(bench_prefix_of(&frame->range, destination), bench_host_of(&frame->range, destination),
                   words);
    __builtin_memcpy(data, frame->headers, BENCH_HEADERS6);
    checksum = bench_fold(frame->sum + words[0] + words[1] + words[2]);
    *(__be16*)(data + 60) = checksum ? checksum : 0xffff;
    place = frame->place == 22 ? 22 : 38;
    *(__be16*)(data + place + 2) = bpf_htons(words[0]);
    *(__be16*)(data + place + 4) = bpf_htons(words[1]);
    *(__be16*)(data + place + 14) = bpf_htons(words[2]);
    return XDP_PASS;
}

/* From an Ethernet device into the ingress of one that has no MAC header. */
SEC("tc")
int bench_feed(struct __sk_buff* skb) { return (int)bpf_redirect(bench_feed_target, BPF_F_INGRESS); }

static __always_inline void bench_count_packet(__u32 length) {
    __u32 zero = 0;
    struct bench_count* count = bpf_map_lookup_elem(&bench_counts, &zero);

    if (!count) return;
    if (length == bench_lengths[0] || length == bench_lengths[1])
        count->expected++;
    else
        count->other++;
}

/* A TUN device's filter (TUNSETFILTEREBPF) or a socket's: counts, and lets nothing through. */
SEC("socket")
int bench_sink(struct __sk_buff* skb) {
    bench_count_packet(skb->len);
    return 0;
}

/* As near to the generator as a packet can end. */
SEC("tc")
int bench_discard(struct __sk_buff* skb) {
    bench_count_packet(skb->len);
    return TC_ACT_SHOT;
}

/* What BPF_PROG_TEST_RUN itself costs. */
SEC("tc")
int bench_nothing(struct __sk_buff* skb) { return TC_ACT_UNSPEC; }

char bench_license[] SEC("license") = "Apache-2.0";
