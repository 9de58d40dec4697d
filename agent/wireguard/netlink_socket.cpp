// SPDX-License-Identifier: Apache-2.0
#include "agent/wireguard/netlink_socket.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>

#include <libmnl/libmnl.h>

namespace wglan {
namespace {

// The kernel fills dump messages up to the size that the reader last offered, at most 32 KiB
// (netlink_recvmsg, netlink_dump).
constexpr std::size_t kReceiveBuffer = 32768;

}  // namespace

void NetlinkSocket::Close::operator()(mnl_socket* socket) const noexcept { mnl_socket_close(socket); }

Result<NetlinkSocket> NetlinkSocket::open() {
    NetlinkSocket socket(mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC));
    if (!socket.socket_) return fail_errno("open a generic netlink socket");
    if (mnl_socket_bind(socket.socket_.get(), 0, MNL_SOCKET_AUTOPID) < 0)
        return fail_errno("bind a generic netlink socket");
    const timeval limit{kWireGuardTimeout.count() / 1000, 0};
    const int fd = mnl_socket_get_fd(socket.socket_.get());
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0)
        return fail_errno("set the time-out of a generic netlink socket");
    // A refusal would otherwise quote the request, keys and all.
    const int on = 1;
    if (mnl_socket_setsockopt(socket.socket_.get(), NETLINK_CAP_ACK, const_cast<int*>(&on), sizeof on) < 0)
        return fail_errno("shorten the acknowledgements of a generic netlink socket");
    socket.buffer_.reserve(kReceiveBuffer);
    return socket;
}

Result<std::uint32_t> NetlinkSocket::send(NetlinkMessage& message) {
    // Zero would match the kernel's own notifications.
    if (++sequence_ == 0) ++sequence_;
    reinterpret_cast<nlmsghdr*>(message.bytes.data())->nlmsg_seq = sequence_;
    if (mnl_socket_sendto(socket_.get(), message.bytes.data(), message.bytes.size()) < 0)
        return fail_errno("send a netlink request");
    return sequence_;
}

Result<std::span<const std::uint8_t>> NetlinkSocket::receive() {
    ssize_t got = 0;
    do got = mnl_socket_recvfrom(socket_.get(), buffer_.data(), buffer_.capacity());
    while (got < 0 && errno == EINTR);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return fail_errno("no answer from the kernel within 2 s", ETIMEDOUT);
    if (got < 0) return fail_errno("read a netlink answer");
    return std::span<const std::uint8_t>{buffer_.data(), static_cast<std::size_t>(got)};
}

Result<> NetlinkSocket::request(NetlinkMessage& message) {
    auto sequence = send(message);
    if (!sequence) return tl::make_unexpected(sequence.error());
    for (;;) {
        auto datagram = receive();
        if (!datagram) return tl::make_unexpected(datagram.error());
        auto state = parse_ack(*datagram, *sequence);
        if (!state) return tl::make_unexpected(state.error());
        if (*state == ReplyState::done) return {};
    }
}

Result<std::uint16_t> NetlinkSocket::family(std::string_view name) {
    NetlinkMessage message = encode_family_request(name);
    auto sequence = send(message);
    if (!sequence) return tl::make_unexpected(sequence.error());
    std::optional<std::uint16_t> id;
    for (;;) {
        auto datagram = receive();
        if (!datagram) return tl::make_unexpected(datagram.error());
        if (auto found = parse_family_reply(*datagram)) id = *found;
        auto state = parse_ack(*datagram, *sequence);
        if (!state) return tl::make_unexpected(state.error());
        if (*state == ReplyState::done) break;
    }
    if (!id) return fail(ErrorKind::protocol, "the kernel named no id for the netlink family");
    return *id;
}

Result<WgDevice> NetlinkSocket::dump(const NetlinkTarget& target) {
    NetlinkMessage message = encode_dump_request(target);
    auto sequence = send(message);
    if (!sequence) return tl::make_unexpected(sequence.error());
    NetlinkDump dump(*sequence);
    for (;;) {
        auto datagram = receive();
        if (!datagram) return tl::make_unexpected(datagram.error());
        auto state = dump.feed(*datagram);
        buffer_.wipe();
        if (!state) return tl::make_unexpected(state.error());
        if (*state == ReplyState::done) return dump.take();
    }
}

}  // namespace wglan
