// SPDX-License-Identifier: Apache-2.0
#include "agent/wireguard/uapi_codec.h"

namespace wglan {
namespace {

void put(WipedBytes& out, std::string_view key, std::string_view value) {
    out.append(key);
    out.append("=");
    out.append(value);
    out.append("\n");
}

void put_key(WipedBytes& out, std::string_view key, std::span<const std::uint8_t> value) {
    out.append(key);
    out.append("=");
    out.append_hex(value);
    out.append("\n");
}

void put_removals(WipedBytes& out, const std::vector<Prefix>& prefixes, const PublicKey& throw_away) {
    put_key(out, "public_key", throw_away.bytes);
    for (const Prefix& prefix : prefixes) put(out, "allowed_ip", prefix.to_string());
    put(out, "remove", "true");
}

bool says_nothing(const WgPeerChange& change) {
    return change.kind == WgPeerChange::Kind::update && !change.endpoint && !change.keepalive_s &&
           !change.set_preshared && change.add_allowed_ips.empty();
}

Result<> put_change(WipedBytes& out, const WgPeerChange& change, const WgSecrets& secrets) {
    put_key(out, "public_key", change.key.bytes);
    if (change.kind != WgPeerChange::Kind::add) put(out, "update_only", "true");
    if (change.kind == WgPeerChange::Kind::remove) {
        put(out, "remove", "true");
        return {};
    }
    if (change.set_preshared) {
        auto key = secrets.preshared_key(change.key);
        if (!key) return fail_with(key, "preshared key of peer " + to_string(change.key));
        // All zero clears it.
        const WipedKey bytes = *key ? std::move(**key) : WipedKey{};
        put_key(out, "preshared_key", bytes.bytes);
    }
    if (change.endpoint) put(out, "endpoint", change.endpoint->to_string());
    for (const Prefix& prefix : change.add_allowed_ips) put(out, "allowed_ip", prefix.to_string());
    // Last: turning it on sends a packet at once.
    if (change.keepalive_s) put(out, "persistent_keepalive_interval", std::to_string(*change.keepalive_s));
    return {};
}

}  // namespace

Result<std::vector<UapiMessage>> encode_uapi_changes(std::span<const WgPeerChange> changes,
                                                     const WgSecrets& secrets, const PublicKey& throw_away,
                                                     std::size_t target_size) {
    std::vector<UapiMessage> messages;
    for (std::size_t i = 0; i < changes.size(); ++i) {
        if (messages.empty() || messages.back().text.size() >= target_size) {
            messages.emplace_back();
            messages.back().first = i;
            messages.back().text.append("set=1\n");
        }
        UapiMessage& message = messages.back();
        const WgPeerChange& change = changes[i];
        if (!says_nothing(change))
            if (auto done = put_change(message.text, change, secrets); !done)
                return tl::make_unexpected(done.error());
        if (change.kind != WgPeerChange::Kind::remove && !change.remove_allowed_ips.empty())
            put_removals(message.text, change.remove_allowed_ips, throw_away);
        message.last = i + 1;
    }
    for (UapiMessage& message : messages) message.text.append("\n");
    return messages;
}

UapiMessage encode_uapi_device(const WgDeviceChange& change, const WgSecrets& secrets) {
    UapiMessage message;
    message.text.append("set=1\n");
    if (change.set_private_key) put_key(message.text, "private_key", secrets.private_key());
    if (change.listen_port) put(message.text, "listen_port", std::to_string(*change.listen_port));
    if (change.firewall_mark) put(message.text, "fwmark", std::to_string(*change.firewall_mark));
    message.text.append("\n");
    return message;
}

}  // namespace wglan
