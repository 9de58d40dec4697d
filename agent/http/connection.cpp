// SPDX-License-Identifier: Apache-2.0
#include "agent/http/connection.h"

#include <algorithm>
#include <array>

#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/this_coro.hpp>

#include "agent/base/log.h"

namespace wglan::http {
namespace {

constexpr std::size_t kReadSize = 8U << 10;
constexpr Milliseconds kLinger{1000};
constexpr std::size_t kLingerBytes = 1U << 20;

SteadyTime after(Milliseconds limit) { return std::chrono::steady_clock::now() + limit; }

// What a connection brought: a request, an error to answer, or neither (it is over).
struct Incoming {
    std::optional<HttpRequest> request;
    std::optional<HttpResponse> refusal;
    bool keep_alive = false;
    bool http_1_0 = false;
};

struct Connection {
    std::shared_ptr<const ConnectionContext> context;
    std::shared_ptr<ByteStream> stream;
    std::optional<IpAddress> client;
    ReadBuffer buffer;

    Task<Incoming> read_request();
    Task<Result<>> read_more();
    Task<bool> answer(HttpResponse response, bool keep_alive, bool head_only);
    Task<bool> handle(Incoming incoming);
    Task<void> linger();
};

Task<Result<>> Connection::read_more() {
    auto size = std::min(kReadSize, buffer.max_size() - buffer.size());
    if (size == 0) co_return fail(ErrorKind::protocol, "a line without an end");
    auto count = co_await stream->read_some(buffer.prepare(size));
    if (!count) co_return Failure(count.error());
    if (*count == 0) co_return fail(ErrorKind::not_found, "closed");
    buffer.commit(*count);
    co_return Result<>{};
}

HttpResponse refusal_of(const RequestParser& parser, const Error& error) {
    if (error.kind() == ErrorKind::exhausted && parser.header_too_long())
        return error_response(431, "the request's header is too long");
    if (error.kind() == ErrorKind::exhausted) return error_response(413, "the request's body is too long");
    return error_response(400, error.message());
}

// Absolute form is for proxies, but servers must take it too (RFC 9112 section 3.2.2).
std::string origin_form(std::string target) {
    for (std::string_view scheme : {"http://", "https://"}) {
        if (!target.starts_with(scheme)) continue;
        auto path = target.find('/', scheme.size());
        return path == std::string::npos ? "/" : target.substr(path);
    }
    return target;
}

std::optional<HttpResponse> check(const RequestParser& parser) {
    if (!parser.http_1_0 && !parser.headers.contains("host"))
        return error_response(400, "the Host header is missing");
    if (auto expect = parser.headers.find("expect");
        expect != parser.headers.end() && expect->second != "100-continue")
        return error_response(417, "only 100-continue can be expected");
    return std::nullopt;
}

Task<Incoming> Connection::read_request() {
    Incoming incoming;
    RequestParser parser(context->options.max_header, context->options.max_body);
    stream->set_deadline(after(context->options.idle_timeout));
    bool checked = false;
    while (true) {
        auto done = parser.feed(buffer);
        if (done && parser.is_header_done() && !checked) {
            checked = true;
            incoming.refusal = check(parser);
            if (incoming.refusal) co_return incoming;
            parser.eager(true);
            if (parser.headers.contains("expect") && buffer.size() == 0 && !parser.is_done())
                done =
                    co_await stream->write(asio::buffer(std::string_view("HTTP/1.1 100 Continue\r\n\r\n")));
            else
                continue;
        }
        if (done && parser.is_done()) break;
        if (done) done = co_await read_more();
        if (done) continue;
        const auto kind = done.error().kind();
        bool answerable = kind == ErrorKind::protocol || kind == ErrorKind::exhausted;
        if (answerable) incoming.refusal = refusal_of(parser, done.error());
        co_return incoming;
    }
    incoming.keep_alive = parser.keep_alive();
    incoming.http_1_0 = parser.http_1_0;
    incoming.request.emplace();
    incoming.request->method = std::move(parser.method);
    incoming.request->target = origin_form(std::move(parser.target));
    incoming.request->headers = std::move(parser.headers);
    incoming.request->body = std::move(parser.body);
    incoming.request->client = client;
    co_return incoming;
}

// True if the connection may go on.
Task<bool> Connection::answer(HttpResponse response, bool keep_alive, bool head_only) {
    std::string bytes =
        response_head(response, "content-length: " + std::to_string(response.body.size()), keep_alive);
    if (!head_only && response.status != 204 && response.status != 304) bytes += response.body;
    // A big response may take several time-outs, as long as each piece is taken in time.
    constexpr std::size_t kPiece = 256U << 10;
    for (std::size_t at = 0; at < bytes.size(); at += kPiece) {
        stream->set_deadline(after(context->options.write_timeout));
        auto piece = asio::buffer(bytes.data() + at, std::min(kPiece, bytes.size() - at));
        auto sent = co_await stream->write(piece);
        if (!sent) {
            stream->close();
            co_return false;
        }
    }
    if (!keep_alive) co_await linger();
    co_return keep_alive;
}

// Closing with unread input makes the kernel send a reset, which can destroy the answer on its way.
Task<void> Connection::linger() {
    stream->shutdown_send();
    stream->set_deadline(after(kLinger));
    std::array<char, 4096> waste{};
    for (std::size_t total = 0; total < kLingerBytes;) {
        auto count = co_await stream->read_some(asio::buffer(waste));
        if (!count || *count == 0) break;
        total += *count;
    }
    stream->close();
}

Task<bool> Connection::handle(Incoming incoming) {
    auto executor = co_await asio::this_coro::executor;
    const bool head_only = incoming.request->method == "HEAD";
    ResponseWriter writer(executor, stream, context->options.write_timeout, incoming.http_1_0, head_only);
    std::optional<HttpResponse> response;
    std::string broken;
    try {
        response = co_await context->handler(*incoming.request, writer);
    } catch (const std::exception& error) {
        broken = error.what();
        if (broken.empty()) broken = "exception";
    }
    // A cancelled connection ends here: the next co_await throws.
    if (writer.started()) {
        if (broken.empty()) co_await writer.finish();
        stream->close();
        co_return false;
    }
    if (!broken.empty() &&
        (co_await asio::this_coro::cancellation_state).cancelled() == asio::cancellation_type::none)
        spdlog::error("HTTP {} {}: {}", incoming.request->method, incoming.request->path(), broken);
    if (!response) response = error_response(500, "internal error");
    co_return co_await answer(std::move(*response), incoming.keep_alive && broken.empty(), head_only);
}

}  // namespace

Task<void> serve(std::shared_ptr<const ConnectionContext> context, std::shared_ptr<ByteStream> stream,
                 std::optional<IpAddress> client, bool refuse) {
    const auto& options = context->options;
    Connection connection{context, stream, client, ReadBuffer(options.max_header + kReadSize)};
    stream->set_deadline(after(options.idle_timeout));
    auto ready = co_await stream->accept_handshake();
    if (ready && refuse) {
        HttpResponse response = error_response(503, "too many connections; try again later");
        response.headers["retry-after"] = "5";
        co_await connection.answer(std::move(response), false, false);
    }
    while (ready && !refuse) {
        auto incoming = co_await connection.read_request();
        if (incoming.refusal) co_await connection.answer(std::move(*incoming.refusal), false, false);
        if (!incoming.request) break;
        bool more = co_await connection.handle(std::move(incoming));
        if (!more) break;
    }
    stream->close();
}

}  // namespace wglan::http
