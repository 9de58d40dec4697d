// SPDX-License-Identifier: Apache-2.0
// One NETLINK_ROUTE socket: sends a request and reads its whole answer.
#pragma once

#include <memory>
#include <vector>

#include <netlink/netlink.h>
#include <netlink/socket.h>

#include "agent/netlink/reply.h"

namespace wglan::rtnl {

struct SocketFree {
    void operator()(nl_sock* socket) const noexcept { nl_socket_free(socket); }
};
using SocketHandle = std::unique_ptr<nl_sock, SocketFree>;

// A connected NETLINK_ROUTE socket (close-on-exec).
Result<SocketHandle> open_socket();

// The next datagram from the kernel, whole, into `buffer` (which grows as needed, to 1 MiB).
// Empty = it came from another process and is ignored. Errors keep errno in code(): EAGAIN where
// nothing is queued (or the time is up), ENOBUFS after an overrun.
Result<Bytes> receive(int fd, std::vector<std::uint8_t>& buffer);

class Socket {
public:
    static Result<Socket> open();

    std::uint32_t port() const { return nl_socket_get_local_port(handle_.get()); }
    // Sends with NLM_F_ACK and waits for the acknowledgement, at most 5 s (`timeout`).
    Result<> request(Request& request, const OnMessage& on_message = {});
    // A dump, made again while interrupted. `reset` runs before each try and drops what an earlier
    // one handed out.
    Result<> dump(Request& request, const std::function<void()>& reset, const OnMessage& on_message);

private:
    explicit Socket(SocketHandle handle) : handle_(std::move(handle)) {}
    // True = consistent.
    Result<bool> exchange(nlmsghdr* message, const OnMessage& on_message);
    Result<> read_answer(ReplyReader& reader, const OnMessage& on_message);

    SocketHandle handle_;
    // An answer was given up half-read: a new socket is cheaper than telling its rest apart.
    bool broken_ = false;
    std::vector<std::uint8_t> buffer_;
    std::uint32_t sequence_ = 0;
};

}  // namespace wglan::rtnl
