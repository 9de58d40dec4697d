// SPDX-License-Identifier: Apache-2.0
#include <array>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "agent/http/connection.h"

namespace wglan::http {
namespace {

constexpr Milliseconds kLinger{1000};

SteadyTime after(Milliseconds limit) { return std::chrono::steady_clock::now() + limit; }

}  // namespace

struct ResponseWriter::Shared {
    Shared(asio::any_io_executor executor, std::shared_ptr<ByteStream> s)
        : stream(std::move(s)), ended(std::move(executor), kNever) {}
    std::shared_ptr<ByteStream> stream;
    asio::steady_timer ended;  // cancelled when the client's side has ended
    std::function<void()> callback;
    bool closed = false;
};

ResponseWriter::ResponseWriter(asio::any_io_executor executor, std::shared_ptr<ByteStream> stream,
                               Milliseconds write_timeout, bool http_1_0, bool head_only)
    : shared_(std::make_shared<Shared>(std::move(executor), std::move(stream))),
      write_timeout_(write_timeout),
      http_1_0_(http_1_0),
      head_only_(head_only) {}

// The handler is gone: nobody may be called back any more.
ResponseWriter::~ResponseWriter() { shared_->callback = nullptr; }

void ResponseWriter::mark_closed(Shared& shared) {
    if (shared.closed) return;
    shared.closed = true;
    shared.ended.cancel();
    if (auto callback = std::exchange(shared.callback, nullptr)) callback();
}

// Whatever comes after the request is thrown away: a streamed response is the connection's last.
Task<void> ResponseWriter::watch_client(std::shared_ptr<Shared> shared) {
    std::array<char, 256> waste{};
    while (true) {
        auto count = co_await shared->stream->read_some(asio::buffer(waste));
        if (!count || *count == 0) break;
    }
    mark_closed(*shared);
}

Task<Result<>> ResponseWriter::send(std::string bytes) {
    shared_->stream->set_deadline(after(write_timeout_));
    auto sent = co_await shared_->stream->write(asio::buffer(bytes));
    if (!sent) {
        shared_->stream->close();
        mark_closed(*shared_);
    }
    co_return sent;
}

Task<Result<>> ResponseWriter::start(HttpResponse head) {
    if (started_) co_return fail(ErrorKind::internal, "the response was started already");
    started_ = true;
    const std::string framing = http_1_0_ ? "" : "transfer-encoding: chunked";
    std::string bytes = response_head(head, framing, false);
    auto sent = co_await send(std::move(bytes));
    if (!sent) co_return sent;
    shared_->stream->set_deadline(kNever);
    asio::co_spawn(shared_->ended.get_executor(), watch_client(shared_), asio::detached);
    co_return Result<>{};
}

Task<Result<>> ResponseWriter::write(std::string_view bytes) {
    if (!started_ || shared_->closed) co_return fail(ErrorKind::io, "the client is gone");
    if (bytes.empty() || head_only_) co_return Result<>{};
    // A name of its own: GCC 12 destroys temporaries of a conditional inside a co_await twice.
    std::string framed = http_1_0_ ? std::string(bytes) : chunk(bytes);
    co_return co_await send(std::move(framed));
}

bool ResponseWriter::open() const { return started_ && !shared_->closed; }

void ResponseWriter::on_close(std::function<void()> callback) { shared_->callback = std::move(callback); }

Task<void> ResponseWriter::finish() {
    shared_->callback = nullptr;
    if (!open()) co_return;
    if (!http_1_0_ && !head_only_) {
        std::string end = "0\r\n\r\n";
        auto sent = co_await send(std::move(end));
        if (!sent) co_return;
    }
    shared_->stream->shutdown_send();
    shared_->ended.expires_after(kLinger);
    boost::system::error_code ignored;
    if (open()) co_await shared_->ended.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

}  // namespace wglan::http
