// SPDX-License-Identifier: Apache-2.0
#include "agent/http/dial.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "agent/http/resolve.h"

namespace wglan::http {
namespace {

using asio::ip::tcp;
using boost::system::error_code;

SteadyTime step(Milliseconds limit, SteadyTime overall) {
    return std::min(std::chrono::steady_clock::now() + limit, overall);
}

tcp::endpoint to_asio(const Endpoint& endpoint) {
    auto bytes = endpoint.address.bytes();
    if (endpoint.address.is_v4()) {
        asio::ip::address_v4::bytes_type raw{};
        std::copy(bytes.begin(), bytes.end(), raw.begin());
        return {asio::ip::address_v4(raw), endpoint.port};
    }
    asio::ip::address_v6::bytes_type raw{};
    std::copy(bytes.begin(), bytes.end(), raw.begin());
    return {asio::ip::address_v6(raw), endpoint.port};
}

// The mark must stand before the first packet, or steering could take the SYN.
Result<> prepare(TcpStream& stream, const tcp::endpoint& where, std::uint32_t mark) {
    error_code error;
    stream.socket().open(where.protocol(), error);
    if (error) return net_fail("socket", error);
    stream.socket().set_option(tcp::no_delay(true), error);
    stream.socket().set_option(asio::socket_base::keep_alive(true), error);
    // A watch says nothing for long. What lies between - a NAT that was rebooted, say - may have forgotten
    // it.
    for (const auto& [option, value] : {std::pair{TCP_KEEPIDLE, 10}, {TCP_KEEPINTVL, 2}, {TCP_KEEPCNT, 3}})
        (void)::setsockopt(stream.socket().native_handle(), IPPROTO_TCP, option, &value, sizeof value);
    if (mark != 0 &&
        ::setsockopt(stream.socket().native_handle(), SOL_SOCKET, SO_MARK, &mark, sizeof mark) != 0)
        return fail_errno("set SO_MARK (needs CAP_NET_ADMIN)", errno);
    return {};
}

Task<Result<TcpStream>> connect_one(Endpoint endpoint, std::uint32_t mark, SteadyTime deadline) {
    TcpStream stream(co_await asio::this_coro::executor);
    auto where = to_asio(endpoint);
    auto ready = prepare(stream, where, mark);
    if (!ready) co_return Failure(ready.error());
    stream.expires_at(deadline);
    error_code error;
    co_await stream.async_connect(where, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return net_fail("connect " + endpoint.to_string(), error);
    stream.expires_never();
    co_return std::move(stream);
}

// The connect time is shared out among the addresses that are left, so that a dead first one leaves
// time for the others.
Task<Result<TcpStream>> connect_any(std::vector<Endpoint> endpoints, std::uint32_t mark,
                                    SteadyTime deadline) {
    std::string errors;
    ErrorKind kind = ErrorKind::io;
    for (std::size_t i = 0; i < endpoints.size(); ++i) {
        auto now = std::chrono::steady_clock::now();
        auto share = (deadline - now) / static_cast<long>(endpoints.size() - i);
        auto stream = co_await connect_one(endpoints[i], mark, now + share);
        if (stream) co_return std::move(*stream);
        kind = stream.error().kind();
        if (errors.size() < 512) errors += (errors.empty() ? "" : "; ") + stream.error().message();
    }
    co_return fail(kind, errors);
}

Task<Result<std::shared_ptr<ByteStream>>> dial_unix(std::string path, SteadyTime deadline) {
    asio::local::stream_protocol::endpoint where;
    try {
        where = asio::local::stream_protocol::endpoint(path);
    } catch (const boost::system::system_error&) {
        co_return fail(ErrorKind::invalid, "socket path " + path + " is too long (107 characters at most)");
    }
    LocalStream stream(co_await asio::this_coro::executor);
    stream.expires_at(deadline);
    error_code error;
    co_await stream.async_connect(where, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return net_fail("connect " + path, error);
    stream.expires_never();
    co_return make_plain_stream(std::move(stream));
}

}  // namespace

Task<Result<std::shared_ptr<ByteStream>>> dial(const Target& target, SteadyTime overall) {
    const auto limit = target.options.connect_timeout;
    if (!target.unix_path.empty()) co_return co_await dial_unix(target.unix_path, step(limit, overall));
    auto endpoints =
        co_await resolve(target.url.host, target.url.port, target.options.socket_mark, step(limit, overall));
    if (!endpoints) co_return Failure(endpoints.error());
    auto stream =
        co_await connect_any(std::move(*endpoints), target.options.socket_mark, step(limit, overall));
    if (!stream) co_return Failure(stream.error());
    if (!target.url.tls) co_return make_plain_stream(std::move(*stream));
    const auto& name = target.options.server_name;
    co_return co_await connect_tls(std::move(*stream), target.context, name.empty() ? target.url.host : name,
                                   step(limit, overall));
}

}  // namespace wglan::http
