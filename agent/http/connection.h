// SPDX-License-Identifier: Apache-2.0
// Inner header of agent/http: one connection of the server, from handshake to close.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include <boost/asio/steady_timer.hpp>

#include "agent/http/message.h"
#include "agent/http/server.h"
#include "agent/http/stream.h"

namespace wglan::http {

struct ConnectionContext {
    HttpServerOptions options;
    HttpServer::Handler handler;
};

// Serves requests until one side has enough. `refuse` answers 503 to the first request instead.
Task<void> serve(std::shared_ptr<const ConnectionContext> context, std::shared_ptr<ByteStream> stream,
                 std::optional<IpAddress> client, bool refuse);

// The writer of one response. While the response is open, `watch_client` notices that the client has
// gone; this part is shared with it.
class ResponseWriter final : public HttpWriter {
public:
    ResponseWriter(asio::any_io_executor executor, std::shared_ptr<ByteStream> stream,
                   Milliseconds write_timeout, bool http_1_0, bool head_only);
    ~ResponseWriter() override;

    Task<Result<>> start(HttpResponse head) override;
    Task<Result<>> write(std::string_view chunk) override;
    bool open() const override;
    void set_write_timeout(Milliseconds limit) override { write_timeout_ = limit; }
    void on_close(std::function<void()> callback) override;

    bool started() const { return started_; }
    // Ends the body, half-closes, and waits a moment for the client to close.
    Task<void> finish();

private:
    struct Shared;
    static Task<void> watch_client(std::shared_ptr<Shared> shared);
    static void mark_closed(Shared& shared);
    Task<Result<>> send(std::string bytes);

    std::shared_ptr<Shared> shared_;
    Milliseconds write_timeout_;
    bool http_1_0_, head_only_;
    bool started_ = false;
};

}  // namespace wglan::http
