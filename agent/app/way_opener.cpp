// SPDX-License-Identifier: Apache-2.0
#include "agent/app/way_opener.h"

#include <unistd.h>

#include <utility>

#include "agent/base/log.h"

namespace wglan {

SocketWayOpener::SocketWayOpener(boost::asio::io_context& io, std::uint32_t mark,
                                 std::function<std::uint16_t()> port)
    : port_(std::move(port)), socket_(OpeningSocket::open(mark)), answers_(io) {
    if (!socket_) {
        spdlog::debug("NATs aren't opened beforehand: {}", socket_.error().message());
        return;
    }
    answers_.assign(::dup(socket_->fd()));
    wait_for_answers();
}

void SocketWayOpener::open_way(const Endpoint& to) { send(to, openings_.begin(to, system_clock().now())); }

void SocketWayOpener::stop() {
    boost::system::error_code ignored;
    answers_.close(ignored);
}

void SocketWayOpener::send(const Endpoint& to, unsigned hosts) {
    const std::uint16_t port = port_();
    if (!socket_ || port == 0) return;
    if (auto sent = socket_->send(to, port, hosts); !sent) spdlog::debug("{}", sent.error().message());
}

void SocketWayOpener::wait_for_answers() {
    answers_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                        [this](const boost::system::error_code& error) {
                            if (error) return;
                            const SteadyTime now = system_clock().now();
                            for (const OpeningAnswer& answer : socket_->read())
                                if (const auto hosts = openings_.answered(answer, now))
                                    send(answer.to, *hosts);
                            wait_for_answers();
                        });
}

}  // namespace wglan
