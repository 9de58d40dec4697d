// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/wireguard/fake_device.h"

#include <linux/genetlink.h>
#include <linux/time_types.h>
#include <linux/wireguard.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <gtest/gtest.h>
#include <libmnl/libmnl.h>

namespace wglan::test {
namespace {

using Bytes = std::span<const std::uint8_t>;

template <class T>
T as(Bytes bytes) {
    T value{};
    if (bytes.size() != sizeof value) {
        ADD_FAILURE() << "attribute of " << bytes.size() << " bytes where " << sizeof value << " belong";
        return value;
    }
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

void put_allowed_ip(nlmsghdr* message, const Prefix& prefix) {
    nlattr* nest = mnl_attr_nest_start(message, 0);
    mnl_attr_put_u8(message, WGALLOWEDIP_A_CIDR_MASK, prefix.length());
    mnl_attr_put_u16(message, WGALLOWEDIP_A_FAMILY, prefix.family() == Family::v4 ? AF_INET : AF_INET6);
    const auto bytes = prefix.address().bytes();
    mnl_attr_put(message, WGALLOWEDIP_A_IPADDR, bytes.size(), bytes.data());
    mnl_attr_nest_end(message, nest);
}

}  // namespace

PublicKey key_of(std::uint32_t number) {
    PublicKey key;
    key.bytes.fill(0x11);
    for (std::size_t i = 0; i < 4; ++i) key.bytes[31 - i] = static_cast<std::uint8_t>(number >> (8 * i));
    return key;
}

Prefix prefix_of(std::string_view text) { return Prefix::parse(text).value(); }

Result<std::optional<WipedKey>> FakeSecrets::preshared_key(const PublicKey& peer) const {
    if (failing.contains(peer)) return fail(ErrorKind::permission, "read the key file");
    if (without.contains(peer)) return std::nullopt;
    WipedKey key;
    key.bytes.fill(peer.bytes[31]);
    return std::optional<WipedKey>(std::move(key));
}

std::vector<std::pair<std::uint16_t, Bytes>> attributes_of(Bytes bytes) {
    std::vector<std::pair<std::uint16_t, Bytes>> result;
    while (!bytes.empty()) {
        const auto* attribute = reinterpret_cast<const nlattr*>(bytes.data());
        if (bytes.size() < sizeof(nlattr) || !mnl_attr_ok(attribute, static_cast<int>(bytes.size())))
            std::abort();
        result.emplace_back(mnl_attr_get_type(attribute),
                            bytes.subspan(sizeof(nlattr), attribute->nla_len - sizeof(nlattr)));
        bytes = bytes.subspan(std::min<std::size_t>(bytes.size(), MNL_ALIGN(attribute->nla_len)));
    }
    return result;
}

int FakeDevice::apply(Bytes message) {
    const auto* header = reinterpret_cast<const nlmsghdr*>(message.data());
    EXPECT_EQ(header->nlmsg_len, message.size());
    EXPECT_EQ(header->nlmsg_flags, NLM_F_REQUEST | NLM_F_ACK);
    EXPECT_EQ(static_cast<const genlmsghdr*>(mnl_nlmsg_get_payload(header))->cmd, WG_CMD_SET_DEVICE);
    int code = 0;
    for (const auto& [type, payload] : attributes_of(message.subspan(sizeof(nlmsghdr) + GENL_HDRLEN))) {
        if (type == WGDEVICE_A_IFNAME) interface.assign(reinterpret_cast<const char*>(payload.data()));
        if (type == WGDEVICE_A_PRIVATE_KEY) private_key = as<std::array<std::uint8_t, 32>>(payload);
        if (type == WGDEVICE_A_LISTEN_PORT) listen_port = as<std::uint16_t>(payload);
        if (type == WGDEVICE_A_FWMARK) firewall_mark = as<std::uint32_t>(payload);
        EXPECT_NE(type, WGDEVICE_A_FLAGS);
        if (type != WGDEVICE_A_PEERS) continue;
        for (const auto& [index, peer] : attributes_of(payload))
            if (code = set_peer(peer); code != 0) return code;
    }
    return code;
}

int FakeDevice::set_peer(Bytes attributes) {
    PublicKey key;
    std::uint32_t flags = 0;
    for (const auto& [type, payload] : attributes_of(attributes)) {
        if (type == WGPEER_A_PUBLIC_KEY) key = as<PublicKey>(payload);
        if (type == WGPEER_A_FLAGS) flags = as<std::uint32_t>(payload);
    }
    EXPECT_FALSE(key.is_zero());
    EXPECT_EQ(flags & WGPEER_F_REPLACE_ALLOWEDIPS, 0U);
    if (!peers.contains(key)) {
        if ((flags & (WGPEER_F_REMOVE_ME | WGPEER_F_UPDATE_ONLY)) != 0) return 0;
        peers_made.push_back(key);
    }
    if ((flags & WGPEER_F_REMOVE_ME) != 0) {
        peers.erase(key);
        std::erase_if(allowed_ips, [&](const auto& entry) { return entry.second == key; });
        return 0;
    }
    Peer& peer = peers[key];
    for (const auto& [type, payload] : attributes_of(attributes)) {
        if (type == WGPEER_A_PRESHARED_KEY) peer.preshared = as<std::array<std::uint8_t, 32>>(payload);
        if (type == WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL) peer.keepalive_s = as<std::uint16_t>(payload);
        if (type == WGPEER_A_ENDPOINT) {
            const bool v4 = payload.size() == sizeof(sockaddr_in);
            const auto address = IpAddress::from_bytes(v4 ? payload.subspan(4, 4) : payload.subspan(8, 16));
            peer.endpoint =
                Endpoint{address.value(), static_cast<std::uint16_t>(payload[2] << 8 | payload[3])};
        }
        if (type != WGPEER_A_ALLOWEDIPS) continue;
        for (const auto& [index, entry] : attributes_of(payload))
            if (const int code = set_allowed_ip(entry, key); code != 0) return code;
    }
    return 0;
}

int FakeDevice::set_allowed_ip(Bytes attributes, const PublicKey& key) {
    Bytes address;
    std::uint8_t length = 0;
    std::uint32_t flags = 0;
    for (const auto& [type, payload] : attributes_of(attributes)) {
        if (type == WGALLOWEDIP_A_IPADDR) address = payload;
        if (type == WGALLOWEDIP_A_CIDR_MASK) length = as<std::uint8_t>(payload);
        if (type > WGALLOWEDIP_A_MAX && !knows_removal) return EINVAL;
        if (type == 4) flags = as<std::uint32_t>(payload);
    }
    if (flags > 1) return EINVAL;
    const Prefix prefix = Prefix::make(IpAddress::from_bytes(address).value(), length).value();
    if (flags == 0) {
        allowed_ips[prefix] = key;
    } else if (const auto found = allowed_ips.find(prefix);
               found != allowed_ips.end() && found->second == key) {
        allowed_ips.erase(found);
    }
    return 0;
}

std::vector<std::vector<std::uint8_t>> FakeDevice::dump(std::uint32_t sequence, std::size_t most) const {
    std::vector<std::vector<std::uint8_t>> result;
    WipedBytes bytes(most + 512);
    nlmsghdr* message = nullptr;
    nlattr* nest = nullptr;
    const auto start = [&](std::uint16_t type) {
        message = mnl_nlmsg_put_header(bytes.data());
        message->nlmsg_type = type;
        message->nlmsg_flags = NLM_F_MULTI;
        message->nlmsg_seq = sequence;
    };
    const auto flush = [&] { result.emplace_back(bytes.data(), bytes.data() + message->nlmsg_len); };
    const auto start_peers = [&] {
        start(0x1c);
        mnl_nlmsg_put_extra_header(message, GENL_HDRLEN);
        if (result.empty()) {
            mnl_attr_put_u16(message, WGDEVICE_A_LISTEN_PORT, listen_port.value_or(0));
            mnl_attr_put_u32(message, WGDEVICE_A_FWMARK, firewall_mark.value_or(0));
            if (private_key) {
                mnl_attr_put(message, WGDEVICE_A_PRIVATE_KEY, 32, private_key->data());
                mnl_attr_put(message, WGDEVICE_A_PUBLIC_KEY, 32, key_of(999).bytes.data());
            }
        }
        nest = mnl_attr_nest_start(message, WGDEVICE_A_PEERS);
    };
    start_peers();
    for (const auto& [key, peer] : peers) {
        nlattr* inner = mnl_attr_nest_start(message, 0);
        mnl_attr_put(message, WGPEER_A_PUBLIC_KEY, 32, key.bytes.data());
        const std::array<std::uint8_t, 32> none{};
        mnl_attr_put(message, WGPEER_A_PRESHARED_KEY, 32,
                     peer.preshared ? peer.preshared->data() : none.data());
        const __kernel_timespec time{1700000000, 5};
        mnl_attr_put(message, WGPEER_A_LAST_HANDSHAKE_TIME, sizeof time, &time);
        mnl_attr_put_u16(message, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, peer.keepalive_s);
        mnl_attr_put_u64(message, WGPEER_A_TX_BYTES, 7);
        mnl_attr_put_u64(message, WGPEER_A_RX_BYTES, 1ULL << 40);
        nlattr* list = mnl_attr_nest_start(message, WGPEER_A_ALLOWEDIPS);
        for (const auto& [prefix, owner] : allowed_ips) {
            if (owner != key) continue;
            if (message->nlmsg_len + 40 > most) {
                for (nlattr* open : {list, inner, nest}) mnl_attr_nest_end(message, open);
                flush();
                start_peers();
                inner = mnl_attr_nest_start(message, 0);
                mnl_attr_put(message, WGPEER_A_PUBLIC_KEY, 32, key.bytes.data());
                list = mnl_attr_nest_start(message, WGPEER_A_ALLOWEDIPS);
            }
            put_allowed_ip(message, prefix);
        }
        for (nlattr* open : {list, inner}) mnl_attr_nest_end(message, open);
    }
    mnl_attr_nest_end(message, nest);
    flush();
    start(NLMSG_DONE);
    std::memset(mnl_nlmsg_put_extra_header(message, sizeof(int)), 0, sizeof(int));
    flush();
    return result;
}

}  // namespace wglan::test
