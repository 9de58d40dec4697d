// SPDX-License-Identifier: Apache-2.0
#include "agent/model/overlay_address.h"

#include <algorithm>

namespace wglan {
namespace {

IpAddress join(const Prefix& network, std::span<const std::uint8_t> identifier) {
    std::array<std::uint8_t, 16> bytes{};
    const auto high = network.address().mapped();
    std::copy_n(high.begin(), 8, bytes.begin());
    std::copy_n(identifier.begin(), 8, bytes.begin() + 8);
    return IpAddress::v6(bytes);
}

bool reserved_link_local_block(std::uint8_t third) {
    return third <= 1 || third == 20 || (third >= 169 && third <= 172) || third >= 254;
}

}  // namespace

Prefix default_overlay_prefix() {
    return Prefix::make(IpAddress::v6({0x02, 0x00, 0x10, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}), 64)
        .value();
}

Prefix ula_prefix(std::string_view discovery_id) {
    const auto hash = sha256(as_bytes(discovery_id));
    std::array<std::uint8_t, 16> bytes{0xfd};
    std::copy_n(hash.begin(), 7, bytes.begin() + 1);
    return Prefix::make(IpAddress::v6(bytes), 64).value();
}

IpAddress eui64_address(const Prefix& network, const MacAddress& mac) {
    const std::array<std::uint8_t, 8> identifier{
        static_cast<std::uint8_t>(mac[0] ^ 0x02), mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]};
    return join(network, identifier);
}

IpAddress key_address(const Prefix& network, const PublicKey& key) {
    const auto hash = sha256(key.bytes);
    return join(network, std::span(hash).first(8));
}

std::optional<MacAddress> host_mac(const std::vector<Link>& links, std::string_view own_interface) {
    const Link* best = nullptr;
    for (const Link& link : links) {
        if (!link.has_mac || link.loopback || link.name == own_interface) continue;
        if (!link.physical && !link.mac_stable) continue;
        const bool better =
            best == nullptr || (link.physical != best->physical ? link.physical : link.name < best->name);
        if (better) best = &link;
    }
    if (best == nullptr) return std::nullopt;
    return best->mac;
}

IpAddress link_scope_ipv4(const PublicKey& key) {
    auto hash = sha256(key.bytes);
    for (;;) {
        for (std::size_t i = 0; i + 1 < hash.size(); i += 2) {
            const std::uint8_t third = hash[i];
            const std::uint8_t fourth = hash[i + 1];
            if (!reserved_link_local_block(third) && fourth != 0 && fourth != 255)
                return IpAddress::v4({169, 254, third, fourth});
        }
        hash = sha256(hash);
    }
}

}  // namespace wglan
