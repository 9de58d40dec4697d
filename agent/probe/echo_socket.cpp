// SPDX-License-Identifier: Apache-2.0
#include "agent/probe/echo_socket.h"

#include <linux/filter.h>
#include <linux/icmpv6.h>
#include <netinet/in.h>
#include <sodium.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace wglan {
namespace {

constexpr int kReceiveBuffer = 1 << 20;  // a thousand peers may answer at once
constexpr int kMostReads = 512;
constexpr std::uint32_t kIdentifierAt = 4;  // a raw ICMPv6 socket's filter sees the ICMPv6 header first
constexpr std::uint32_t kDataAt = 8, kDeaf = 0x77676c64;  // "wgld", see echo_codec.h

// Everybody's echo replies come to a raw socket, and requests besides; only our replies shall wake us, and
// requests of agents that hear nothing.
Result<> filter_others(int fd, std::uint16_t identifier) {
    icmp6_filter types{};
    std::memset(&types, 0xff, sizeof types);  // 1 = blocked (RFC 3542 section 3.2)
    for (const int type : {ICMPV6_ECHO_REPLY, ICMPV6_ECHO_REQUEST})
        types.data[type >> 5] &= ~(1U << (type & 31));
    if (::setsockopt(fd, IPPROTO_ICMPV6, ICMPV6_FILTER, &types, sizeof types) != 0)
        return fail_errno("filter ICMPv6 types");
    // A load beyond the end drops the packet, as it should.
    std::array<sock_filter, 8> program{
        {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ICMPV6_ECHO_REPLY, 0, 2),
         BPF_STMT(BPF_LD | BPF_H | BPF_ABS, kIdentifierAt),
         BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, identifier, 2, 3), BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kDataAt),
         BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kDeaf, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
         BPF_STMT(BPF_RET | BPF_K, 0)}};
    const sock_fprog attached{static_cast<unsigned short>(program.size()), program.data()};
    if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &attached, sizeof attached) != 0)
        return fail_errno("filter echo replies");
    return {};
}

sockaddr_in6 socket_address(const IpAddress& address) {
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    const auto bytes = address.mapped();
    std::memcpy(&to.sin6_addr, bytes.data(), bytes.size());
    return to;
}

}  // namespace

EchoSocket::EchoSocket(UniqueFd fd, bool raw)
    : fd_(std::move(fd)), raw_(raw), identifier_(static_cast<std::uint16_t>(randombytes_random())) {
    randombytes_buf(key_.data(), key_.size());
}

Result<EchoSocket> EchoSocket::open() {
    const int flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
    UniqueFd fd(::socket(AF_INET6, SOCK_RAW | flags, IPPROTO_ICMPV6));
    const bool raw = fd.valid();
    if (!raw) fd.reset(::socket(AF_INET6, SOCK_DGRAM | flags, IPPROTO_ICMPV6));
    if (!fd.valid()) return fail_errno("open a socket for echoes");
    EchoSocket socket(std::move(fd), raw);
    if (raw)
        if (auto filtered = filter_others(socket.fd(), socket.identifier_); !filtered)
            return Failure(filtered.error());
    if (::setsockopt(socket.fd(), SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer, sizeof kReceiveBuffer) != 0)
        (void)::setsockopt(socket.fd(), SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof kReceiveBuffer);
    return socket;
}

Result<> EchoSocket::send(const IpAddress& to, int ifindex, std::uint64_t number, bool deaf) {
    EchoBytes bytes = encode_echo_request(key_, identifier_, number, to, deaf);
    sockaddr_in6 destination = socket_address(to);
    iovec data{bytes.data(), bytes.size()};
    alignas(cmsghdr) std::array<std::uint8_t, CMSG_SPACE(sizeof(in6_pktinfo))> control{};
    msghdr message{};
    message.msg_name = &destination;
    message.msg_namelen = sizeof destination;
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    // RFC 3542 section 6.1. Linux takes the device for a hint unless the source is left to it
    // (ip6_route_output_flags in net/ipv6/route.c).
    in6_pktinfo way{};
    way.ipi6_ifindex = static_cast<unsigned>(ifindex);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = IPPROTO_IPV6;
    header->cmsg_type = IPV6_PKTINFO;
    header->cmsg_len = CMSG_LEN(sizeof way);
    std::memcpy(CMSG_DATA(header), &way, sizeof way);
    if (::sendmsg(fd_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return fail_errno("send an echo to " + to.to_string());
    return {};
}

EchoSocket::News EchoSocket::read() {
    News news;
    std::array<std::uint8_t, 64> buffer{};
    for (int i = 0; i < kMostReads; ++i) {
        sockaddr_in6 from{};
        socklen_t length = sizeof from;
        const ssize_t got = ::recvfrom(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT,
                                       reinterpret_cast<sockaddr*>(&from), &length);
        if (got < 0 && errno == EINTR) continue;
        // What else is wrong is an ICMPv6 error about an earlier probe, told once; or nothing is left.
        if (got < 0 && errno != EAGAIN) continue;
        if (got < 0) break;
        std::array<std::uint8_t, 16> address{};
        std::memcpy(address.data(), &from.sin6_addr, address.size());
        const auto bytes = std::span(buffer).first(static_cast<std::size_t>(got));
        if (const auto number = decode_echo_reply(key_, bytes, IpAddress::v6(address)))
            news.echoes.push_back(*number);
        else if (is_deaf_request(bytes))
            news.deaf.push_back(IpAddress::v6(address));
    }
    return news;
}

}  // namespace wglan
