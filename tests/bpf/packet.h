// SPDX-License-Identifier: Apache-2.0
// Packets as bytes, with right checksums unless a test breaks them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace wglan::test {

using Bytes = std::vector<std::uint8_t>;

Bytes operator+(Bytes left, const Bytes& right);
Bytes filler(std::size_t size);  // a pattern
std::string hex(const Bytes& bytes);

// RFC 1071, of bytes in network order.
std::uint16_t internet_checksum(const Bytes& bytes, std::uint32_t seed = 0);

Bytes udp(std::uint16_t source, std::uint16_t destination, const Bytes& payload = filler(16));
struct TcpFlags {
    static constexpr std::uint8_t fin = 1, syn = 2, rst = 4, ack = 16;
};
Bytes tcp(std::uint8_t flags, const Bytes& options = {}, const Bytes& payload = {});
Bytes mss(std::uint16_t value);  // the option
Bytes icmp(std::uint8_t type, std::uint8_t code = 0, const Bytes& rest = filler(12));

// An IP packet. The transport's checksum is filled in from the addresses.
struct Ip {
    std::string source{}, destination{};  // of one family
    std::uint8_t protocol = 17;
    Bytes transport = udp(1000, 2000);

    Bytes options{};                   // IPv4: multiple of 4
    std::uint16_t fragment = 0x4000;   // IPv4: flags and offset as on the wire; default DF
    Bytes extensions{};                // IPv6: complete headers; the last one's next header is `protocol`
    std::uint8_t first_extension = 0;  // type of the first of them
    std::uint8_t ttl = 61;

    Bytes bytes() const;
    bool is_v4() const { return source.find(':') == std::string::npos; }
};

inline constexpr std::uint8_t kSourceMac[6] = {0x02, 0, 0, 0, 0, 0x01};
inline constexpr std::uint8_t kDestinationMac[6] = {0x02, 0, 0, 0, 0, 0x02};
// With an Ethernet header.
Bytes frame(const Ip& packet);
Bytes frame(std::uint16_t type, const Bytes& payload);

}  // namespace wglan::test
