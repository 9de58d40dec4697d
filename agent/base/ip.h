// SPDX-License-Identifier: Apache-2.0
// Addresses, prefixes and endpoints as values. Bytes are always in network order.
#pragma once

#include <endian.h>

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace wglan {

enum class Family : std::uint8_t { v4, v6 };

class IpAddress {
public:
    IpAddress() = default;  // :: (unspecified, v6)
    static IpAddress v4(std::array<std::uint8_t, 4> bytes);
    static IpAddress v6(std::array<std::uint8_t, 16> bytes);
    // 4 or 16 bytes in network order; anything else is an error.
    static Result<IpAddress> from_bytes(std::span<const std::uint8_t> bytes);
    // "192.0.2.1", "2001:db8::1"; no zone, no brackets, no leading zeros in IPv4.
    // IPv4-mapped IPv6 text is refused.
    static Result<IpAddress> parse(std::string_view text);

    Family family() const { return family_; }
    bool is_v4() const { return family_ == Family::v4; }
    bool is_v6() const { return family_ == Family::v6; }
    // 4 or 16 bytes, network order, valid as long as this object.
    std::span<const std::uint8_t> bytes() const { return {bytes_.data(), is_v4() ? 4U : 16U}; }
    // 16 bytes; IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2).
    std::array<std::uint8_t, 16> mapped() const;
    std::uint8_t bit_length() const { return is_v4() ? 32 : 128; }

    bool is_unspecified() const;
    bool is_loopback() const;
    bool is_link_local() const;  // 169.254/16, fe80::/10
    bool is_multicast() const;   // 224/4, ff00::/8
    bool is_broadcast() const;   // 255.255.255.255
    bool is_private() const;     // RFC 1918, RFC 6598 (100.64/10), RFC 4193 (fc00::/7)
    // Usable as somebody's unicast address on a network: none of unspecified, loopback,
    // multicast, broadcast, link-local.
    bool is_global_unicast() const;

    std::string to_string() const;  // RFC 5952 form
    bool operator==(const IpAddress&) const = default;
    // IPv4 before IPv6, then bytewise.
    std::strong_ordering operator<=>(const IpAddress& other) const {
        if (family_ != other.family_) return family_ <=> other.family_;
        std::uint64_t words[2], others[2];
        std::memcpy(words, bytes_.data(), sizeof words);
        std::memcpy(others, other.bytes_.data(), sizeof others);
        if (words[0] != others[0]) return be64toh(words[0]) <=> be64toh(others[0]);
        return be64toh(words[1]) <=> be64toh(others[1]);
    }

private:
    Family family_ = Family::v6;
    std::array<std::uint8_t, 16> bytes_{};  // IPv4 in the first four, the rest zero
};

// A network: address and length, host bits zero.
class Prefix {
public:
    Prefix() = default;  // ::/0
    // Clears the host bits. The length must be at most address.bit_length().
    static Result<Prefix> make(IpAddress address, unsigned length);
    static Prefix host(IpAddress address);  // /32 or /128
    // "10.0.0.0/8" or a bare address (a host prefix). Host bits that are set are an error
    // that names the network meant.
    static Result<Prefix> parse(std::string_view text);

    const IpAddress& address() const { return address_; }
    std::uint8_t length() const { return length_; }
    Family family() const { return address_.family(); }
    bool is_host() const { return length_ == address_.bit_length(); }
    bool is_default() const { return length_ == 0; }
    bool contains(const IpAddress& address) const;
    bool contains(const Prefix& other) const;  // equal counts
    bool overlaps(const Prefix& other) const;

    std::string to_string() const;  // always with "/length"
    auto operator<=>(const Prefix&) const = default;

private:
    IpAddress address_;
    std::uint8_t length_ = 0;
};

struct Endpoint {
    IpAddress address;
    std::uint16_t port = 0;  // host order

    // "192.0.2.1:51820", "[2001:db8::1]:51820"; port 1-65535.
    static Result<Endpoint> parse(std::string_view text);
    std::string to_string() const;
    auto operator<=>(const Endpoint&) const = default;
};

// "host:port" whose host is an address or a DNS name (RFC 1123, at most 253 characters).
struct HostPort {
    std::string host;
    std::uint16_t port = 0;

    static Result<HostPort> parse(std::string_view text);
    bool is_address() const;
    // The endpoint if the host is an address; not_found otherwise.
    Result<Endpoint> endpoint() const;
    std::string to_string() const;
    auto operator<=>(const HostPort&) const = default;
};

}  // namespace wglan

template <>
struct std::hash<wglan::IpAddress> {
    std::size_t operator()(const wglan::IpAddress& address) const noexcept;
};
template <>
struct std::hash<wglan::Prefix> {
    std::size_t operator()(const wglan::Prefix& prefix) const noexcept;
};
template <>
struct std::hash<wglan::Endpoint> {
    std::size_t operator()(const wglan::Endpoint& endpoint) const noexcept;
};
