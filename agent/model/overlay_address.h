// SPDX-License-Identifier: Apache-2.0
// Addresses that a node gives itself. Pure; test vectors in docs/addresses.md.
#pragma once

#include <array>
#include <optional>
#include <string_view>
#include <vector>

#include "agent/base/ip.h"
#include "agent/base/keys.h"
#include "agent/model/network.h"

namespace wglan {

using MacAddress = std::array<std::uint8_t, 6>;

// The default overlay network, as the original WgLAN used it.
Prefix default_overlay_prefix();  // 0200:1001::/64

// fd00::/8 filled with SHA-256 of the discovery ID's 64 hex digits (ASCII), as a /64 (RFC 4193 form).
Prefix ula_prefix(std::string_view discovery_id);

// RFC 4291 appendix A: MAC split by ff:fe, universal/local bit flipped. `network` must be a /64.
IpAddress eui64_address(const Prefix& network, const MacAddress& mac);

// Interface identifier = the first 64 bits of SHA-256 of the 32 key bytes.
IpAddress key_address(const Prefix& network, const PublicKey& key);

// The MAC that names this host: of the first physical link by name, then of the first link whose
// MAC isn't random per boot. `own_interface` and loopback never count.
std::optional<MacAddress> host_mac(const std::vector<Link>& links, std::string_view own_interface);

// For wglan0 on a node without IPv4: a 169.254.0.0/16 address by hash of the key, outside the ranges
// that clouds and CNIs use (.0.x-.1.x, .20.x, .169.x-.172.x, .254.x-.255.x) and never .0 or .255 at the end.
IpAddress link_scope_ipv4(const PublicKey& key);

}  // namespace wglan
