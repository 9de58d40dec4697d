// SPDX-License-Identifier: Apache-2.0
// wireguard-go, over its UAPI socket.
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

#include "agent/wireguard/daemon.h"
#include "agent/wireguard/uapi_codec.h"
#include "agent/wireguard/uapi_socket.h"
#include "agent/wireguard/wireguard.h"

namespace wglan {
namespace {

constexpr Milliseconds kStep{1};
constexpr Milliseconds kStartTime{5000};  // a loaded machine; usually some 10 ms
constexpr Milliseconds kEndTime{2000};
constexpr Milliseconds kExternalStep{100};
constexpr Milliseconds kExternalStartTime{30000};  // a container that is pulled and started beside ours

class Deadline {
public:
    explicit Deadline(Milliseconds time) : end_(std::chrono::steady_clock::now() + time) {}
    bool passed() const { return std::chrono::steady_clock::now() >= end_; }

private:
    SteadyTime end_;
};

class UserspaceWireGuard final : public WireGuard {
public:
    UserspaceWireGuard(std::string interface, std::string program, bool external)
        : interface_(std::move(interface)),
          program_(program.empty() ? "wireguard-go" : std::move(program)),
          external_(external),
          path_(uapi_socket_path(interface_)) {}

    std::string_view backend() const override { return "userspace"; }
    Result<bool> ensure_device() override;
    Result<> remove_device() override;
    Result<WgDevice> dump() override;
    Result<> configure(const WgDeviceChange& change, const WgSecrets& secrets) override;
    Result<> apply(const std::vector<WgPeerChange>& changes, const WgSecrets& secrets) override;
    Result<> forget_sources(const WgSecrets& secrets, const std::vector<PublicKey>& peers) override;

private:
    enum class Found { nothing, running, stranger };
    Result<Found> look();
    Result<> adopt(const UapiSocket& socket);
    Result<> start();
    Result<> await_external();
    Result<> let_go(UapiSocket socket);
    Result<> remove_socket_file();
    Result<> wait_for_device_gone();
    Failure taken() const;
    Result<UapiSocket> connect() const;
    Result<> send(UapiSocket& socket, const UapiMessage& message, std::span<const WgPeerChange> changes,
                  const WgSecrets& secrets, const PublicKey& throw_away);
    Error reap_and_pass(Error error);

    std::string interface_;
    std::string program_;
    bool external_;
    bool awaited_ = false;  // an external process was there, or was waited for once
    std::string path_;
    std::optional<Process> process_;  // the one that answers, where it can be told
};

Failure UserspaceWireGuard::taken() const {
    return fail(ErrorKind::exists,
                interface_ + " exists already and no WireGuard process answers for it on " + path_ +
                    "; remove it (ip link del " + interface_ + ") or choose another interface.name");
}

// Connects, and knows that the socket's owner serves this network namespace.
Result<UapiSocket> UserspaceWireGuard::connect() const {
    auto socket = UapiSocket::connect(path_);
    if (!socket) return socket;
    if (const pid_t pid = socket->listener(); pid > 0 && !shares_network(pid))
        return fail(ErrorKind::exists,
                    path_ + " belongs to process " + std::to_string(pid) +
                        ", which lives in another network namespace; give each namespace a mount "
                        "namespace with a /var/run/wireguard of its own");
    return socket;
}

Result<> UserspaceWireGuard::adopt(const UapiSocket& socket) {
    process_.reset();
    // A process that went to the background by itself has another number than the one that listened.
    if (const pid_t pid = socket.listener(); pid > 0 && drives_tun(pid, interface_)) {
        auto process = Process::open(pid);
        if (process) process_ = std::move(*process);
    }
    return {};
}

// Socket and device come and go at different moments: a state in between is given time to settle.
Result<UserspaceWireGuard::Found> UserspaceWireGuard::look() {
    for (Deadline deadline(kEndTime);;) {
        auto kind = device_kind(interface_);
        if (!kind) return tl::make_unexpected(kind.error());
        if (*kind == DeviceKind::other) return Found::stranger;
        auto socket = connect();
        if (!socket && socket.error().kind() != ErrorKind::not_found)
            return tl::make_unexpected(socket.error());
        if (socket && *kind == DeviceKind::tun) {
            auto device = socket->get();
            if (device) {
                if (auto adopted = adopt(*socket); !adopted) return tl::make_unexpected(adopted.error());
                return Found::running;
            }
            if (device.error().kind() != ErrorKind::not_found) return fail_with(device, "ask " + path_);
        }
        if (!socket && *kind == DeviceKind::none) return Found::nothing;
        if (deadline.passed()) {
            if (*kind == DeviceKind::tun) return Found::stranger;
            // It answers, but its device is gone for good.
            if (auto gone = let_go(std::move(*socket)); !gone) return tl::make_unexpected(gone.error());
            return Found::nothing;
        }
        std::this_thread::sleep_for(kStep);
    }
}

Result<bool> UserspaceWireGuard::ensure_device() {
    auto found = look();
    if (!found) return tl::make_unexpected(found.error());
    if (*found == Found::running) return false;
    if (*found == Found::stranger) return taken();
    if (external_) {
        if (auto there = await_external(); !there) return tl::make_unexpected(there.error());
        return false;
    }
    if (auto removed = remove_socket_file(); !removed) return tl::make_unexpected(removed.error());
    if (auto started = start(); !started) return tl::make_unexpected(started.error());
    return true;
}

// Starting one of our own meanwhile would take the device from the one that is meant to have it, and its
// sessions would end with our container.
Result<> UserspaceWireGuard::await_external() {
    const Deadline deadline(awaited_ ? kEndTime : kExternalStartTime);
    awaited_ = true;
    while (!deadline.passed()) {
        auto found = look();
        if (!found) return tl::make_unexpected(found.error());
        if (*found == Found::running) return {};
        std::this_thread::sleep_for(kExternalStep);
    }
    return fail(ErrorKind::not_found, "no wireguard-go serves " + interface_ + " on " + path_ +
                                          "; interface.wireguardGo is external, so something else has to run "
                                          "`wireguard-go -f " +
                                          interface_ + "`");
}

Result<> UserspaceWireGuard::start() {
    auto started = start_wireguard_go(program_, interface_);
    if (!started) return tl::make_unexpected(started.error());
    for (Deadline deadline(kStartTime); !deadline.passed();) {
        if (started->process.ended(kStep))
            return fail(ErrorKind::io, program_ + " ended at once, saying: " + started->said());
        auto socket = UapiSocket::connect(path_);
        if (socket && socket->get()) {
            process_ = std::move(started->process);
            return {};
        }
    }
    static_cast<void>(started->process.end(kEndTime));
    return fail_errno(program_ + " does not answer on " + path_, ETIMEDOUT);
}

Result<> UserspaceWireGuard::remove_socket_file() {
    struct stat status{};
    if (lstat(path_.c_str(), &status) != 0)
        return errno == ENOENT ? Result<>{} : fail_errno("look at " + path_);
    if (!S_ISSOCK(status.st_mode))
        return fail(ErrorKind::exists, path_ + " is no socket; remove it, WireGuard needs the name");
    if (unlink(path_.c_str()) != 0 && errno != ENOENT) return fail_errno("remove " + path_);
    return {};
}

Result<> UserspaceWireGuard::wait_for_device_gone() {
    for (Deadline deadline(kEndTime);;) {
        auto kind = device_kind(interface_);
        if (!kind) return tl::make_unexpected(kind.error());
        if (*kind == DeviceKind::none) return {};
        if (deadline.passed()) return fail_errno(interface_ + " does not go away", ETIMEDOUT);
        std::this_thread::sleep_for(kStep);
    }
}

// Ends the process behind the socket: by signal if it provably is the one, else by taking its socket
// file away, on which wireguard-go ends itself.
Result<> UserspaceWireGuard::let_go(UapiSocket socket) {
    if (auto adopted = adopt(socket); !adopted) return adopted;
    if (process_) {
        if (auto ended = process_->end(kEndTime); !ended) return fail_with(ended, "remove " + interface_);
        process_.reset();
    }
    if (auto removed = remove_socket_file(); !removed) return removed;
    return wait_for_device_gone();
}

Result<> UserspaceWireGuard::remove_device() {
    auto kind = device_kind(interface_);
    if (!kind) return tl::make_unexpected(kind.error());
    auto socket = connect();
    if (socket) return let_go(std::move(*socket));
    if (socket.error().kind() != ErrorKind::not_found) return tl::make_unexpected(socket.error());
    if (*kind != DeviceKind::none) {
        // It may be on its way out.
        if (!wait_for_device_gone()) return taken();
    }
    if (process_ && process_->ended(Milliseconds{0})) process_.reset();
    return remove_socket_file();
}

// A dead child of ours leaves the process table; `not_found` tells the caller to ensure_device().
Error UserspaceWireGuard::reap_and_pass(Error error) {
    if (process_ && process_->ended(Milliseconds{0})) process_.reset();
    return error;
}

Result<WgDevice> UserspaceWireGuard::dump() {
    auto socket = connect();
    if (!socket) return tl::make_unexpected(reap_and_pass(socket.error().wrap("dump " + interface_)));
    auto device = socket->get();
    if (!device) return tl::make_unexpected(reap_and_pass(device.error().wrap("dump " + interface_)));
    auto kind = device_kind(interface_);
    if (!kind) return tl::make_unexpected(kind.error());
    // wireguard-go ends a moment after its device was deleted.
    if (*kind != DeviceKind::tun)
        return fail(ErrorKind::not_found, "dump " + interface_ + ": there is no such device");
    return device;
}

Result<> UserspaceWireGuard::configure(const WgDeviceChange& change, const WgSecrets& secrets) {
    if (change.empty()) return {};
    if (change.set_private_key && secrets.private_key().size() != 32)
        return fail(ErrorKind::internal, "configure " + interface_ + ": the private key has not 32 bytes");
    auto socket = connect();
    if (!socket) return tl::make_unexpected(reap_and_pass(socket.error().wrap("configure " + interface_)));
    WgDeviceChange wanted = change;
    if (wanted.listen_port) {
        auto device = socket->get();
        if (!device)
            return tl::make_unexpected(reap_and_pass(device.error().wrap("configure " + interface_)));
        // wireguard-go closes and opens its sockets, and loses packets, even where the port is the same.
        if (*wanted.listen_port == device->listen_port) wanted.listen_port.reset();
        if (wanted.empty()) return {};
    }
    if (auto sent = socket->set(encode_uapi_device(wanted, secrets)); !sent) {
        std::string what = "configure " + interface_;
        if (wanted.listen_port) what += ", listen port " + std::to_string(*wanted.listen_port);
        return tl::make_unexpected(reap_and_pass(sent.error().wrap(what)));
    }
    return {};
}

Result<> UserspaceWireGuard::apply(const std::vector<WgPeerChange>& changes, const WgSecrets& secrets) {
    if (changes.empty()) return {};
    auto socket = connect();
    if (!socket) return tl::make_unexpected(reap_and_pass(socket.error().wrap("set peers of " + interface_)));
    PublicKey throw_away;
    randombytes_buf(throw_away.bytes.data(), throw_away.bytes.size());
    auto messages = encode_uapi_changes(changes, secrets, throw_away);
    if (!messages) return tl::make_unexpected(messages.error());
    for (const UapiMessage& message : *messages) {
        const auto carried = std::span(changes).subspan(message.first, message.last - message.first);
        if (auto sent = send(*socket, message, carried, secrets, throw_away); !sent)
            return tl::make_unexpected(reap_and_pass(sent.error()));
    }
    return {};
}

// wireguard-go keeps the local address and device at which a peer last spoke to it, and lets go of them when
// sending fails with EINVAL or an IPv4 route changes (conn/bind_linux.go and device/sticky_linux.go). Kernels
// say ENETUNREACH of an address that is no more, and its list of routes ends at the first IPv6 peer. An
// endpoint that is set anew has none of it.
Result<> UserspaceWireGuard::forget_sources(const WgSecrets& secrets, const std::vector<PublicKey>& peers) {
    auto device = dump();
    if (!device) return tl::make_unexpected(device.error());
    std::vector<WgPeerChange> changes;
    for (const WgObservedPeer& peer : device->peers) {
        const bool meant =
            peers.empty() || std::find(peers.begin(), peers.end(), peer.peer.key) != peers.end();
        if (!meant || !peer.peer.endpoint) continue;
        WgPeerChange change;
        change.key = peer.peer.key;
        change.endpoint = peer.peer.endpoint;
        changes.push_back(std::move(change));
    }
    return apply(changes, secrets);
}

// A refusal does not say which peer it is about. Changes may be applied again, so those of the
// transaction go one by one until the one that is refused.
Result<> UserspaceWireGuard::send(UapiSocket& socket, const UapiMessage& message,
                                  std::span<const WgPeerChange> changes, const WgSecrets& secrets,
                                  const PublicKey& throw_away) {
    const Result<> sent = socket.set(message);
    if (sent) return {};
    if (sent.error().kind() == ErrorKind::timeout || sent.error().kind() == ErrorKind::not_found)
        return fail_with(sent, "set peers of " + interface_);
    for (const WgPeerChange& change : changes) {
        // The other side has closed the connection that it refused something on.
        auto fresh = connect();
        if (!fresh) return fail_with(fresh, "set peers of " + interface_);
        auto single = encode_uapi_changes({&change, 1}, secrets, throw_away);
        if (!single) return tl::make_unexpected(single.error());
        for (const UapiMessage& one : *single)
            if (auto done = fresh->set(one); !done)
                return fail_with(done, "set peer " + to_string(change.key) + " of " + interface_);
    }
    auto fresh = connect();
    if (!fresh) return fail_with(fresh, "set peers of " + interface_);
    socket = std::move(*fresh);
    return {};
}

}  // namespace

std::unique_ptr<WireGuard> make_userspace_wireguard(std::string interface, std::string program) {
    return std::make_unique<UserspaceWireGuard>(std::move(interface), std::move(program), false);
}

std::unique_ptr<WireGuard> make_external_wireguard(std::string interface) {
    return std::make_unique<UserspaceWireGuard>(std::move(interface), std::string(), true);
}

}  // namespace wglan
