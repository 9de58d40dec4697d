// SPDX-License-Identifier: Apache-2.0
#include "agent/probe/opening.h"

#include <linux/icmp.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace wglan {
namespace {

constexpr std::size_t kIpHeader = 20, kIcmpHeader = 8, kUdpHeader = 8;
constexpr std::size_t kOptionsAt = kIpHeader, kUdpAt = 24, kMessageAt = kUdpAt + kUdpHeader;
constexpr std::uint8_t kTtl = 64;
constexpr std::uint8_t kNoRoom = 5;  // the pointer of an option of four bytes, behind its end
constexpr unsigned kFull = 15;
constexpr std::uint8_t kDataMessage = 4;  // whitepaper section 5.4.6
// The packet's identification, which comes back with an answer: that it is ours, and how many hosts it
// passes.
constexpr std::size_t kOurs = 0x7760, kOursMask = 0xfff0;
constexpr Seconds kAnswered{2};  // later answers are of no use
constexpr std::size_t kMostSent = 1024;
constexpr int kMostReads = 64;

void put16(OpeningBytes& bytes, std::size_t at, std::size_t value) {
    bytes[at] = static_cast<std::uint8_t>(value >> 8);
    bytes[at + 1] = static_cast<std::uint8_t>(value);
}

std::size_t get16(std::span<const std::uint8_t> bytes, std::size_t at) {
    return static_cast<std::size_t>(bytes[at] << 8 | bytes[at + 1]);
}

std::size_t header_length(std::span<const std::uint8_t> packet) {
    if (packet.size() < kIpHeader || packet[0] >> 4 != 4) return 0;
    const std::size_t length = static_cast<std::size_t>(packet[0] & 0xf) * 4;
    return length < kIpHeader ? 0 : length;
}

IpAddress address_at(std::span<const std::uint8_t> packet, std::size_t at) {
    return IpAddress::v4({packet[at], packet[at + 1], packet[at + 2], packet[at + 3]});
}

}  // namespace

// UDP without a checksum, which IPv4 allows: the source address isn't known yet.
OpeningBytes encode_opening(const Endpoint& to, std::uint16_t source_port, unsigned hosts) {
    OpeningBytes bytes{};
    bytes[0] = 4U << 4U | kUdpAt / 4;
    put16(bytes, 2, bytes.size());
    put16(bytes, 4, kOurs | hosts);
    bytes[8] = kTtl;
    bytes[9] = IPPROTO_UDP;
    const auto address = to.address.bytes();
    std::copy_n(address.begin(), 4, bytes.begin() + 16);
    bytes[kOptionsAt] = IPOPT_TIMESTAMP;
    bytes[kOptionsAt + 1] = kUdpAt - kOptionsAt;
    bytes[kOptionsAt + 2] = kNoRoom;
    bytes[kOptionsAt + 3] = static_cast<std::uint8_t>((kFull - hosts) << 4U | IPOPT_TS_TSONLY);
    put16(bytes, kUdpAt, source_port);
    put16(bytes, kUdpAt + 2, to.port);
    put16(bytes, kUdpAt + 4, bytes.size() - kUdpAt);
    bytes[kMessageAt] = kDataMessage;
    return bytes;
}

std::optional<OpeningAnswer> decode_opening_answer(std::span<const std::uint8_t> packet) {
    const std::size_t outer = header_length(packet);
    if (outer == 0 || packet.size() < outer + kIcmpHeader || packet[9] != IPPROTO_ICMP ||
        packet[outer] != ICMP_PARAMETERPROB)
        return std::nullopt;
    const auto ours = packet.subspan(outer + kIcmpHeader);
    const std::size_t inner = header_length(ours);
    if (inner == 0 || ours.size() < inner + kUdpHeader || ours[9] != IPPROTO_UDP ||
        (get16(ours, 4) & kOursMask) != kOurs)
        return std::nullopt;
    return OpeningAnswer{{address_at(ours, 16), static_cast<std::uint16_t>(get16(ours, inner + 2))},
                         address_at(packet, 12),
                         static_cast<unsigned>(get16(ours, 4) & ~kOursMask)};
}

unsigned Openings::begin(const Endpoint& to, SteadyTime now) {
    if (sent_.size() >= kMostSent)
        std::erase_if(sent_, [&](const auto& item) { return now - item.second.at > kAnswered; });
    if (sent_.size() < kMostSent) sent_.insert_or_assign(to, Sent{1, now});
    return 1;
}

std::optional<unsigned> Openings::answered(const OpeningAnswer& answer, SteadyTime now) {
    const auto it = sent_.find(answer.to);
    if (it == sent_.end() || it->second.hosts != answer.hosts) return std::nullopt;
    if (answer.from == answer.to.address || answer.hosts >= kMostOpened || now - it->second.at > kAnswered) {
        sent_.erase(it);
        return std::nullopt;
    }
    return ++it->second.hosts;
}

Result<OpeningSocket> OpeningSocket::open(std::uint32_t mark) {
    constexpr int kFlags = SOCK_CLOEXEC | SOCK_NONBLOCK;
    UniqueFd packets(::socket(AF_INET, SOCK_RAW | kFlags, IPPROTO_RAW));
    UniqueFd answers(::socket(AF_INET, SOCK_RAW | kFlags, IPPROTO_ICMP));
    if (!packets.valid() || !answers.valid()) return fail_errno("open a raw socket");
    if (::setsockopt(packets.get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark) != 0)
        return fail_errno("mark a socket");
    icmp_filter others{~(1U << ICMP_PARAMETERPROB)};  // 1 = blocked (raw(7))
    if (::setsockopt(answers.get(), SOL_RAW, ICMP_FILTER, &others, sizeof others) != 0)
        return fail_errno("filter ICMP types");
    return OpeningSocket(std::move(packets), std::move(answers));
}

Result<> OpeningSocket::send(const Endpoint& to, std::uint16_t source_port, unsigned hosts) {
    const OpeningBytes bytes = encode_opening(to, source_port, hosts);
    sockaddr_in where{};
    where.sin_family = AF_INET;
    std::memcpy(&where.sin_addr, to.address.bytes().data(), sizeof where.sin_addr);
    if (::sendto(packets_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&where), sizeof where) < 0)
        return fail_errno("open a way to " + to.to_string());
    return {};
}

std::vector<OpeningAnswer> OpeningSocket::read() {
    std::vector<OpeningAnswer> all;
    std::array<std::uint8_t, 256> buffer{};
    for (int i = 0; i < kMostReads; ++i) {
        const ssize_t got = ::recv(answers_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) break;
        if (const auto answer = decode_opening_answer(std::span(buffer).first(static_cast<std::size_t>(got))))
            all.push_back(*answer);
    }
    return all;
}

}  // namespace wglan
