// SPDX-License-Identifier: Apache-2.0
#include "agent/reach/reach_socket.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "agent/base/overlay_udp.h"

namespace wglan {
namespace {

constexpr int kMostReads = 64;
constexpr int kFlags = SOCK_CLOEXEC | SOCK_NONBLOCK;
constexpr std::uint32_t kUdp = 8, kIpv6 = 40;
constexpr std::uint32_t kData = 0x04000000, kKnockWord = 0x77676b6e;  // "wgkn"

sockaddr_storage socket_address(const Endpoint& endpoint, socklen_t& length) {
    sockaddr_storage storage{};
    const auto bytes = endpoint.address.bytes();
    if (endpoint.address.is_v4()) {
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(endpoint.port);
        std::memcpy(&to.sin_addr, bytes.data(), bytes.size());
        length = sizeof to;
        std::memcpy(&storage, &to, sizeof to);
    } else {
        sockaddr_in6 to{};
        to.sin6_family = AF_INET6;
        to.sin6_port = htons(endpoint.port);
        std::memcpy(&to.sin6_addr, bytes.data(), bytes.size());
        length = sizeof to;
        std::memcpy(&storage, &to, sizeof to);
    }
    return storage;
}

Result<> attach(int fd, std::span<sock_filter> program) {
    const sock_fprog attached{static_cast<unsigned short>(program.size()), program.data()};
    if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &attached, sizeof attached) != 0)
        return fail_errno("filter knocks");
    return {};
}

// Where the IP header comes first: a raw IPv4 socket, and a packet socket without link headers. IPv4 with
// options, IPv6 without extension headers.
Result<> filter_ip(int fd, std::uint16_t port) {
    constexpr std::uint8_t kDrop = 20;
    std::array<sock_filter, 21> program{{
        /* 0*/ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        /* 1*/ BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4),
        /* 2*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 4, 0, 9 - 3),
        /* 3*/ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
        /* 4*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, kDrop - 5),
        /* 5*/ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 6),
        /* 6*/ BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x1fff, kDrop - 7, 0),  // not the first fragment
        /* 7*/ BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
        /* 8*/ BPF_STMT(BPF_JMP | BPF_JA, 13 - 9),
        /* 9*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 6, 0, kDrop - 10),
        /*10*/ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 6),
        /*11*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, kDrop - 12),
        /*12*/ BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, kIpv6),
        /*13*/ BPF_STMT(BPF_LD | BPF_H | BPF_IND, 2),
        /*14*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 0, kDrop - 15),
        /*15*/ BPF_STMT(BPF_LD | BPF_W | BPF_IND, kUdp),
        /*16*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kData, 0, kDrop - 17),
        /*17*/ BPF_STMT(BPF_LD | BPF_W | BPF_IND, kUdp + 4),
        /*18*/ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kKnockWord, 0, kDrop - 19),
        /*19*/ BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
        /*20*/ BPF_STMT(BPF_RET | BPF_K, 0),
    }};
    return attach(fd, program);
}

// A raw IPv6 socket's filter sees the UDP header first.
Result<> filter_udp(int fd, std::uint16_t port) {
    std::array<sock_filter, 8> program{{
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 2),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 0, 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kUdp),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kData, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kUdp + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kKnockWord, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
        BPF_STMT(BPF_RET | BPF_K, 0),
    }};
    return attach(fd, program);
}

// What was queued before the filter stood is dropped.
void drain(int fd) {
    std::array<std::uint8_t, 1> byte{};
    for (int i = 0; i < kMostReads && ::recv(fd, byte.data(), byte.size(), MSG_DONTWAIT) >= 0; ++i) {
    }
}

struct Packet {
    IpAddress from;
    std::span<const std::uint8_t> payload;
};

// An IP packet's source and what follows its UDP header.
std::optional<Packet> open_packet(std::span<const std::uint8_t> bytes) {
    if (bytes.empty()) return std::nullopt;
    const bool v4 = bytes[0] >> 4 == 4;
    const std::size_t header = v4 ? static_cast<std::size_t>(bytes[0] & 0xf) * 4 : kIpv6;
    if (header < 20 || bytes.size() < header + kUdp) return std::nullopt;
    const auto source = v4 ? bytes.subspan(12, 4) : bytes.subspan(8, 16);
    auto from = IpAddress::from_bytes(source);
    if (!from) return std::nullopt;
    const auto udp = bytes.subspan(header);
    const auto length =
        static_cast<std::size_t>(udp[4] << 8 | udp[5]);  // the link may have padded the packet
    if (length < kUdp || length > udp.size()) return std::nullopt;
    return Packet{*from, udp.subspan(kUdp, length - kUdp)};
}

void add(std::vector<KnockListener::Arrival>& arrivals, const IpAddress& from,
         std::span<const std::uint8_t> payload, KnockStage stage) {
    if (const auto knock = decode_knock(payload)) arrivals.push_back({*knock, stage, from});
}

IpAddress address_of(const sockaddr_in6& from) {
    std::array<std::uint8_t, 16> bytes{};
    std::memcpy(bytes.data(), &from.sin6_addr, bytes.size());
    return IpAddress::v6(bytes);
}

}  // namespace

Result<ReachSocket> ReachSocket::open(const IpAddress& overlay, const std::string& device) {
    auto fd = open_overlay_udp(overlay, device, kReachPort, "peers' questions");
    if (!fd) return Failure(fd.error());
    return ReachSocket(std::move(*fd));
}

Result<> ReachSocket::send(const IpAddress& to, std::span<const std::uint8_t> bytes) {
    return send_overlay_udp(fd_.get(), to, kReachPort, bytes);
}

std::vector<ReachSocket::Datagram> ReachSocket::read() {
    std::vector<Datagram> all;
    read_overlay_udp(fd_.get(), kReachPort, kReachLength, kMostReads,
                     [&](const IpAddress& from, std::span<const std::uint8_t> bytes) {
                         all.push_back({from, {bytes.begin(), bytes.end()}});
                     });
    return all;
}

Result<> send_knock(const Knock& knock, std::uint32_t mark) {
    const int family = knock.target.address.is_v4() ? AF_INET : AF_INET6;
    const UniqueFd fd(::socket(family, SOCK_DGRAM | kFlags, IPPROTO_UDP));
    if (!fd.valid()) return fail_errno("open a socket to knock");
    // Without it the packet might go into the tunnel, and prove nothing.
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark) != 0)
        return fail_errno("mark a socket");
    const KnockBytes bytes = encode_knock(knock);
    socklen_t length = 0;
    const auto where = socket_address(knock.target, length);
    if (::sendto(fd.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&where), length) < 0)
        return fail_errno("knock at " + knock.target.to_string());
    return {};
}

Result<KnockListener> KnockListener::open(std::uint16_t listen_port) {
    KnockListener listener;
    listener.raw4_.reset(::socket(AF_INET, SOCK_RAW | kFlags, IPPROTO_UDP));
    if (!listener.raw4_.valid()) return fail_errno("open a raw socket");
    if (auto filtered = filter_ip(listener.raw4_.get(), listen_port); !filtered)
        return Failure(filtered.error());
    drain(listener.raw4_.get());
    // Of no protocol it hears nothing until it is bound: not everything, until the filter stands.
    listener.packet_.reset(::socket(AF_PACKET, SOCK_DGRAM | kFlags, 0));
    if (!listener.packet_.valid()) return fail_errno("open a packet socket");
    if (auto filtered = filter_ip(listener.packet_.get(), listen_port); !filtered)
        return Failure(filtered.error());
    sockaddr_ll everywhere{};
    everywhere.sll_family = AF_PACKET;
    everywhere.sll_protocol = htons(ETH_P_ALL);
    if (::bind(listener.packet_.get(), reinterpret_cast<const sockaddr*>(&everywhere), sizeof everywhere) !=
        0)
        return fail_errno("bind a packet socket");
    // A host without IPv6 has none.
    listener.raw6_.reset(::socket(AF_INET6, SOCK_RAW | kFlags, IPPROTO_UDP));
    if (!listener.raw6_.valid()) return listener;
    if (auto filtered = filter_udp(listener.raw6_.get(), listen_port); !filtered)
        return Failure(filtered.error());
    drain(listener.raw6_.get());
    return listener;
}

std::vector<KnockListener::Arrival> KnockListener::read() {
    std::vector<Arrival> arrivals;
    std::array<std::uint8_t, 256> buffer{};
    const auto bytes = [&](ssize_t got) { return std::span(buffer).first(static_cast<std::size_t>(got)); };
    for (int i = 0; i < kMostReads; ++i) {
        sockaddr_ll link{};
        socklen_t length = sizeof link;
        const ssize_t got = ::recvfrom(packet_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT,
                                       reinterpret_cast<sockaddr*>(&link), &length);
        if (got < 0) break;
        // What this host itself sends is seen there too.
        if (link.sll_pkttype == PACKET_OUTGOING) continue;
        if (const auto packet = open_packet(bytes(got)))
            add(arrivals, packet->from, packet->payload, KnockStage::device);
    }
    for (int i = 0; i < kMostReads; ++i) {
        const ssize_t got = ::recv(raw4_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got < 0) break;
        if (const auto packet = open_packet(bytes(got)))
            add(arrivals, packet->from, packet->payload, KnockStage::delivered);
    }
    for (int i = 0; raw6_.valid() && i < kMostReads; ++i) {
        sockaddr_in6 from{};
        socklen_t length = sizeof from;
        const ssize_t got = ::recvfrom(raw6_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT,
                                       reinterpret_cast<sockaddr*>(&from), &length);
        if (got < 0) break;
        if (static_cast<std::size_t>(got) >= kUdp)
            add(arrivals, address_of(from), bytes(got).subspan(kUdp), KnockStage::delivered);
    }
    return arrivals;
}

}  // namespace wglan
