// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <iterator>

#include "agent/netlink/event_codec.h"
#include "agent/netlink/netlink.h"
#include "agent/netlink/socket.h"

namespace wglan {
namespace {

constexpr int kReceiveBuffer = 8 << 20;
// Bounds one call; what is left keeps the socket readable.
constexpr std::size_t kMaxEvents = 16384;

// Leaves out what that socket did to routes: a plan of ours may change thousands.
Result<> leave_out_routes_of(std::uint32_t port, int fd) {
    constexpr auto kTypeAt = offsetof(nlmsghdr, nlmsg_type), kPortAt = offsetof(nlmsghdr, nlmsg_pid);
    // A filter reads these, which are in host byte order, as if they were in network byte order.
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, kTypeAt),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELROUTE), 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kPortAt),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(port), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
    };
    const sock_fprog program{.len = std::size(code), .filter = code};
    if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) != 0)
        return fail_errno("set the filter of the netlink event socket");
    return {};
}

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

Result<std::unique_ptr<NetlinkMonitor>> make_netlink_monitor(std::uint32_t own_port) {
    auto socket = rtnl::open_socket();
    if (!socket) return tl::unexpected(socket.error());
    const int fd = nl_socket_get_fd(socket->get());
    // A storm of events (a CNI restarting) shouldn't overrun; the forced size needs CAP_NET_ADMIN.
    if (::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer, sizeof(kReceiveBuffer)) != 0) {
        (void)::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof(kReceiveBuffer));
    }
    if (auto set = leave_out_routes_of(own_port, fd); !set) return tl::unexpected(set.error());
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
