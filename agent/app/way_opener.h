// SPDX-License-Identifier: Apache-2.0
// Opens the NATs before this host, and one host further each time that an answer shows that to be needed
// (agent/probe/opening.h).
#pragma once

#include <functional>

#include <boost/asio/posix/stream_descriptor.hpp>

#include "agent/app/handshake_clones.h"
#include "agent/probe/opening.h"

namespace wglan {

// Without the right to raw sockets it opens nothing, which the log tells at debug level: a search takes
// longer then, or needs the peer's help.
class SocketWayOpener final : public WayOpener {
public:
    // `mark`: of outer packets. `port`: WireGuard's; 0 = it has none yet.
    SocketWayOpener(boost::asio::io_context& io, std::uint32_t mark, std::function<std::uint16_t()> port);

    void open_way(const Endpoint& to) override;
    void stop();

private:
    void send(const Endpoint& to, unsigned hosts);
    void wait_for_answers();

    std::function<std::uint16_t()> port_;
    Result<OpeningSocket> socket_;
    Openings openings_;
    boost::asio::posix::stream_descriptor answers_;
};

}  // namespace wglan
