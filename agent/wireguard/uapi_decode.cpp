// SPDX-License-Identifier: Apache-2.0
#include <sodium.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>

#include "agent/wireguard/uapi_codec.h"

namespace wglan {
namespace {

constexpr std::size_t kMostPeers = 1U << 16;  // MaxPeers of wireguard-go
constexpr std::size_t kMostPrefixes = 1U << 20;

// Names the key only: a value may be a secret.
Failure nonsense(std::string_view key) {
    return fail(ErrorKind::protocol,
                "WireGuard's answer: the value of " + std::string(key) + " makes no sense");
}

template <class T>
Result<> number(T& out, std::string_view key, std::string_view text) {
    T value{};
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (problem != std::errc{} || end != text.data() + text.size() || text.empty()) return nonsense(key);
    out = value;
    return {};
}

Result<> key_bytes(std::array<std::uint8_t, 32>& out, std::string_view key, std::string_view hex) {
    std::size_t length = 0;
    const char* end = nullptr;
    if (sodium_hex2bin(out.data(), out.size(), hex.data(), hex.size(), nullptr, &length, &end) != 0 ||
        length != out.size() || end != hex.data() + hex.size())
        return nonsense(key);
    return {};
}

// wireguard-go writes a zone behind a link-local address, and newer ones an IPv4 address in IPv6's clothes.
Result<Endpoint> endpoint_of(std::string_view text) {
    std::string plain(text);
    const auto bracket = plain.find(']');
    if (const auto zone = plain.find('%');
        zone != std::string::npos && bracket != std::string::npos && zone < bracket)
        plain.erase(zone, bracket - zone);
    constexpr std::string_view kMapped = "[::ffff:";
    if (plain.starts_with(kMapped) && plain.find('.') != std::string::npos) {
        plain.erase(0, kMapped.size());
        if (const auto close = plain.find(']'); close != std::string::npos) plain.erase(close, 1);
    }
    return Endpoint::parse(plain);
}

}  // namespace

UapiReply::~UapiReply() { sodium_memzero(pending_.data(), pending_.size()); }

Result<bool> UapiReply::feed(std::string_view bytes) {
    while (!bytes.empty()) {
        if (whole_) return fail(ErrorKind::protocol, "WireGuard's answer: bytes after its end");
        const auto end = bytes.find('\n');
        const std::string_view part = bytes.substr(0, end);
        if (pending_size_ + part.size() > pending_.size())
            return fail(ErrorKind::protocol, "WireGuard's answer: a line that is too long");
        std::copy(part.begin(), part.end(), pending_.begin() + static_cast<std::ptrdiff_t>(pending_size_));
        pending_size_ += part.size();
        if (end == std::string_view::npos) return false;
        bytes.remove_prefix(end + 1);
        Result<> taken = line({pending_.data(), pending_size_});
        sodium_memzero(pending_.data(), pending_size_);
        pending_size_ = 0;
        if (!taken) return tl::make_unexpected(taken.error());
    }
    return whole_;
}

Result<> UapiReply::line(std::string_view text) {
    if (text.empty()) {
        if (!errno_) return fail(ErrorKind::protocol, "WireGuard's answer: it ends without errno");
        whole_ = true;
        // Some implementations report it negative.
        code_ = *errno_ < 0 ? -*errno_ : *errno_;
        return {};
    }
    const auto equals = text.find('=');
    if (equals == std::string_view::npos || equals == 0 || errno_)
        return fail(ErrorKind::protocol, "WireGuard's answer: a line that is no `key=value`");
    const std::string_view key = text.substr(0, equals);
    const std::string_view value = text.substr(equals + 1);
    if (key == "errno") {
        int code = 0;
        if (auto read = number(code, key, value); !read) return read;
        if (code == std::numeric_limits<int>::min()) return nonsense(key);
        errno_ = code;
        return {};
    }
    if (key == "public_key") {
        if (device_.peers.size() >= kMostPeers)
            return fail(ErrorKind::exhausted, "WireGuard's answer: too many peers");
        return key_bytes(device_.peers.emplace_back().peer.key.bytes, key, value);
    }
    return device_.peers.empty() ? device_line(key, value) : peer_line(key, value);
}

Result<> UapiReply::device_line(std::string_view key, std::string_view value) {
    if (key == "listen_port") return number(device_.listen_port, key, value);
    if (key == "fwmark") return number(device_.firewall_mark, key, value);
    if (key != "private_key") return {};
    WipedKey secret;
    if (auto read = key_bytes(secret.bytes, key, value); !read) return read;
    auto public_key = public_key_of(secret.bytes);
    if (!public_key) return nonsense(key);
    device_.public_key = *public_key;
    return {};
}

Result<> UapiReply::peer_line(std::string_view key, std::string_view value) {
    WgPeer& peer = device_.peers.back().peer;
    WgPeerStats& stats = device_.peers.back().stats;
    if (key == "persistent_keepalive_interval") return number(peer.keepalive_s, key, value);
    if (key == "last_handshake_time_sec") return number(stats.last_handshake, key, value);
    if (key == "last_handshake_time_nsec") return number(stats.last_handshake_ns, key, value);
    if (key == "tx_bytes") return number(stats.tx_bytes, key, value);
    if (key == "rx_bytes") return number(stats.rx_bytes, key, value);
    if (key == "preshared_key") {
        WipedKey secret;
        if (auto read = key_bytes(secret.bytes, key, value); !read) return read;
        peer.preshared = sodium_is_zero(secret.bytes.data(), secret.bytes.size()) != 0
                             ? SecretFingerprint{}
                             : fingerprint(secret.bytes);
    } else if (key == "endpoint") {
        auto endpoint = endpoint_of(value);
        if (!endpoint) return nonsense(key);
        peer.endpoint = *endpoint;
    } else if (key == "allowed_ip") {
        auto prefix = Prefix::parse(value);
        if (!prefix) return nonsense(key);
        if (++prefixes_ > kMostPrefixes)
            return fail(ErrorKind::exhausted, "WireGuard's answer: too many allowed IPs");
        peer.allowed_ips.push_back(*prefix);
    }
    return {};  // keys of later protocol versions
}

Result<WgDevice> UapiReply::take() {
    if (!whole_) return fail(ErrorKind::protocol, "WireGuard's answer: it is cut short");
    for (WgObservedPeer& seen : device_.peers) {
        auto& prefixes = seen.peer.allowed_ips;
        std::sort(prefixes.begin(), prefixes.end());
        prefixes.erase(std::unique(prefixes.begin(), prefixes.end()), prefixes.end());
    }
    return std::move(device_);
}

}  // namespace wglan
