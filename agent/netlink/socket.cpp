// SPDX-License-Identifier: Apache-2.0
#include "agent/netlink/socket.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>

namespace wglan::rtnl {
namespace {

constexpr std::size_t kFirstBuffer = 64U << 10;
constexpr std::size_t kMaxDatagram = 1U << 20;
constexpr timeval kReplyTimeout{.tv_sec = 5, .tv_usec = 0};

}  // namespace

Result<SocketHandle> open_socket() {
    SocketHandle handle(nl_socket_alloc());
    if (!handle) return fail(ErrorKind::exhausted, "no memory for a netlink socket");
    if (const int error = nl_connect(handle.get(), NETLINK_ROUTE); error < 0) {
        return fail(ErrorKind::io, std::string("cannot open a route netlink socket: ") + nl_geterror(error));
    }
    return handle;
}

Result<Bytes> receive(int fd, std::vector<std::uint8_t>& buffer) {
    if (buffer.empty()) buffer.resize(kFirstBuffer);
    ssize_t size = -1;
    do {
        size = ::recv(fd, nullptr, 0, MSG_PEEK | MSG_TRUNC);
    } while (size < 0 && errno == EINTR);
    if (size < 0) return fail_errno("read from netlink");
    if (static_cast<std::size_t>(size) > kMaxDatagram) {
        ::recv(fd, nullptr, 0, 0);  // or it would be met again for ever
        return fail(ErrorKind::protocol, "a netlink datagram is over 1 MiB");
    }
    if (static_cast<std::size_t>(size) > buffer.size()) buffer.resize(static_cast<std::size_t>(size));

    sockaddr_nl from{};
    socklen_t from_size = sizeof(from);
    do {
        size =
            ::recvfrom(fd, buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from), &from_size);
    } while (size < 0 && errno == EINTR);
    if (size < 0) return fail_errno("read from netlink");
    if (from.nl_pid != 0) return Bytes();
    return Bytes(buffer.data(), static_cast<std::size_t>(size));
}

Result<Socket> Socket::open() {
    auto handle = open_socket();
    if (!handle) return tl::unexpected(handle.error());
    const int fd = nl_socket_get_fd(handle->get());
    if (::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kReplyTimeout, sizeof(kReplyTimeout)) != 0) {
        return fail_errno("set the time limit of a netlink socket");
    }
    // Better messages, and dumps that the kernel filters; either may be missing.
    const int on = 1;
    for (const int option : {NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK}) {
        (void)::setsockopt(fd, SOL_NETLINK, option, &on, sizeof(on));
    }
    return Socket(std::move(*handle));
}

Result<> Socket::read_answer(ReplyReader& reader, const OnMessage& on_message) {
    while (true) {
        const auto datagram = receive(nl_socket_get_fd(handle_.get()), buffer_);
        if (!datagram) {
            if (datagram.error().code() != EAGAIN) return tl::unexpected(datagram.error());
            return fail(ErrorKind::timeout, "the kernel did not answer a netlink request within 5 s");
        }
        const auto complete = reader.feed(*datagram, on_message);
        if (!complete) return tl::unexpected(complete.error());
        if (*complete) return {};
    }
}

Result<bool> Socket::exchange(nlmsghdr* message, const OnMessage& on_message) {
    if (broken_) {
        auto fresh = open();
        if (!fresh) return tl::unexpected(fresh.error());
        *this = std::move(*fresh);
    }
    message->nlmsg_seq = ++sequence_;
    sockaddr_nl kernel{};
    kernel.nl_family = AF_NETLINK;
    ssize_t sent = -1;
    do {
        sent = ::sendto(nl_socket_get_fd(handle_.get()), message, message->nlmsg_len, 0,
                        reinterpret_cast<const sockaddr*>(&kernel), sizeof(kernel));
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) return fail_errno("send a netlink request");

    ReplyReader reader(sequence_);
    if (auto done = read_answer(reader, on_message); !done) {
        broken_ = !reader.complete();
        return tl::unexpected(done.error());
    }
    return !reader.interrupted();
}

Result<> Socket::request(Request& request, const OnMessage& on_message) {
    auto message = request.finish();
    if (!message) return tl::unexpected(message.error());
    (*message)->nlmsg_flags |= NLM_F_ACK;
    const auto done = exchange(*message, on_message ? on_message : [](Bytes) { return Result<>(); });
    if (!done) return tl::unexpected(done.error());
    return {};
}

Result<> Socket::dump(Request& request, const std::function<void()>& reset, const OnMessage& on_message) {
    auto message = request.finish();
    if (!message) return tl::unexpected(message.error());
    (*message)->nlmsg_flags |= NLM_F_DUMP;
    return until_consistent([&] {
        reset();
        return exchange(*message, on_message);
    });
}

}  // namespace wglan::rtnl
