// SPDX-License-Identifier: Apache-2.0
#include "agent/http/server.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <vector>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "agent/http/connection.h"
#include "agent/http/listener.h"
#include "agent/http/tls.h"

namespace wglan {
namespace {

using asio::ip::tcp;
using asio::local::stream_protocol;
using boost::system::error_code;
using http::ByteStream;

// Connections over the limit that are being told so; beyond these they are closed without a word.
constexpr std::size_t kMaxRefusals = 64;

// Who counts as one client: an IPv6 subscriber has a /64.
IpAddress client_group(const IpAddress& address) {
    if (address.is_v4()) return address;
    auto prefix = Prefix::make(address, 64);
    return prefix ? prefix->address() : address;
}

struct OpenConnection {
    std::shared_ptr<ByteStream> stream;
    asio::cancellation_signal cancel;
    std::optional<IpAddress> group;
};

// Everything the coroutines of a server share; lives until the last of them has ended.
struct State {
    explicit State(asio::io_context& io) : executor(io.get_executor()) {}
    asio::any_io_executor executor;
    std::shared_ptr<http::ConnectionContext> context = std::make_shared<http::ConnectionContext>();
    std::shared_ptr<asio::ssl::context> tls;
    std::unordered_map<std::uint64_t, std::shared_ptr<OpenConnection>> open;
    std::map<IpAddress, std::size_t> per_client;
    std::uint64_t next_id = 1;
    bool stopped = false;
};

void forget(State& state, std::uint64_t id) {
    auto found = state.open.find(id);
    if (found == state.open.end()) return;
    if (found->second->group) {
        auto count = state.per_client.find(*found->second->group);
        if (count != state.per_client.end() && --count->second == 0) state.per_client.erase(count);
    }
    state.open.erase(found);
}

bool too_many(const State& state, const std::optional<IpAddress>& group) {
    const auto& options = state.context->options;
    if (state.open.size() >= options.max_connections) return true;
    if (!group || options.max_connections_per_client == 0) return false;
    auto count = state.per_client.find(*group);
    return count != state.per_client.end() && count->second >= options.max_connections_per_client;
}

void take(const std::shared_ptr<State>& state, std::shared_ptr<ByteStream> stream,
          std::optional<IpAddress> client) {
    std::optional<IpAddress> group;
    if (client) group = client_group(*client);
    const bool refuse = too_many(*state, group);
    if (refuse && state->open.size() >= state->context->options.max_connections + kMaxRefusals) {
        stream->close();
        return;
    }
    auto connection = std::make_shared<OpenConnection>();
    connection->stream = stream;
    connection->group = group;
    if (group) ++state->per_client[*group];
    const auto id = state->next_id++;
    state->open.emplace(id, connection);
    // An exception here is a cancellation, or memory that ran out: either way this connection is over.
    asio::co_spawn(state->executor, http::serve(state->context, std::move(stream), client, refuse),
                   asio::bind_cancellation_slot(connection->cancel.slot(),
                                                [state, connection, id](const std::exception_ptr&) {
                                                    connection->stream->close();
                                                    forget(*state, id);
                                                }));
}

std::optional<IpAddress> unmapped(const asio::ip::address& address) {
    if (address.is_v4()) return IpAddress::v4(address.to_v4().to_bytes());
    auto v6 = address.to_v6();
    if (v6.is_v4_mapped())
        return IpAddress::v4(asio::ip::make_address_v4(asio::ip::v4_mapped, v6).to_bytes());
    return IpAddress::v6(v6.to_bytes());
}

void accepted(const std::shared_ptr<State>& state, tcp::socket socket) {
    error_code error;
    auto remote = socket.remote_endpoint(error);
    if (error) return;  // gone again already
    socket.set_option(tcp::no_delay(true), error);
    socket.set_option(asio::socket_base::keep_alive(true), error);
    http::TcpStream stream(std::move(socket));
    auto bytes = state->tls ? http::make_tls_server_stream(std::move(stream), state->tls)
                            : http::make_plain_stream(std::move(stream));
    take(state, std::move(bytes), unmapped(remote.address()));
}

void accepted(const std::shared_ptr<State>& state, stream_protocol::socket socket) {
    take(state, http::make_plain_stream(http::LocalStream(std::move(socket))), std::nullopt);
}

template <class Acceptor>
Task<void> accept_loop(std::shared_ptr<State> state, std::shared_ptr<Acceptor> acceptor) {
    asio::steady_timer pause(state->executor);
    while (!state->stopped) {
        error_code error;
        auto socket = co_await acceptor->async_accept(asio::redirect_error(asio::use_awaitable, error));
        if (state->stopped) break;
        if (!error) {
            accepted(state, std::move(socket));
            continue;
        }
        if (error == asio::error::operation_aborted) break;
        // Out of file descriptors or memory: connections that end will make room.
        pause.expires_after(Milliseconds(100));
        co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
    }
}

template <class Acceptor>
class Server final : public HttpServer {
public:
    Server(std::shared_ptr<State> state, std::shared_ptr<Acceptor> acceptor, Endpoint local,
           http::SocketFile file)
        : state_(std::move(state)), acceptor_(std::move(acceptor)), local_(local), file_(std::move(file)) {}
    ~Server() override { Server::stop(); }

    Endpoint local() const override { return local_; }
    std::size_t connections() const override { return state_->open.size(); }

    void stop() override {
        if (std::exchange(state_->stopped, true)) return;
        file_.remove();
        error_code ignored;
        acceptor_->close(ignored);
        std::vector<std::shared_ptr<OpenConnection>> open;
        for (auto& [id, connection] : state_->open) open.push_back(connection);
        for (auto& connection : open) connection->cancel.emit(asio::cancellation_type::terminal);
        // Boost 1.81's co_spawn passes the signal on through the executor by bare pointer: the
        // connections must outlive what was just queued.
        asio::post(state_->executor, [open = std::move(open)] {
            for (auto& connection : open) connection->stream->close();
        });
    }

    Result<> reload_certificates() override {
        const auto& options = state_->context->options;
        if (!state_->tls) return {};
        auto context = http::make_server_context(options.certificate_file, options.key_file);
        if (!context) return Failure(context.error());
        state_->tls = std::move(*context);
        return {};
    }

private:
    std::shared_ptr<State> state_;
    std::shared_ptr<Acceptor> acceptor_;
    Endpoint local_;
    http::SocketFile file_;
};

template <class Acceptor>
std::unique_ptr<HttpServer> run(std::shared_ptr<State> state, std::shared_ptr<Acceptor> acceptor,
                                Endpoint local, http::SocketFile file) {
    asio::co_spawn(state->executor, accept_loop(state, acceptor), asio::detached);
    return std::make_unique<Server<Acceptor>>(std::move(state), std::move(acceptor), local, std::move(file));
}

}  // namespace

Result<std::unique_ptr<HttpServer>> listen_tcp(asio::io_context& io, Endpoint where,
                                               HttpServerOptions options, HttpServer::Handler handler) {
    auto state = std::make_shared<State>(io);
    if (options.certificate_file.empty() != options.key_file.empty())
        return fail(ErrorKind::invalid, "TLS needs both a certificate file and a key file");
    if (!options.certificate_file.empty()) {
        auto context = http::make_server_context(options.certificate_file, options.key_file);
        if (!context) return Failure(context.error());
        state->tls = std::move(*context);
    }
    auto fd = http::bind_tcp(where);
    if (!fd) return Failure(fd.error());
    auto local = http::local_endpoint(fd->get());
    if (!local) return Failure(local.error());
    state->context->options = std::move(options);
    state->context->handler = std::move(handler);
    auto protocol = where.address.is_v4() ? tcp::v4() : tcp::v6();
    auto acceptor = std::make_shared<tcp::acceptor>(io);
    error_code error;
    acceptor->assign(protocol, fd->get(), error);
    if (error) return http::net_fail("listen on " + where.to_string(), error);
    [[maybe_unused]] int given = fd->release();
    return run(std::move(state), std::move(acceptor), *local, {});
}

Result<> remove_stale_socket(const std::string& path) { return http::remove_stale_socket(path); }

Result<std::unique_ptr<HttpServer>> listen_unix(asio::io_context& io, const std::string& path,
                                                HttpServerOptions options, HttpServer::Handler handler) {
    auto state = std::make_shared<State>(io);
    auto listener = http::bind_unix(path, options.unix_mode, options.unix_gid);
    if (!listener) return Failure(listener.error());
    state->context->options = std::move(options);
    state->context->handler = std::move(handler);
    auto acceptor = std::make_shared<stream_protocol::acceptor>(io);
    error_code error;
    acceptor->assign(stream_protocol(), listener->fd.get(), error);
    if (error) return http::net_fail("listen on " + path, error);
    [[maybe_unused]] int given = listener->fd.release();
    return run(std::move(state), std::move(acceptor), Endpoint{}, std::move(listener->file));
}

HttpResponse error_response(unsigned status, std::string_view text) {
    HttpResponse response;
    response.status = status;
    response.body = "{\"error\":\"";
    for (char c : text) {
        if (c == '"' || c == '\\') response.body += '\\';
        response.body += c >= ' ' && c < 0x7f ? c : '?';
    }
    response.body += "\"}\n";
    return response;
}

}  // namespace wglan
