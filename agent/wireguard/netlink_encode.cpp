// SPDX-License-Identifier: Apache-2.0
#include <linux/genetlink.h>
#include <linux/wireguard.h>
#include <netinet/in.h>
#include <sodium.h>

#include <cstring>

#include <libmnl/libmnl.h>

#include "agent/wireguard/netlink_codec.h"

namespace wglan {
namespace {

// Linux 6.16; Debian 12's header is older.
constexpr std::uint16_t kAllowedIpFlags = 4;  // WGALLOWEDIP_A_FLAGS
constexpr std::uint32_t kRemoveAllowedIp = 1U << 0;
constexpr std::uint32_t kFlagNobodyHas = 1U << 31;

constexpr std::size_t attribute_size(std::size_t payload) {
    return MNL_ALIGN(sizeof(struct nlattr)) + MNL_ALIGN(payload);
}
constexpr std::size_t kNestSize = attribute_size(0);

void start_message(WipedBytes& bytes, std::size_t capacity, std::uint16_t type, std::uint16_t flags,
                   std::uint8_t command, std::uint8_t version) {
    bytes.reserve(capacity);
    nlmsghdr* header = mnl_nlmsg_put_header(bytes.data());
    header->nlmsg_type = type;
    header->nlmsg_flags = flags;
    auto* generic = static_cast<genlmsghdr*>(mnl_nlmsg_put_extra_header(header, sizeof(genlmsghdr)));
    generic->cmd = command;
    generic->version = version;
}

nlmsghdr* header_of(WipedBytes& bytes) { return reinterpret_cast<nlmsghdr*>(bytes.data()); }

void finish_message(WipedBytes& bytes) { bytes.claim(header_of(bytes)->nlmsg_len); }

// What stands in front of a peer's allowed IPs.
struct PeerHead {
    PublicKey key;
    std::uint32_t flags = 0;
    std::optional<WipedKey> preshared;
    std::optional<Endpoint> endpoint;
    std::optional<std::uint16_t> keepalive_s;

    std::size_t size() const {
        std::size_t bytes = kNestSize + attribute_size(WG_KEY_LEN) + attribute_size(sizeof flags);
        if (preshared) bytes += attribute_size(WG_KEY_LEN);
        if (endpoint)
            bytes += attribute_size(endpoint->address.is_v4() ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
        if (keepalive_s) bytes += attribute_size(sizeof *keepalive_s);
        return bytes;
    }
};

struct AllowedIp {
    Prefix prefix;
    std::optional<std::uint32_t> flags;

    std::size_t size() const {
        return kNestSize + attribute_size(sizeof(std::uint16_t)) +
               attribute_size(prefix.address().bytes().size()) + attribute_size(sizeof(std::uint8_t)) +
               (flags ? attribute_size(sizeof *flags) : 0);
    }
};

void put_endpoint(nlmsghdr* message, const Endpoint& endpoint) {
    const auto bytes = endpoint.address.bytes();
    if (endpoint.address.is_v4()) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(endpoint.port);
        std::memcpy(&address.sin_addr, bytes.data(), bytes.size());
        mnl_attr_put(message, WGPEER_A_ENDPOINT, sizeof address, &address);
    } else {
        sockaddr_in6 address{};
        address.sin6_family = AF_INET6;
        address.sin6_port = htons(endpoint.port);
        std::memcpy(&address.sin6_addr, bytes.data(), bytes.size());
        mnl_attr_put(message, WGPEER_A_ENDPOINT, sizeof address, &address);
    }
}

void put_peer_head(nlmsghdr* message, const PeerHead& head) {
    mnl_attr_put(message, WGPEER_A_PUBLIC_KEY, WG_KEY_LEN, head.key.bytes.data());
    mnl_attr_put_u32(message, WGPEER_A_FLAGS, head.flags);
    if (head.preshared)
        mnl_attr_put(message, WGPEER_A_PRESHARED_KEY, WG_KEY_LEN, head.preshared->bytes.data());
    if (head.endpoint) put_endpoint(message, *head.endpoint);
    if (head.keepalive_s)
        mnl_attr_put_u16(message, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, *head.keepalive_s);
}

void put_allowed_ip(nlmsghdr* message, const AllowedIp& entry) {
    const auto bytes = entry.prefix.address().bytes();
    nlattr* nest = mnl_attr_nest_start(message, 0);
    mnl_attr_put_u16(message, WGALLOWEDIP_A_FAMILY, entry.prefix.address().is_v4() ? AF_INET : AF_INET6);
    mnl_attr_put(message, WGALLOWEDIP_A_IPADDR, bytes.size(), bytes.data());
    mnl_attr_put_u8(message, WGALLOWEDIP_A_CIDR_MASK, entry.prefix.length());
    if (entry.flags) mnl_attr_put_u32(message, kAllowedIpFlags, *entry.flags);
    mnl_attr_nest_end(message, nest);
}

// Fills messages with peers, one after another.
class PeerWriter {
public:
    explicit PeerWriter(const NetlinkTarget& target) : target_(target) {}

    void set_change(std::size_t index) { change_ = index; }

    void peer(PeerHead head, std::span<const AllowedIp> allowed_ips) {
        for (bool first = true; first || !allowed_ips.empty(); first = false) {
            const std::size_t least =
                head.size() + (allowed_ips.empty() ? 0 : kNestSize + allowed_ips.front().size());
            if (message_ && used() + least > target_.max_message) flush();
            if (!message_) start();
            nlattr* peer = mnl_attr_nest_start(message_, 0);
            put_peer_head(message_, head);
            if (!allowed_ips.empty()) allowed_ips = put_allowed_ips(allowed_ips);
            mnl_attr_nest_end(message_, peer);
            current_.last = change_ + 1;
            PeerHead next;
            next.key = head.key;
            next.flags = WGPEER_F_UPDATE_ONLY;
            head = std::move(next);
        }
    }

    std::vector<NetlinkMessage> take() {
        flush();
        return std::move(messages_);
    }

private:
    std::size_t used() const { return message_->nlmsg_len; }

    void start() {
        current_ = {};
        current_.first = change_;
        start_message(current_.bytes, target_.max_message, target_.family, NLM_F_REQUEST | NLM_F_ACK,
                      WG_CMD_SET_DEVICE, WG_GENL_VERSION);
        message_ = header_of(current_.bytes);
        mnl_attr_put_strz(message_, WGDEVICE_A_IFNAME, target_.interface.c_str());
        peers_ = mnl_attr_nest_start(message_, WGDEVICE_A_PEERS);
    }

    void flush() {
        if (!message_) return;
        mnl_attr_nest_end(message_, peers_);
        finish_message(current_.bytes);
        messages_.push_back(std::move(current_));
        message_ = nullptr;
    }

    // As many as fit; gives back the rest.
    std::span<const AllowedIp> put_allowed_ips(std::span<const AllowedIp> entries) {
        nlattr* nest = mnl_attr_nest_start(message_, WGPEER_A_ALLOWEDIPS);
        std::size_t taken = 0;
        while (taken < entries.size() && used() + entries[taken].size() <= target_.max_message)
            put_allowed_ip(message_, entries[taken++]);
        mnl_attr_nest_end(message_, nest);
        return entries.subspan(taken);
    }

    const NetlinkTarget& target_;
    std::vector<NetlinkMessage> messages_;
    NetlinkMessage current_;
    nlmsghdr* message_ = nullptr;
    nlattr* peers_ = nullptr;
    std::size_t change_ = 0;
};

NetlinkMessage one_peer(const NetlinkTarget& target, PeerHead head, std::span<const AllowedIp> allowed_ips) {
    PeerWriter writer(target);
    writer.peer(std::move(head), allowed_ips);
    return std::move(writer.take().front());
}

PeerHead bare_head(const PublicKey& key, std::uint32_t flags) {
    PeerHead head;
    head.key = key;
    head.flags = flags;
    return head;
}

Result<PeerHead> head_of(const WgPeerChange& change, const WgSecrets& secrets) {
    PeerHead head;
    head.key = change.key;
    if (change.kind == WgPeerChange::Kind::update) head.flags = WGPEER_F_UPDATE_ONLY;
    head.endpoint = change.endpoint;
    head.keepalive_s = change.keepalive_s;
    if (change.set_preshared) {
        auto key = secrets.preshared_key(change.key);
        if (!key) return fail_with(key, "preshared key of peer " + to_string(change.key));
        // All zero clears it (linux/wireguard.h).
        head.preshared = *key ? std::move(**key) : WipedKey{};
    }
    return head;
}

bool says_nothing(const WgPeerChange& change, const std::vector<AllowedIp>& allowed_ips) {
    return change.kind == WgPeerChange::Kind::update && !change.endpoint && !change.keepalive_s &&
           !change.set_preshared && allowed_ips.empty();
}

}  // namespace

Result<std::vector<NetlinkMessage>> encode_peer_changes(const NetlinkTarget& target,
                                                        std::span<const WgPeerChange> changes,
                                                        const WgSecrets& secrets,
                                                        const RemovalMode& removal) {
    PeerWriter writer(target);
    bool threw_away = false;
    for (std::size_t i = 0; i < changes.size(); ++i) {
        const WgPeerChange& change = changes[i];
        writer.set_change(i);
        if (change.kind == WgPeerChange::Kind::remove) {
            writer.peer(bare_head(change.key, WGPEER_F_REMOVE_ME), {});
            continue;
        }
        std::vector<AllowedIp> own;
        std::vector<AllowedIp> thrown;
        for (const Prefix& prefix : change.remove_allowed_ips) {
            if (removal.by_flag)
                own.push_back({prefix, kRemoveAllowedIp});
            else
                thrown.push_back({prefix, std::nullopt});
        }
        for (const Prefix& prefix : change.add_allowed_ips) own.push_back({prefix, std::nullopt});
        if (!says_nothing(change, own)) {
            auto head = head_of(change, secrets);
            if (!head) return tl::make_unexpected(head.error());
            writer.peer(std::move(*head), own);
        }
        if (!thrown.empty()) writer.peer(bare_head(removal.throw_away, 0), thrown);
        threw_away = threw_away || !thrown.empty();
    }
    // Last, so that one peer takes in all that this call removes: making a peer is dear to the kernel.
    if (threw_away) writer.peer(bare_head(removal.throw_away, WGPEER_F_REMOVE_ME), {});
    return writer.take();
}

NetlinkMessage encode_device_change(const NetlinkTarget& target, const WgDeviceChange& change,
                                    const WgSecrets& secrets) {
    NetlinkMessage result;
    start_message(result.bytes, target.max_message, target.family, NLM_F_REQUEST | NLM_F_ACK,
                  WG_CMD_SET_DEVICE, WG_GENL_VERSION);
    nlmsghdr* message = header_of(result.bytes);
    mnl_attr_put_strz(message, WGDEVICE_A_IFNAME, target.interface.c_str());
    if (change.set_private_key) {
        const auto key = secrets.private_key();
        mnl_attr_put(message, WGDEVICE_A_PRIVATE_KEY, std::min<std::size_t>(key.size(), WG_KEY_LEN),
                     key.data());
    }
    if (change.listen_port) mnl_attr_put_u16(message, WGDEVICE_A_LISTEN_PORT, *change.listen_port);
    if (change.firewall_mark) mnl_attr_put_u32(message, WGDEVICE_A_FWMARK, *change.firewall_mark);
    finish_message(result.bytes);
    return result;
}

RemovalProbe encode_removal_probe(const NetlinkTarget& target, const PublicKey& scratch) {
    // 100::/64 is the discard-only block (RFC 6666): nobody's prefix moves, whatever the kernel makes of it.
    std::array<std::uint8_t, 16> address{0x01};
    std::copy_n(scratch.bytes.begin(), 8, address.begin() + 8);
    const Prefix prefix = Prefix::host(IpAddress::v6(address));
    const AllowedIp known{prefix, kRemoveAllowedIp};
    const AllowedIp unknown{prefix, kFlagNobodyHas};
    return {one_peer(target, bare_head(scratch, 0), {&known, 1}),
            one_peer(target, bare_head(scratch, 0), {&unknown, 1}), encode_peer_removal(target, scratch)};
}

NetlinkMessage encode_peer_removal(const NetlinkTarget& target, const PublicKey& key) {
    return one_peer(target, bare_head(key, WGPEER_F_REMOVE_ME), {});
}

NetlinkMessage encode_dump_request(const NetlinkTarget& target) {
    NetlinkMessage result;
    start_message(result.bytes, target.max_message, target.family, NLM_F_REQUEST | NLM_F_ACK | NLM_F_DUMP,
                  WG_CMD_GET_DEVICE, WG_GENL_VERSION);
    mnl_attr_put_strz(header_of(result.bytes), WGDEVICE_A_IFNAME, target.interface.c_str());
    finish_message(result.bytes);
    return result;
}

NetlinkMessage encode_family_request(std::string_view name) {
    NetlinkMessage result;
    start_message(result.bytes, kMinNetlinkMessage, GENL_ID_CTRL, NLM_F_REQUEST | NLM_F_ACK,
                  CTRL_CMD_GETFAMILY, 1);
    nlmsghdr* message = header_of(result.bytes);
    mnl_attr_put_u16(message, CTRL_ATTR_FAMILY_ID, GENL_ID_CTRL);
    mnl_attr_put_strz(message, CTRL_ATTR_FAMILY_NAME, std::string(name).c_str());
    finish_message(result.bytes);
    return result;
}

}  // namespace wglan
