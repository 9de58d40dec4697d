// SPDX-License-Identifier: Apache-2.0
// A WireGuard device as values. Absent = the kernel's default: no endpoint, keepalive 0, no
// preshared key (zero fingerprint). Secrets never stand here.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/ip.h"
#include "agent/base/keys.h"

namespace wglan {

struct WgPeer {
    PublicKey key;
    std::optional<Endpoint> endpoint;
    std::uint16_t keepalive_s = 0;
    SecretFingerprint preshared;      // fingerprint() of the key; zero = none
    std::vector<Prefix> allowed_ips;  // sorted, unique
    bool operator==(const WgPeer&) const = default;
};

struct WgPeerStats {
    UnixTime last_handshake = 0;  // 0 = never
    std::uint32_t last_handshake_ns = 0;
    std::uint64_t rx_bytes = 0;
    std::uint64_t tx_bytes = 0;
};

struct WgObservedPeer {
    WgPeer peer;
    WgPeerStats stats;
};

struct WgDevice {
    PublicKey public_key;           // zero = no private key set
    std::uint16_t listen_port = 0;  // host order
    std::uint32_t firewall_mark = 0;
    std::vector<WgObservedPeer> peers;
};

// One peer's change; only what is named is touched.
struct WgPeerChange {
    enum class Kind { add, update, remove };
    Kind kind = Kind::update;
    PublicKey key;
    std::optional<Endpoint> endpoint;          // set if present
    std::optional<std::uint16_t> keepalive_s;  // set if present
    bool set_preshared = false;                // fetch it from the PresharedKeys and set (or clear) it
    std::vector<Prefix> add_allowed_ips;       // moves the prefix if another peer has it
    std::vector<Prefix> remove_allowed_ips;    // prefixes that no peer shall have
    bool operator==(const WgPeerChange&) const = default;
};

struct WgDeviceChange {
    bool set_private_key = false;  // from the key that the backend was given
    std::optional<std::uint16_t> listen_port;
    std::optional<std::uint32_t> firewall_mark;
    bool operator==(const WgDeviceChange&) const = default;
    bool empty() const { return !set_private_key && !listen_port && !firewall_mark; }
};

}  // namespace wglan
