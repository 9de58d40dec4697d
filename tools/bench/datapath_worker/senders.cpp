// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/datapath_worker/senders.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "tools/bench/datapath_worker/host.h"
#include "tools/bench/datapath_worker/must.h"

namespace wglan::bench {

namespace {

constexpr std::size_t kEthernet = 14;
constexpr std::uint8_t kHops = 64;

// The same each time.
template <class Values>
void shuffle(Values& values) {
    std::shuffle(values.begin(), values.end(), std::minstd_rand(1));  // NOLINT
}

template <class Address>
void put(sockaddr_in6& to, const Address& address) {
    static_assert(sizeof address <= sizeof to);
    std::memcpy(&to, &address, sizeof address);
}

}  // namespace

UdpSender::UdpSender(const std::string& space, const Traffic& traffic, bool connected)
    : payload_(BENCH_IP_LENGTH - 8 - (traffic.family == Family::v4 ? 20U : 40U), '\0'),
      connected_(connected) {
    bench_range range = traffic.range;
    range.destinations = std::min(range.destinations, connected ? kMostConnected : kMostDestinations);
    for (__u32 i = 0; i < range.destinations; ++i) {
        const __u32 prefix = bench_prefix_of(&range, i), host = bench_host_of(&range, i);
        Address& to = addresses_.emplace_back();
        if (traffic.family == Family::v4) {
            sockaddr_in address{};
            address.sin_family = AF_INET;
            address.sin_port = htons(traffic.port);
            address.sin_addr.s_addr = htonl(bench_address4(prefix, host));
            put(to.value, address);
            to.length = sizeof address;
        } else {
            __u16 words[3];
            bench_address6(prefix, host, words);
            sockaddr_in6 address{};
            address.sin6_family = AF_INET6;
            address.sin6_port = htons(traffic.port);
            __u16* to_words = address.sin6_addr.s6_addr16;
            to_words[0] = htons(0xfd20);
            to_words[1] = htons(words[0]);
            to_words[2] = htons(words[1]);
            to_words[7] = htons(words[2]);
            put(to.value, address);
            to.length = sizeof address;
        }
    }
    shuffle(addresses_);
    inside(space, [&] { open_sockets(traffic.family, connected); });
}

void UdpSender::open_sockets(Family family, bool connected) {
    const std::size_t count = connected ? addresses_.size() : 1;
    for (std::size_t i = 0; i < count; ++i) {
        const int domain = family == Family::v4 ? AF_INET : AF_INET6;
        sockets_.emplace_back(must_call(::socket(domain, SOCK_DGRAM | SOCK_CLOEXEC, 0), "make a socket"));
        if (connected)
            must_call(::connect(sockets_[i].get(), reinterpret_cast<const sockaddr*>(&addresses_[i].value),
                                addresses_[i].length),
                      "connect a socket");
    }
}

void UdpSender::run(std::uint64_t packets) {
    for (std::uint64_t i = 0; i < packets; ++i) {
        const Address& to = addresses_[next_];
        // What the kernel refuses doesn't arrive, and that is counted.
        if (connected_)
            (void)::send(sockets_[next_].get(), payload_.data(), payload_.size(), 0);
        else
            (void)::sendto(sockets_[0].get(), payload_.data(), payload_.size(), 0,
                           reinterpret_cast<const sockaddr*>(&to.value), to.length);
        next_ = next_ + 1 == addresses_.size() ? 0 : next_ + 1;
    }
}

TunWriter::TunWriter(int fd, const Traffic& traffic) : fd_(fd) {
    Traffic bounded = traffic;
    bounded.range.destinations = std::min(traffic.range.destinations, kMostDestinations);
    const bench_frame frame = make_frame(bounded, std::string(6, '\0'));
    for (__u32 i = 0; i < bounded.range.destinations; ++i)
        packets_.push_back(packet_to(frame, traffic.family, i, kHops).substr(kEthernet));
    shuffle(packets_);
}

void TunWriter::run(std::uint64_t packets) {
    for (std::uint64_t i = 0; i < packets; ++i) {
        const std::string& packet = packets_[next_];
        must_call(static_cast<int>(::write(fd_, packet.data(), packet.size())), "write to a TUN device");
        next_ = next_ + 1 == packets_.size() ? 0 : next_ + 1;
    }
}

}  // namespace wglan::bench
