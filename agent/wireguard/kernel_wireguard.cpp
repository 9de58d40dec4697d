// SPDX-License-Identifier: Apache-2.0
// The kernel's WireGuard, over generic netlink.
#include <linux/wireguard.h>
#include <sodium.h>

#include <cerrno>

#include "agent/wireguard/netlink_codec.h"
#include "agent/wireguard/netlink_socket.h"
#include "agent/wireguard/wireguard.h"

namespace wglan {
namespace {

constexpr int kDumpTries = 5;

PublicKey random_key() {
    PublicKey key;
    randombytes_buf(key.bytes.data(), key.bytes.size());
    return key;
}

class KernelWireGuard final : public WireGuard {
public:
    KernelWireGuard(std::string interface, LinkMaker links) : links_(std::move(links)) {
        target_.interface = std::move(interface);
    }

    std::string_view backend() const override { return "kernel"; }
    Result<bool> ensure_device() override;
    Result<> remove_device() override;
    Result<WgDevice> dump() override;
    Result<> configure(const WgDeviceChange& change, const WgSecrets& secrets) override;
    Result<> apply(const std::vector<WgPeerChange>& changes, const WgSecrets& secrets) override;

private:
    Result<> connect();
    Result<> send_all(std::span<const WgPeerChange> changes, const WgSecrets& secrets);
    Result<> find_culprit(std::span<const WgPeerChange> changes, const WgSecrets& secrets,
                          const Error& error);
    Result<> send_one(const WgPeerChange& change, const WgSecrets& secrets);
    Result<RemovalMode> removal_mode(std::span<const WgPeerChange> changes);
    Result<bool> probe_removal_flag();
    void forget_peer(const PublicKey& key);
    std::string on_device(std::string_view what) const { return std::string(what) + " " + target_.interface; }

    LinkMaker links_;
    NetlinkTarget target_;
    std::optional<NetlinkSocket> socket_;
    std::optional<bool> removes_by_flag_;
};

struct NoSecrets final : WgSecrets {
    std::span<const std::uint8_t> private_key() const override { return {}; }
    Result<std::optional<WipedKey>> preshared_key(const PublicKey&) const override { return std::nullopt; }
};

Result<> KernelWireGuard::connect() {
    if (!socket_) {
        auto socket = NetlinkSocket::open();
        if (!socket) return tl::make_unexpected(socket.error());
        socket_ = std::move(*socket);
    }
    if (target_.family == 0) {
        auto family = socket_->family(WG_GENL_NAME);
        if (!family) {
            if (family.error().kind() != ErrorKind::not_found) return fail_with(family, "look up WireGuard");
            return fail(ErrorKind::unsupported,
                        "this kernel has no WireGuard; load the module `wireguard` or set interface.backend: "
                        "userspace");
        }
        target_.family = *family;
    }
    return {};
}

Result<bool> KernelWireGuard::ensure_device() {
    target_.family = 0;  // a module that was loaded again has a new id
    if (auto connected = connect(); !connected) return tl::make_unexpected(connected.error());
    const auto ask = [this] {
        NetlinkMessage question = encode_device_change(target_, {}, NoSecrets{});
        return socket_->request(question);
    };
    Result<> there = ask();
    if (there) return false;
    if (there.error().kind() == ErrorKind::unsupported)
        return fail(ErrorKind::exists,
                    target_.interface +
                        " exists already and is no WireGuard device; remove it (ip link del " +
                        target_.interface + ") or choose another interface.name");
    if (there.error().kind() != ErrorKind::not_found) return fail_with(there, on_device("look for"));
    if (auto made = links_.create_wireguard(target_.interface); !made)
        return fail_with(made, on_device("create"));
    there = ask();
    if (!there) return fail_with(there, on_device("look for the new"));
    return true;
}

Result<> KernelWireGuard::remove_device() { return links_.remove(target_.interface); }

Result<WgDevice> KernelWireGuard::dump() {
    if (auto connected = connect(); !connected) return tl::make_unexpected(connected.error());
    for (int left = kDumpTries;;) {
        auto device = socket_->dump(target_);
        if (device) return device;
        if (device.error().kind() != ErrorKind::conflict || --left == 0)
            return fail_with(device, on_device("dump"));
    }
}

Result<> KernelWireGuard::configure(const WgDeviceChange& change, const WgSecrets& secrets) {
    if (change.empty()) return {};
    if (change.set_private_key && secrets.private_key().size() != WG_KEY_LEN)
        return fail(ErrorKind::internal, on_device("configure") + ": the private key has not 32 bytes");
    if (auto connected = connect(); !connected) return connected;
    NetlinkMessage message = encode_device_change(target_, change, secrets);
    if (auto sent = socket_->request(message); !sent) {
        std::string what = on_device("configure");
        if (change.listen_port) what += ", listen port " + std::to_string(*change.listen_port);
        return fail_with(sent, what);
    }
    return {};
}

Result<> KernelWireGuard::apply(const std::vector<WgPeerChange>& changes, const WgSecrets& secrets) {
    if (changes.empty()) return {};
    if (auto connected = connect(); !connected) return connected;
    return send_all(changes, secrets);
}

Result<> KernelWireGuard::send_all(std::span<const WgPeerChange> changes, const WgSecrets& secrets) {
    auto removal = removal_mode(changes);
    if (!removal) return tl::make_unexpected(removal.error());
    auto messages = encode_peer_changes(target_, changes, secrets, *removal);
    if (!messages) return tl::make_unexpected(messages.error());
    for (NetlinkMessage& message : *messages) {
        Result<> sent = socket_->request(message);
        if (sent) continue;
        if (!removal->throw_away.is_zero()) forget_peer(removal->throw_away);
        const Error error = sent.error().wrap(on_device("set peers of"));
        // No answer, or no device: asking again peer by peer would tell nothing new.
        if (error.kind() == ErrorKind::timeout || error.kind() == ErrorKind::not_found)
            return tl::make_unexpected(error);
        // An acknowledgement counts for the whole message. Changes may be applied again, so those of
        // this message go one by one until the one that is refused; then what is left goes on.
        if (auto found =
                find_culprit(changes.subspan(message.first, message.last - message.first), secrets, error);
            !found)
            return found;
        return message.last < changes.size() ? send_all(changes.subspan(message.last), secrets) : Result<>{};
    }
    return {};
}

Result<> KernelWireGuard::find_culprit(std::span<const WgPeerChange> changes, const WgSecrets& secrets,
                                       const Error& error) {
    if (changes.empty()) return tl::make_unexpected(error);
    for (const WgPeerChange& change : changes)
        if (auto sent = send_one(change, secrets); !sent)
            return tl::make_unexpected(
                sent.error().wrap(on_device("set peer " + to_string(change.key) + " of")));
    return {};
}

Result<> KernelWireGuard::send_one(const WgPeerChange& change, const WgSecrets& secrets) {
    auto removal = removal_mode({&change, 1});
    if (!removal) return tl::make_unexpected(removal.error());
    auto messages = encode_peer_changes(target_, {&change, 1}, secrets, *removal);
    if (!messages) return tl::make_unexpected(messages.error());
    for (NetlinkMessage& message : *messages) {
        if (auto sent = socket_->request(message); !sent) {
            if (!removal->throw_away.is_zero()) forget_peer(removal->throw_away);
            return sent;
        }
    }
    return {};
}

Result<RemovalMode> KernelWireGuard::removal_mode(std::span<const WgPeerChange> changes) {
    RemovalMode mode;
    bool any = false;
    for (const WgPeerChange& change : changes) any = any || !change.remove_allowed_ips.empty();
    if (!any) return mode;
    if (!removes_by_flag_) {
        auto works = probe_removal_flag();
        if (!works) return fail_with(works, on_device("find out how to remove an allowed IP of"));
        removes_by_flag_ = *works;
    }
    mode.by_flag = *removes_by_flag_;
    if (!mode.by_flag) mode.throw_away = random_key();
    return mode;
}

// Kernels before 6.16 parse an allowed IP strictly and refuse the attribute (nla_parse_nested, EINVAL);
// the out-of-tree module for kernels before 5.6 skips it, and so would *add* the prefix. A flag that
// doesn't exist tells the two kinds of success apart.
Result<bool> KernelWireGuard::probe_removal_flag() {
    const PublicKey scratch = random_key();
    RemovalProbe probe = encode_removal_probe(target_, scratch);
    const Result<> known = socket_->request(probe.known);
    const Result<> unknown = known ? socket_->request(probe.unknown) : Result<>{};
    if (auto cleaned = socket_->request(probe.cleanup); !cleaned) return tl::make_unexpected(cleaned.error());
    if (!known && known.error().kind() != ErrorKind::invalid &&
        known.error().kind() != ErrorKind::unsupported)
        return tl::make_unexpected(known.error());
    return known && !unknown;
}

void KernelWireGuard::forget_peer(const PublicKey& key) {
    NetlinkMessage message = encode_peer_removal(target_, key);
    // Best effort: an error is on its way to the caller already, and a next dump shows a peer that stayed.
    static_cast<void>(socket_->request(message));
}

}  // namespace

bool kernel_wireguard_available() {
    // The lookup makes the kernel load the module that serves the family (ctrl_getfamily, request_module
    // "net-pf-16-proto-16-family-wireguard").
    auto socket = NetlinkSocket::open();
    return socket && socket->family(WG_GENL_NAME);
}

std::unique_ptr<WireGuard> make_kernel_wireguard(std::string interface, LinkMaker links) {
    return std::make_unique<KernelWireGuard>(std::move(interface), std::move(links));
}

}  // namespace wglan
