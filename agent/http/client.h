// SPDX-License-Identifier: Apache-2.0
// HTTP client: one connection a request (or a stream), deadlines on every step, limits on every
// size. Sockets can carry SO_MARK so that steering never takes them.
#pragma once

#include <memory>

#include "agent/base/keys.h"
#include "agent/http/http.h"

namespace wglan {

struct HttpClientOptions {
    std::string ca_file;                               // PEM; "" = the system's
    std::string ca_pem;                                // the same as text; goes before ca_file
    std::string server_name;                           // that the certificate must have; "" = the URL's host
    std::string certificate_pem;                       // of this client, with its chain; "" = none
    std::shared_ptr<const Secret> key_pem;             // belongs to it
    std::uint32_t socket_mark = 0;                     // SO_MARK, 0 = none
    std::chrono::milliseconds connect_timeout{5000};   // name look-up, connect and TLS handshake, each
    std::chrono::milliseconds request_timeout{10000};  // whole request of `request`
    std::size_t max_body = 8U << 20;
    std::size_t max_line = 64U << 10;  // of a stream
};

// A response whose body is newline-delimited text that goes on and on (chunked or not).
class HttpStream {
public:
    virtual ~HttpStream() = default;
    virtual unsigned status() const = 0;
    virtual const HttpHeaders& headers() const = 0;
    // The next line without its end; `timeout` if none comes in time, `exhausted` if it is over
    // max_line, not_found at a clean end of the body, io otherwise. After an error the stream is closed.
    virtual Task<Result<std::string>> read_line(std::chrono::milliseconds limit) = 0;
    virtual void close() = 0;  // cancels a pending read_line
};

// Awaited in a coroutine on the io_context; a cancelled await closes the connection. Client and stream
// may be destroyed while a call is under way.
class HttpClient {
public:
    virtual ~HttpClient() = default;
    virtual Task<Result<HttpResponse>> request(HttpRequest request) = 0;  // target is below the URL's path
    virtual Task<Result<std::unique_ptr<HttpStream>>> stream(HttpRequest request) = 0;
};

// Certificate and host name are verified for https. Fails on an unreadable ca_file, or PEM that is none.
Result<std::unique_ptr<HttpClient>> make_http_client(asio::io_context& io, Url url,
                                                     HttpClientOptions options);
// Over a UNIX stream socket.
std::unique_ptr<HttpClient> make_unix_http_client(asio::io_context& io, std::string socket_path,
                                                  HttpClientOptions options = {});

}  // namespace wglan
