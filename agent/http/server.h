// SPDX-License-Identifier: Apache-2.0
// HTTP server: plain TCP, TLS or a UNIX socket; keep-alive; limits on header, body, idle time and
// the number of connections (more are refused with 503).
#pragma once

#include <functional>
#include <memory>

#include "agent/http/http.h"

namespace wglan {

struct HttpServerOptions {
    std::size_t max_body = 64U << 10;    // over it: 413
    std::size_t max_header = 16U << 10;  // over it: 431
    std::size_t max_connections = 4096;
    std::size_t max_connections_per_client = 0;      // an address, or an IPv6 /64; 0 = no limit
    std::chrono::milliseconds idle_timeout{30000};   // for a whole request, or a TLS handshake, to arrive
    std::chrono::milliseconds write_timeout{10000};  // a reader that takes nothing so long is cut off
    std::string certificate_file, key_file;          // both set = TLS
    unsigned unix_mode = 0600;                       // of a UNIX socket's file
    int unix_gid = -1;                               // group owner of it, -1 = leave
};

// Given to a streaming handler: writes chunks of an open response.
class HttpWriter {
public:
    virtual ~HttpWriter() = default;
    // Sends the status line and headers; then chunks; the handler's return ends the body.
    virtual Task<Result<>> start(HttpResponse head) = 0;       // head.body is ignored
    virtual Task<Result<>> write(std::string_view chunk) = 0;  // error = the client is gone
    virtual bool open() const = 0;
    // In the place of the server's, for chunks from now on.
    virtual void set_write_timeout(std::chrono::milliseconds limit) = 0;
    // Called once on the loop when an open response loses its client, or the server stops; so that a
    // handler that waits for news can wake up.
    virtual void on_close(std::function<void()> callback) = 0;
};

class HttpServer {
public:
    // Returns the response, or nullopt after having streamed one through the writer.
    using Handler = std::function<Task<std::optional<HttpResponse>>(const HttpRequest&, HttpWriter&)>;
    virtual ~HttpServer() = default;     // closes listener and connections
    virtual Endpoint local() const = 0;  // for port 0; unspecified for UNIX sockets
    // Stops accepting and cancels open connections: a handler that is waiting is unwound by an
    // exception at its co_await. That happens on the loop, maybe after this server is gone, so a
    // handler holds what it uses by shared_ptr.
    virtual void stop() = 0;
    virtual std::size_t connections() const = 0;
    // Reads certificate and key again, for connections from now on; on an error the old ones stay.
    virtual Result<> reload_certificates() = 0;
};

Result<std::unique_ptr<HttpServer>> listen_tcp(asio::io_context& io, Endpoint where,
                                               HttpServerOptions options, HttpServer::Handler handler);
// Replaces a stale socket file (nobody accepts); `exists` if somebody does. Makes the folder (0755).
Result<std::unique_ptr<HttpServer>> listen_unix(asio::io_context& io, const std::string& path,
                                                HttpServerOptions options, HttpServer::Handler handler);

// A socket file that nobody listens on goes; fine when there is none. An error, and all stays, where somebody
// does, or it is a file of another kind.
Result<> remove_stale_socket(const std::string& path);

// {"error": text} with that status. Bytes of `text` that aren't printable ASCII come out as '?'.
HttpResponse error_response(unsigned status, std::string_view text);

}  // namespace wglan
