// SPDX-License-Identifier: Apache-2.0
#include "agent/base/ip.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <string>

#include "agent/base/text.h"

namespace wglan {
namespace {

constexpr std::array<std::uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// Decimal without sign, blanks or leading zeros.
bool parse_decimal(std::string_view text, unsigned most, unsigned& out) {
    if (text.empty() || (text.size() > 1 && text.front() == '0')) return false;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc() && end == text.data() + text.size() && out <= most;
}

bool same_bits(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b, unsigned bits) {
    const std::size_t whole = bits / 8;
    if (!std::equal(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(whole), b.begin())) return false;
    const unsigned rest = bits % 8;
    if (rest == 0) return true;
    const auto mask = static_cast<std::uint8_t>(0xff00U >> rest);
    return ((a[whole] ^ b[whole]) & mask) == 0;
}

}  // namespace

IpAddress IpAddress::v4(std::array<std::uint8_t, 4> bytes) {
    IpAddress address;
    address.family_ = Family::v4;
    std::copy(bytes.begin(), bytes.end(), address.bytes_.begin());
    return address;
}

IpAddress IpAddress::v6(std::array<std::uint8_t, 16> bytes) {
    IpAddress address;
    address.bytes_ = bytes;
    return address;
}

Result<IpAddress> IpAddress::from_bytes(std::span<const std::uint8_t> bytes) {
    if (bytes.size() != 4 && bytes.size() != 16)
        return fail(ErrorKind::invalid,
                    "an IP address has 4 or 16 bytes, not " + std::to_string(bytes.size()));
    IpAddress address;
    address.family_ = bytes.size() == 4 ? Family::v4 : Family::v6;
    std::copy(bytes.begin(), bytes.end(), address.bytes_.begin());
    return address;
}

Result<IpAddress> IpAddress::parse(std::string_view text) {
    const auto bad = [&](std::string_view why) {
        return fail(ErrorKind::invalid, quote(text) + " is not an IP address" + std::string(why));
    };
    if (text.size() >= INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos) return bad("");
    const std::string terminated(text);
    IpAddress address;
    if (text.find(':') == std::string_view::npos) {
        address.family_ = Family::v4;
        if (inet_pton(AF_INET, terminated.c_str(), address.bytes_.data()) != 1) return bad("");
        return address;
    }
    if (text.find('%') != std::string_view::npos) return bad(": a zone has no place here");
    if (text.front() == '[') return bad(": brackets belong only before a port");
    if (inet_pton(AF_INET6, terminated.c_str(), address.bytes_.data()) != 1) return bad("");
    if (std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), address.bytes_.begin()))
        return bad(" we take: write an IPv4-mapped address as plain IPv4");
    return address;
}

std::array<std::uint8_t, 16> IpAddress::mapped() const {
    if (is_v6()) return bytes_;
    std::array<std::uint8_t, 16> out{};
    std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), out.begin());
    std::copy_n(bytes_.begin(), 4, out.begin() + 12);
    return out;
}

bool IpAddress::is_unspecified() const {
    return std::all_of(bytes_.begin(), bytes_.end(), [](std::uint8_t b) { return b == 0; });
}

bool IpAddress::is_loopback() const {
    if (is_v4()) return bytes_[0] == 127;
    return bytes_[15] == 1 && std::all_of(bytes_.begin(), bytes_.end() - 1, [](auto b) { return b == 0; });
}

bool IpAddress::is_link_local() const {
    if (is_v4()) return bytes_[0] == 169 && bytes_[1] == 254;
    return bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

bool IpAddress::is_multicast() const { return is_v4() ? (bytes_[0] & 0xf0) == 0xe0 : bytes_[0] == 0xff; }

bool IpAddress::is_broadcast() const {
    return is_v4() && std::all_of(bytes_.begin(), bytes_.begin() + 4, [](auto b) { return b == 0xff; });
}

bool IpAddress::is_private() const {
    if (is_v6()) return (bytes_[0] & 0xfe) == 0xfc;
    return bytes_[0] == 10 || (bytes_[0] == 172 && (bytes_[1] & 0xf0) == 16) ||
           (bytes_[0] == 192 && bytes_[1] == 168) || (bytes_[0] == 100 && (bytes_[1] & 0xc0) == 64);
}

bool IpAddress::is_global_unicast() const {
    return !is_unspecified() && !is_loopback() && !is_multicast() && !is_broadcast() && !is_link_local();
}

std::string IpAddress::to_string() const {
    std::array<char, INET6_ADDRSTRLEN> text{};
    inet_ntop(is_v4() ? AF_INET : AF_INET6, bytes_.data(), text.data(), text.size());
    return text.data();
}

Result<Prefix> Prefix::make(IpAddress address, unsigned length) {
    if (length > address.bit_length())
        return fail(ErrorKind::invalid, "prefix length " + std::to_string(length) + " is over " +
                                            std::to_string(address.bit_length()));
    std::array<std::uint8_t, 16> bytes{};
    const auto source = address.bytes();
    for (unsigned i = 0; i < source.size(); ++i) {
        const unsigned kept = std::clamp<int>(static_cast<int>(length) - static_cast<int>(i) * 8, 0, 8);
        bytes[i] = static_cast<std::uint8_t>(source[i] & (0xff00U >> kept));
    }
    Prefix prefix;
    prefix.address_ =
        address.is_v4() ? IpAddress::v4({bytes[0], bytes[1], bytes[2], bytes[3]}) : IpAddress::v6(bytes);
    prefix.length_ = static_cast<std::uint8_t>(length);
    return prefix;
}

Prefix Prefix::host(IpAddress address) {
    Prefix prefix;
    prefix.length_ = address.bit_length();
    prefix.address_ = address;
    return prefix;
}

Result<Prefix> Prefix::parse(std::string_view text) {
    const auto slash = text.find('/');
    auto address = IpAddress::parse(text.substr(0, slash));
    if (!address) return fail_with(address, quote(text) + " is not a prefix");
    if (slash == std::string_view::npos) return host(*address);
    unsigned length = 0;
    if (!parse_decimal(text.substr(slash + 1), address->bit_length(), length))
        return fail(ErrorKind::invalid, quote(text) + " is not a prefix: the length is a number from 0 to " +
                                            std::to_string(address->bit_length()));
    auto prefix = make(*address, length);
    if (prefix && prefix->address() != *address)
        return fail(ErrorKind::invalid,
                    quote(text) + " has host bits set; the network is " + prefix->to_string());
    return prefix;
}

bool Prefix::contains(const IpAddress& address) const {
    return family() == address.family() && same_bits(address_.bytes(), address.bytes(), length_);
}

bool Prefix::contains(const Prefix& other) const {
    return other.length_ >= length_ && contains(other.address_);
}

bool Prefix::overlaps(const Prefix& other) const { return contains(other) || other.contains(*this); }

std::string Prefix::to_string() const { return address_.to_string() + '/' + std::to_string(length_); }

}  // namespace wglan

std::size_t std::hash<wglan::IpAddress>::operator()(const wglan::IpAddress& address) const noexcept {
    const auto bytes = address.bytes();
    return std::hash<std::string_view>()({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::size_t std::hash<wglan::Prefix>::operator()(const wglan::Prefix& prefix) const noexcept {
    return std::hash<wglan::IpAddress>()(prefix.address()) * 31 + prefix.length();
}

std::size_t std::hash<wglan::Endpoint>::operator()(const wglan::Endpoint& endpoint) const noexcept {
    return std::hash<wglan::IpAddress>()(endpoint.address) * 31 + endpoint.port;
}
