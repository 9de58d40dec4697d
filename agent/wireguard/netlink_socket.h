// SPDX-License-Identifier: Apache-2.0
// One generic netlink socket: sends a request, waits for its answer.
#pragma once

#include <memory>

#include "agent/base/clock.h"
#include "agent/base/result.h"
#include "agent/wireguard/netlink_codec.h"

struct mnl_socket;

namespace wglan {

inline constexpr Milliseconds kWireGuardTimeout{2000};

class NetlinkSocket {
public:
    // Belongs to the calling thread's network namespace for good.
    static Result<NetlinkSocket> open();

    // Sends the request and reads its acknowledgement; `timeout` after 2 s without one.
    Result<> request(NetlinkMessage& message);
    Result<std::uint16_t> family(std::string_view name);
    // One attempt; `conflict` if it was interrupted.
    Result<WgDevice> dump(const NetlinkTarget& target);

private:
    struct Close {
        void operator()(mnl_socket* socket) const noexcept;
    };
    explicit NetlinkSocket(mnl_socket* socket) : socket_(socket) {}

    Result<std::uint32_t> send(NetlinkMessage& message);
    Result<std::span<const std::uint8_t>> receive();

    std::unique_ptr<mnl_socket, Close> socket_;
    WipedBytes buffer_;
    std::uint32_t sequence_ = 0;
};

}  // namespace wglan
