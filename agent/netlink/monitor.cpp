// SPDX-License-Identifier: Apache-2.0
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>

#include "agent/netlink/event_codec.h"
#include "agent/netlink/netlink.h"
#include "agent/netlink/socket.h"

namespace wglan {
namespace {

constexpr int kReceiveBuffer = 8 << 20;
// Bounds one call; what is left keeps the socket readable.
constexpr std::size_t kMaxEvents = 16384;

class KernelMonitor final : public NetlinkMonitor {
public:
    explicit KernelMonitor(rtnl::SocketHandle socket) : socket_(std::move(socket)) {}

    int fd() const override { return nl_socket_get_fd(socket_.get()); }

    Result<std::vector<NetlinkEvent>> read_events() override {
        std::vector<NetlinkEvent> events;
        while (events.size() < kMaxEvents) {
            const auto datagram = rtnl::receive(fd(), buffer_);
            if (datagram) {
                rtnl::parse_events(*datagram, events);
            } else if (datagram.error().code() == EAGAIN) {
                break;
            } else if (datagram.error().code() == ENOBUFS) {
                events.emplace_back();
            } else {
                return fail_with(datagram, "read netlink events");
            }
        }
        return events;
    }

private:
    rtnl::SocketHandle socket_;
    std::vector<std::uint8_t> buffer_;
};

}  // namespace

Result<std::unique_ptr<NetlinkMonitor>> make_netlink_monitor() {
    auto socket = rtnl::open_socket();
    if (!socket) return tl::unexpected(socket.error());
    const int fd = nl_socket_get_fd(socket->get());
    // A storm of events (a CNI restarting) shouldn't overrun; the forced size needs CAP_NET_ADMIN.
    if (::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer, sizeof(kReceiveBuffer)) != 0) {
        (void)::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof(kReceiveBuffer));
    }
    for (const int group : {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
                            RTNLGRP_IPV6_ROUTE, RTNLGRP_NEIGH}) {
        if (nl_socket_add_memberships(socket->get(), group, 0) < 0) {
            return fail(ErrorKind::io, "cannot join a netlink multicast group");
        }
    }
    if (nl_socket_set_nonblocking(socket->get()) < 0) {
        return fail(ErrorKind::io, "cannot make the netlink event socket non-blocking");
    }
    return std::make_unique<KernelMonitor>(std::move(*socket));
}

}  // namespace wglan
