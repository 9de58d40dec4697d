// SPDX-License-Identifier: Apache-2.0
#include "tests/bpf/packet.h"

#include <arpa/inet.h>

#include <algorithm>

namespace wglan::test {

namespace {

void put16(Bytes& bytes, std::size_t offset, std::uint32_t value) {
    bytes.at(offset) = static_cast<std::uint8_t>(value >> 8);
    bytes.at(offset + 1) = static_cast<std::uint8_t>(value);
}

Bytes address(const std::string& text) {
    Bytes bytes(text.find(':') == std::string::npos ? 4 : 16);
    ::inet_pton(bytes.size() == 4 ? AF_INET : AF_INET6, text.c_str(), bytes.data());
    return bytes;
}

// Offset of the checksum; -1 for a protocol without one.
int checksum_offset(std::uint8_t protocol) {
    switch (protocol) {
        case 6:
            return 16;
        case 17:
            return 6;
        case 1:
        case 58:
            return 2;
        default:
            return -1;
    }
}

Bytes with_checksum(Bytes transport, std::uint8_t protocol, const Bytes& source, const Bytes& destination) {
    const int offset = checksum_offset(protocol);
    if (offset < 0 || transport.size() < static_cast<std::size_t>(offset) + 2) return transport;
    const auto place = static_cast<std::size_t>(offset);
    put16(transport, place, 0);
    Bytes pseudo;
    if (protocol != 1) {
        pseudo = source + destination + Bytes{0, 0, 0, 0, 0, 0, 0, protocol};
        put16(pseudo, pseudo.size() - 6, static_cast<std::uint32_t>(transport.size()));
    }
    put16(transport, place, internet_checksum(pseudo + transport));
    return transport;
}

}  // namespace

Bytes operator+(Bytes left, const Bytes& right) {
    left.insert(left.end(), right.begin(), right.end());
    return left;
}

Bytes filler(std::size_t size) {
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 7 + 3);
    return bytes;
}

std::string hex(const Bytes& bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (const auto byte : bytes) {
        text += kDigits[byte >> 4];
        text += kDigits[byte & 15];
    }
    return text;
}

std::uint16_t internet_checksum(const Bytes& bytes, std::uint32_t seed) {
    std::uint32_t sum = seed;
    for (std::size_t i = 0; i < bytes.size(); ++i)
        sum += i % 2 == 0 ? static_cast<std::uint32_t>(bytes[i]) << 8 : bytes[i];
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint16_t>(~sum);
}

Bytes udp(std::uint16_t source, std::uint16_t destination, const Bytes& payload) {
    Bytes bytes(8);
    put16(bytes, 0, source);
    put16(bytes, 2, destination);
    put16(bytes, 4, static_cast<std::uint32_t>(8 + payload.size()));
    return bytes + payload;
}

Bytes tcp(std::uint8_t flags, const Bytes& options, const Bytes& payload) {
    Bytes bytes(20);
    put16(bytes, 0, 40000);
    put16(bytes, 2, 443);
    bytes[7] = 9;
    bytes[12] = static_cast<std::uint8_t>((20 + options.size()) / 4 << 4);
    bytes[13] = flags;
    put16(bytes, 14, 64240);
    return bytes + options + payload;
}

Bytes mss(std::uint16_t value) {
    return {2, 4, static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)};
}

Bytes icmp(std::uint8_t type, std::uint8_t code, const Bytes& rest) { return Bytes{type, code, 0, 0} + rest; }

Bytes Ip::bytes() const {
    const Bytes from = address(source), to = address(destination);
    const bool later = is_v4() && (fragment & 0x1fff) != 0;
    const Bytes body = later ? transport : with_checksum(transport, protocol, from, to);
    if (is_v4()) {
        Bytes head(20);
        head[0] = static_cast<std::uint8_t>(0x40 | (20 + options.size()) / 4);
        put16(head, 2, static_cast<std::uint32_t>(20 + options.size() + body.size()));
        put16(head, 4, 0x1234);
        put16(head, 6, fragment);
        head[8] = ttl;
        head[9] = protocol;
        std::copy(from.begin(), from.end(), head.begin() + 12);
        std::copy(to.begin(), to.end(), head.begin() + 16);
        head = head + options;
        put16(head, 10, internet_checksum(head));
        return head + body;
    }
    Bytes head(8);
    head[0] = 0x60;
    put16(head, 4, static_cast<std::uint32_t>(extensions.size() + body.size()));
    head[6] = extensions.empty() ? protocol : first_extension;
    head[7] = ttl;
    return head + from + to + extensions + body;
}

Bytes frame(const Ip& packet) { return frame(packet.is_v4() ? 0x0800 : 0x86dd, packet.bytes()); }

Bytes frame(std::uint16_t type, const Bytes& payload) {
    Bytes bytes(std::begin(kDestinationMac), std::end(kDestinationMac));
    bytes.insert(bytes.end(), std::begin(kSourceMac), std::end(kSourceMac));
    bytes.resize(14);
    put16(bytes, 12, type);
    return bytes + payload;
}

}  // namespace wglan::test
