// SPDX-License-Identifier: Apache-2.0
#include "agent/wireguard/uapi_socket.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "agent/wireguard/netlink_socket.h"

namespace wglan {
namespace {

constexpr std::size_t kReadSize = 65536;

Failure gone(std::string context) {
    return fail(ErrorKind::not_found, std::move(context) + ": the process went away");
}

bool is_timeout(int code) { return code == EAGAIN || code == EWOULDBLOCK; }

}  // namespace

std::string uapi_socket_path(const std::string& interface) {
    return "/var/run/wireguard/" + interface + ".sock";
}

Result<UapiSocket> UapiSocket::connect(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return fail(ErrorKind::invalid, "socket path is too long: " + path);
    std::memcpy(address.sun_path, path.data(), path.size());

    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd.valid()) return fail_errno("make a socket");
    const timeval limit{kWireGuardTimeout.count() / 1000, 0};
    if (setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
        setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0)
        return fail_errno("set the time-out of a socket");
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        if (errno == ECONNREFUSED || errno == ENOENT)
            return fail(ErrorKind::not_found, "no WireGuard process answers on " + path);
        // SO_SNDTIMEO bounds the wait for a place in the listener's queue.
        if (is_timeout(errno)) return fail_errno("connect to " + path, ETIMEDOUT);
        return fail_errno("connect to " + path);
    }
    return UapiSocket(std::move(fd));
}

Result<> UapiSocket::write(std::string_view text) {
    while (!text.empty()) {
        const ssize_t sent = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && is_timeout(errno)) return fail_errno("write to the WireGuard process", ETIMEDOUT);
        if (sent < 0) return gone("write to the WireGuard process");
        text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return {};
}

Result<> UapiSocket::read(UapiReply& reply) {
    WipedBytes buffer(kReadSize);
    for (;;) {
        const ssize_t got = ::recv(fd_.get(), buffer.data(), buffer.capacity(), 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && is_timeout(errno))
            return fail_errno("no answer from the WireGuard process within 2 s", ETIMEDOUT);
        if (got <= 0) return gone("read from the WireGuard process");
        buffer.claim(static_cast<std::size_t>(got));
        auto whole = reply.feed(buffer.text());
        if (!whole) return tl::make_unexpected(whole.error());
        if (*whole) return {};
    }
}

// The other side answers at the first line that it refuses and takes no more, so an answer may be there
// although the write failed.
Result<> UapiSocket::exchange(std::string_view text, UapiReply& reply) {
    const Result<> sent = write(text);
    if (!sent && sent.error().kind() == ErrorKind::timeout) return sent;
    if (auto got = read(reply); !got) return got;
    if (reply.code() != 0) return fail_errno("the WireGuard process refused", reply.code());
    return sent;
}

Result<WgDevice> UapiSocket::get() {
    UapiReply reply;
    if (auto done = exchange(kUapiGet, reply); !done) return tl::make_unexpected(done.error());
    return reply.take();
}

Result<> UapiSocket::set(const UapiMessage& message) {
    UapiReply reply;
    return exchange(message.text.text(), reply);
}

pid_t UapiSocket::listener() const {
    ucred credentials{};
    socklen_t size = sizeof credentials;
    if (getsockopt(fd_.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return 0;
    return credentials.pid;
}

}  // namespace wglan
