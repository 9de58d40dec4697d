// SPDX-License-Identifier: Apache-2.0
// A WireGuard device in memory that understands the netlink requests as drivers/net/wireguard/netlink.c
// does, and writes dumps like it; and secrets to go with it.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "agent/wireguard/netlink_codec.h"

namespace wglan::test {

PublicKey key_of(std::uint32_t number);
Prefix prefix_of(std::string_view text);

// Preshared key n of peer n is 32 bytes of n's last byte, or none where told so.
struct FakeSecrets final : WgSecrets {
    std::array<std::uint8_t, 32> own{};
    std::set<PublicKey> without;
    std::set<PublicKey> failing;

    FakeSecrets() { own.fill(0x42); }
    std::span<const std::uint8_t> private_key() const override { return own; }
    Result<std::optional<WipedKey>> preshared_key(const PublicKey& peer) const override;
};

class FakeDevice {
public:
    struct Peer {
        std::optional<std::array<std::uint8_t, 32>> preshared;
        std::optional<Endpoint> endpoint;
        std::uint16_t keepalive_s = 0;
        bool operator==(const Peer&) const = default;
    };

    // Takes one request; errno (positive) if the kernel would refuse it.
    int apply(std::span<const std::uint8_t> message);
    // Dump messages of at most `most` bytes, DONE included.
    std::vector<std::vector<std::uint8_t>> dump(std::uint32_t sequence, std::size_t most) const;

    bool knows_removal = true;  // WGALLOWEDIP_F_REMOVE_ME
    std::map<PublicKey, Peer> peers;
    std::map<Prefix, PublicKey> allowed_ips;  // who owns what
    std::vector<PublicKey> peers_made;        // in order, throw-away ones too
    std::optional<std::array<std::uint8_t, 32>> private_key;
    std::optional<std::uint16_t> listen_port;
    std::optional<std::uint32_t> firewall_mark;
    std::string interface;

private:
    int set_peer(std::span<const std::uint8_t> attributes);
    int set_allowed_ip(std::span<const std::uint8_t> attributes, const PublicKey& key);
};

// The attributes of a netlink message or nest, in order. Aborts the test program on a malformed one.
std::vector<std::pair<std::uint16_t, std::span<const std::uint8_t>>> attributes_of(
    std::span<const std::uint8_t> bytes);

}  // namespace wglan::test
