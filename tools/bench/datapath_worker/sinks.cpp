// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/datapath_worker/sinks.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/bench.skel.h"
#include "tools/bench/datapath_worker/bench.h"
#include "tools/bench/datapath_worker/host.h"
#include "tools/bench/datapath_worker/must.h"

namespace wglan::bench {

namespace {

constexpr std::uint32_t kUdp4 = BENCH_IP_LENGTH - 20, kUdp6 = BENCH_IP_LENGTH - 40;
constexpr auto kPause = std::chrono::milliseconds(1);
constexpr int kQuietPauses = 10;

}  // namespace

Sink::Sink(std::uint32_t length4, std::uint32_t length6) : skeleton_(open_skeleton()) {
    skeleton_->rodata->bench_lengths[0] = length4;
    skeleton_->rodata->bench_lengths[1] = length6;
    load(skeleton_);
}

std::uint64_t Sink::count() const {
    std::vector<bench_count> cpus(static_cast<std::size_t>(libbpf_num_possible_cpus()));
    const __u32 zero = 0;
    must_call(bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.bench_counts), &zero, cpus.data()),
              "read a sink's counter");
    std::uint64_t sum = 0;
    for (const bench_count& cpu : cpus) sum += cpu.expected;
    return sum;
}

std::uint64_t Sink::settled(std::uint64_t least) const {
    std::uint64_t last = count();
    for (int quiet = 0; last < least && quiet < kQuietPauses; ++quiet) {
        std::this_thread::sleep_for(kPause);
        const std::uint64_t now = count();
        if (now != last) quiet = 0;
        last = now;
    }
    return last;
}

TunSink::TunSink(const std::string& device)
    : Sink(BENCH_IP_LENGTH, BENCH_IP_LENGTH),
      fd_(must_call(::open("/dev/net/tun", O_RDWR | O_CLOEXEC), "open /dev/net/tun")) {
    ifreq request{};
    device.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    must_call(::ioctl(fd_.get(), TUNSETIFF, &request), "make TUN device " + device);
    // What a WireGuard device offers, too: checksums and segments are left to it.
    must_call(::ioctl(fd_.get(), TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6),
              "set offloads of " + device);
    int program = bpf_program__fd(skeleton().progs.bench_sink);
    must_call(::ioctl(fd_.get(), TUNSETFILTEREBPF, &program), "set the filter of " + device);
}

SocketSink::SocketSink(const std::string& space, std::uint16_t port) : Sink(kUdp4, kUdp6) {
    inside(space, [&] {
        fd_.reset(must_call(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), "make a socket"));
        sockaddr_in6 any{};
        any.sin6_family = AF_INET6;
        any.sin6_port = htons(port);
        must_call(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any), "bind a socket");
    });
    const int program = bpf_program__fd(skeleton().progs.bench_sink);
    must_call(::setsockopt(fd_.get(), SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof program),
              "set a socket's filter");
}

DiscardSink::DiscardSink(const std::string& device) : Sink(BENCH_FRAME_LENGTH, BENCH_FRAME_LENGTH) {
    link_ = attach_at_ingress(bpf_program__fd(skeleton().progs.bench_discard), ifindex_of(device));
}

EgressSink::EgressSink(const std::string& device) : Sink(BENCH_IP_LENGTH, BENCH_IP_LENGTH) {
    link_ = attach_at_egress(bpf_program__fd(skeleton().progs.bench_discard), ifindex_of(device));
}

}  // namespace wglan::bench
