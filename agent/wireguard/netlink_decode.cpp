// SPDX-License-Identifier: Apache-2.0
#include <linux/genetlink.h>
#include <linux/time_types.h>
#include <linux/wireguard.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include <libmnl/libmnl.h>

#include "agent/wireguard/netlink_codec.h"

namespace wglan {
namespace {

constexpr std::size_t kMostPeers = 1U << 20;  // MAX_PEERS_PER_DEVICE of the kernel

using Bytes = std::span<const std::uint8_t>;

Failure nonsense(std::string what) { return fail(ErrorKind::protocol, "netlink answer: " + std::move(what)); }

Bytes payload_of(const nlattr* attribute) {
    return {static_cast<const std::uint8_t*>(mnl_attr_get_payload(attribute)),
            mnl_attr_get_payload_len(attribute)};
}

// Calls `take(type, payload)` for each attribute; stops at the first failure.
template <class Take>
Result<> each_attribute(Bytes bytes, Take take) {
    while (bytes.size() >= sizeof(nlattr)) {
        const auto* attribute = reinterpret_cast<const nlattr*>(bytes.data());
        if (attribute->nla_len < sizeof(nlattr) || attribute->nla_len > bytes.size())
            return nonsense("an attribute's length is wrong");
        if (Result<> taken = take(mnl_attr_get_type(attribute), payload_of(attribute)); !taken) return taken;
        bytes = bytes.subspan(std::min<std::size_t>(bytes.size(), MNL_ALIGN(attribute->nla_len)));
    }
    return {};
}

template <class T>
Result<> read_into(T& out, Bytes payload, const char* name) {
    if (payload.size() != sizeof(T)) return nonsense(std::string("length of ") + name);
    std::memcpy(&out, payload.data(), sizeof(T));
    return {};
}

// Each message of a datagram with the wanted sequence number.
template <class Take>
Result<ReplyState> each_message(Bytes datagram, std::uint32_t sequence, Take take) {
    if (datagram.empty()) return nonsense("an empty datagram");
    while (!datagram.empty()) {
        const auto* message = reinterpret_cast<const nlmsghdr*>(datagram.data());
        if (datagram.size() < sizeof(nlmsghdr) || message->nlmsg_len < sizeof(nlmsghdr) ||
            message->nlmsg_len > datagram.size())
            return nonsense("a message's length is wrong");
        if (message->nlmsg_seq == sequence) {
            const Bytes payload = datagram.subspan(sizeof(nlmsghdr), message->nlmsg_len - sizeof(nlmsghdr));
            Result<ReplyState> state = take(*message, payload);
            if (!state || *state == ReplyState::done) return state;
        }
        datagram = datagram.subspan(std::min<std::size_t>(datagram.size(), MNL_ALIGN(message->nlmsg_len)));
    }
    return ReplyState::more;
}

// The errno of NLMSG_ERROR and NLMSG_DONE; both start with an int that is zero or negative.
Result<ReplyState> verdict(Bytes payload) {
    std::int32_t code = 0;
    if (payload.size() < sizeof code) return nonsense("a cut acknowledgement");
    std::memcpy(&code, payload.data(), sizeof code);
    if (code > 0 || code < -4095) return nonsense("an acknowledgement with an impossible errno");
    if (code != 0) return fail_errno("the kernel refused", -code);
    return ReplyState::done;
}

Result<Endpoint> endpoint_of(Bytes payload) {
    sa_family_t family = 0;
    if (payload.size() < sizeof family) return nonsense("a cut endpoint");
    std::memcpy(&family, payload.data(), sizeof family);
    if (family == AF_INET && payload.size() == sizeof(sockaddr_in)) {
        sockaddr_in address{};
        std::memcpy(&address, payload.data(), sizeof address);
        std::array<std::uint8_t, 4> bytes{};
        std::memcpy(bytes.data(), &address.sin_addr, bytes.size());
        return Endpoint{IpAddress::v4(bytes), ntohs(address.sin_port)};
    }
    if (family == AF_INET6 && payload.size() == sizeof(sockaddr_in6)) {
        sockaddr_in6 address{};
        std::memcpy(&address, payload.data(), sizeof address);
        std::array<std::uint8_t, 16> bytes{};
        std::memcpy(bytes.data(), &address.sin6_addr, bytes.size());
        return Endpoint{IpAddress::v6(bytes), ntohs(address.sin6_port)};
    }
    return nonsense("an endpoint of an unknown address family");
}

Result<Prefix> allowed_ip_of(Bytes attributes) {
    std::uint16_t family = 0;
    std::uint8_t length = 0;
    Bytes address;
    bool has_length = false;
    Result<> read = each_attribute(attributes, [&](std::uint16_t type, Bytes payload) -> Result<> {
        if (type == WGALLOWEDIP_A_FAMILY) return read_into(family, payload, "an allowed IP's family");
        if (type == WGALLOWEDIP_A_IPADDR) address = payload;
        if (type == WGALLOWEDIP_A_CIDR_MASK) {
            has_length = true;
            return read_into(length, payload, "an allowed IP's mask");
        }
        return {};
    });
    if (!read) return tl::make_unexpected(read.error());
    const std::size_t expected = family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;
    if (!has_length || expected == 0 || address.size() != expected || length > expected * 8)
        return nonsense("an allowed IP that is none");
    auto ip = IpAddress::from_bytes(address);
    if (!ip) return fail_with(ip, "an allowed IP");
    return Prefix::make(*ip, length);
}

Result<> allowed_ips_into(std::vector<Prefix>& out, Bytes attributes) {
    return each_attribute(attributes, [&](std::uint16_t, Bytes entry) -> Result<> {
        auto prefix = allowed_ip_of(entry);
        if (!prefix) return tl::make_unexpected(prefix.error());
        out.push_back(*prefix);
        return {};
    });
}

SecretFingerprint fingerprint_of(Bytes preshared) {
    // The kernel reports an absent key as zeros.
    return std::all_of(preshared.begin(), preshared.end(), [](std::uint8_t b) { return b == 0; })
               ? SecretFingerprint{}
               : fingerprint(preshared);
}

}  // namespace

Result<ReplyState> parse_ack(Bytes datagram, std::uint32_t sequence) {
    return each_message(datagram, sequence, [](const nlmsghdr& message, Bytes payload) -> Result<ReplyState> {
        if (message.nlmsg_type == NLMSG_ERROR || message.nlmsg_type == NLMSG_DONE) return verdict(payload);
        return ReplyState::more;
    });
}

Result<std::uint16_t> parse_family_reply(Bytes datagram) {
    while (datagram.size() >= sizeof(nlmsghdr)) {
        const auto* message = reinterpret_cast<const nlmsghdr*>(datagram.data());
        if (message->nlmsg_len < sizeof(nlmsghdr) || message->nlmsg_len > datagram.size())
            return nonsense("a message's length is wrong");
        const Bytes payload = datagram.subspan(sizeof(nlmsghdr), message->nlmsg_len - sizeof(nlmsghdr));
        if (message->nlmsg_type == NLMSG_ERROR) {
            if (auto state = verdict(payload); !state) return tl::make_unexpected(state.error());
        } else if (message->nlmsg_type == GENL_ID_CTRL && payload.size() >= GENL_HDRLEN) {
            std::uint16_t id = 0;
            Result<> read = each_attribute(
                payload.subspan(GENL_HDRLEN), [&](std::uint16_t type, Bytes value) -> Result<> {
                    return type == CTRL_ATTR_FAMILY_ID ? read_into(id, value, "the family's id") : Result<>{};
                });
            if (!read) return tl::make_unexpected(read.error());
            if (id != 0) return id;
        }
        datagram = datagram.subspan(std::min<std::size_t>(datagram.size(), MNL_ALIGN(message->nlmsg_len)));
    }
    return fail(ErrorKind::not_found, "netlink answer: no family id in it");
}

Result<ReplyState> NetlinkDump::feed(Bytes datagram) {
    Result<ReplyState> state = each_message(
        datagram, sequence_, [this](const nlmsghdr& message, Bytes payload) -> Result<ReplyState> {
            interrupted_ = interrupted_ || (message.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
            if (message.nlmsg_type == NLMSG_DONE || message.nlmsg_type == NLMSG_ERROR)
                return verdict(payload);
            if (message.nlmsg_type < NLMSG_MIN_TYPE) return ReplyState::more;
            if (payload.size() < GENL_HDRLEN) return nonsense("a cut message");
            if (auto taken = device_message(payload.subspan(GENL_HDRLEN)); !taken)
                return tl::make_unexpected(taken.error());
            return ReplyState::more;
        });
    done_ = state && *state == ReplyState::done;
    return state;
}

Result<> NetlinkDump::device_message(Bytes attributes) {
    return each_attribute(attributes, [this](std::uint16_t type, Bytes payload) -> Result<> {
        switch (type) {
            case WGDEVICE_A_PUBLIC_KEY:
                return read_into(device_.public_key.bytes, payload, "the public key");
            case WGDEVICE_A_LISTEN_PORT:
                return read_into(device_.listen_port, payload, "the listen port");
            case WGDEVICE_A_FWMARK:
                return read_into(device_.firewall_mark, payload, "the firewall mark");
            case WGDEVICE_A_PEERS:
                return each_attribute(payload, [this](std::uint16_t, Bytes entry) { return peer(entry); });
            default:
                return {};
        }
    });
}

Result<> NetlinkDump::peer(Bytes attributes) {
    WgObservedPeer seen;
    bool has_key = false;
    Result<> read = each_attribute(attributes, [&](std::uint16_t type, Bytes payload) -> Result<> {
        switch (type) {
            case WGPEER_A_PUBLIC_KEY:
                has_key = true;
                return read_into(seen.peer.key.bytes, payload, "a peer's key");
            case WGPEER_A_PRESHARED_KEY:
                seen.peer.preshared = fingerprint_of(payload);
                return {};
            case WGPEER_A_ENDPOINT: {
                auto endpoint = endpoint_of(payload);
                if (!endpoint) return tl::make_unexpected(endpoint.error());
                seen.peer.endpoint = *endpoint;
                return {};
            }
            case WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL:
                return read_into(seen.peer.keepalive_s, payload, "a peer's keepalive");
            case WGPEER_A_LAST_HANDSHAKE_TIME: {
                __kernel_timespec time{};
                Result<> got = read_into(time, payload, "a peer's handshake time");
                seen.stats.last_handshake = time.tv_sec;
                seen.stats.last_handshake_ns = static_cast<std::uint32_t>(time.tv_nsec);
                return got;
            }
            case WGPEER_A_RX_BYTES:
                return read_into(seen.stats.rx_bytes, payload, "a peer's counter");
            case WGPEER_A_TX_BYTES:
                return read_into(seen.stats.tx_bytes, payload, "a peer's counter");
            case WGPEER_A_ALLOWEDIPS:
                return allowed_ips_into(seen.peer.allowed_ips, payload);
            default:
                return {};
        }
    });
    if (!read) return read;
    if (!has_key) return nonsense("a peer without a key");
    // A peer too long for one message comes again in the next, with its key and further allowed IPs alone.
    if (!device_.peers.empty() && device_.peers.back().peer.key == seen.peer.key) {
        auto& known = device_.peers.back().peer.allowed_ips;
        known.insert(known.end(), seen.peer.allowed_ips.begin(), seen.peer.allowed_ips.end());
        return {};
    }
    if (device_.peers.size() >= kMostPeers)
        return fail(ErrorKind::exhausted, "netlink answer: too many peers");
    device_.peers.push_back(std::move(seen));
    return {};
}

Result<WgDevice> NetlinkDump::take() {
    if (interrupted_) return fail(ErrorKind::conflict, "the device changed while it was dumped");
    if (!done_) return nonsense("the dump has no end");
    for (WgObservedPeer& seen : device_.peers) {
        auto& prefixes = seen.peer.allowed_ips;
        std::sort(prefixes.begin(), prefixes.end());
        prefixes.erase(std::unique(prefixes.begin(), prefixes.end()), prefixes.end());
    }
    return std::move(device_);
}

}  // namespace wglan
