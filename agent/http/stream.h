// SPDX-License-Identifier: Apache-2.0
// Inner header of agent/http: one connection as bytes with a deadline, whatever is underneath.
#pragma once

#include <memory>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/beast/core/basic_stream.hpp>

#include "agent/base/clock.h"
#include "agent/http/http.h"

namespace wglan::http {

using TcpStream = boost::beast::basic_stream<asio::ip::tcp>;
using LocalStream = boost::beast::basic_stream<asio::local::stream_protocol>;

inline constexpr SteadyTime kNever = SteadyTime::max();

// At most one read and one write at a time. A passed deadline closes the connection.
class ByteStream {
public:
    virtual ~ByteStream() = default;
    // For operations that start later; one that is under way keeps its own.
    virtual void set_deadline(SteadyTime when) = 0;
    // At least one byte, or 0 at a clean end.
    virtual Task<Result<std::size_t>> read_some(asio::mutable_buffer buffer) = 0;
    virtual Task<Result<>> write(asio::const_buffer bytes) = 0;  // all of them
    // Server side of TLS; nothing to do elsewhere.
    virtual Task<Result<>> accept_handshake() = 0;
    virtual void shutdown_send() = 0;
    virtual void close() = 0;
};

std::shared_ptr<ByteStream> make_plain_stream(TcpStream stream);
std::shared_ptr<ByteStream> make_plain_stream(LocalStream stream);
// TLS server side; the handshake is still to be done.
std::shared_ptr<ByteStream> make_tls_server_stream(TcpStream stream,
                                                   std::shared_ptr<asio::ssl::context> context);
// TLS client side: handshakes until `deadline`, verifies chain and `host` (a name or an address).
Task<Result<std::shared_ptr<ByteStream>>> connect_tls(TcpStream stream,
                                                      std::shared_ptr<asio::ssl::context> context,
                                                      std::string host, SteadyTime deadline);

// timeout, protocol (TLS) or what errno says; "context: text".
Failure net_fail(std::string context, const boost::system::error_code& error);

}  // namespace wglan::http
