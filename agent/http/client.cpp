// SPDX-License-Identifier: Apache-2.0
#include "agent/http/client.h"

#include <algorithm>
#include <optional>

#include "agent/http/dial.h"
#include "agent/http/lines.h"
#include "agent/http/message.h"
#include "agent/http/tls.h"

namespace wglan {
namespace {

using http::ByteStream;
using http::ReadBuffer;
using http::ResponseParser;

constexpr std::size_t kMaxHeader = 32U << 10;
constexpr std::size_t kReadSize = 16U << 10;
constexpr int kMaxInterim = 8;  // 1xx responses in front of the real one

SteadyTime after(Milliseconds limit) { return std::chrono::steady_clock::now() + limit; }

// One exchange: connection, what was read and not yet parsed, and the response so far.
struct Exchange {
    std::shared_ptr<ByteStream> stream;
    ReadBuffer buffer{kMaxHeader + kReadSize};
    std::optional<ResponseParser> parser;
    bool ended = false;

    ~Exchange() {
        if (stream) stream->close();
    }

    void expect(bool head_only, std::size_t max_body) {
        parser.emplace(kMaxHeader, max_body);
        if (head_only) parser->skip(true);
        parser->eager(true);
    }

    // Reads once and parses; sets `ended` when the body is complete.
    Task<Result<>> advance() {
        auto before = buffer.size();
        if (before + 1 > buffer.max_size()) co_return fail(ErrorKind::protocol, "a line without an end");
        auto space = buffer.prepare(std::min(kReadSize, buffer.max_size() - before));
        auto count = co_await stream->read_some(space);
        if (!count) co_return Failure(count.error());
        if (*count == 0) {
            ended = true;
            co_return parser->finish();
        }
        buffer.commit(*count);
        co_return parse();
    }

    Result<> parse() {
        auto fed = parser->feed(buffer);
        ended = parser->is_done();
        return fed;
    }
};

// What was said may hold a token, however the saying ends.
struct Wiper {
    std::string& text;
    ~Wiper() { wipe(text); }
};

std::string host_header(const http::Target& target) {
    if (!target.unix_path.empty()) return "localhost";
    const auto& url = target.url;
    std::string host = url.host.find(':') != std::string::npos ? "[" + url.host + "]" : url.host;
    return url.port == (url.tls ? 443 : 80) ? host : host + ":" + std::to_string(url.port);
}

// Connects, sends the request and reads until the header of the final response is there.
Task<Result<std::shared_ptr<Exchange>>> open(const http::Target& target, HttpRequest request,
                                             SteadyTime deadline, std::size_t max_body) {
    auto head = http::request_head(request, host_header(target), target.url.path);
    if (const auto it = request.headers.find("authorization"); it != request.headers.end()) wipe(it->second);
    if (!head) co_return Failure(head.error());
    const Wiper wiper{*head};
    auto stream = co_await http::dial(target, deadline);
    if (!stream) co_return Failure(stream.error());
    auto exchange = std::make_shared<Exchange>();
    exchange->stream = std::move(*stream);
    exchange->stream->set_deadline(deadline);
    // One packet where they fit in one.
    std::string bytes;
    bytes.reserve(head->size() + request.body.size());
    bytes += *head;
    bytes += request.body;
    auto sent = co_await exchange->stream->write(asio::buffer(bytes));
    wipe(bytes);
    // A server that refuses a request early closes its reading side but has still answered.
    if (!sent && sent.error().kind() == ErrorKind::timeout) co_return Failure(sent.error());

    const bool head_only = request.method == "HEAD";
    for (int interim = 0; interim <= kMaxInterim; ++interim) {
        exchange->expect(head_only, max_body);
        auto parsed = exchange->parse();
        while (parsed && !exchange->ended && !exchange->parser->is_header_done())
            parsed = co_await exchange->advance();
        if (!parsed) co_return Failure(sent ? parsed.error() : sent.error());
        if (exchange->parser->status >= 200) co_return std::move(exchange);
    }
    co_return fail(ErrorKind::protocol, "too many 1xx responses");
}

Task<Result<HttpResponse>> run_request(std::shared_ptr<const http::Target> target, HttpRequest request) {
    const auto deadline = after(target->options.request_timeout);
    const std::string what = request.method + " " + target->url.to_string() + request.path();
    auto opened = co_await open(*target, std::move(request), deadline, target->options.max_body);
    if (!opened) co_return fail_with(opened, what);
    auto& exchange = **opened;
    while (!exchange.ended) {
        auto more = co_await exchange.advance();
        if (!more) co_return fail_with(more, what);
    }
    HttpResponse response;
    response.status = exchange.parser->status;
    response.headers = std::move(exchange.parser->headers);
    response.body = std::move(exchange.parser->body);
    co_return response;
}

struct StreamState {
    explicit StreamState(std::size_t max_line) : lines(max_line) {}

    std::shared_ptr<Exchange> exchange;
    http::LineBuffer lines;
    bool closed = false;
};

Task<Result<std::string>> next_line(std::shared_ptr<StreamState> state, Milliseconds limit) {
    auto& exchange = *state->exchange;
    bool armed = false;
    while (!state->closed) {
        auto line = state->lines.take();
        if (!line) {
            exchange.stream->close();
            state->closed = true;
            co_return Failure(line.error());
        }
        if (*line) co_return std::move(**line);
        if (exchange.ended && exchange.parser->body.empty()) {
            if (state->lines.empty()) co_return fail(ErrorKind::not_found, "the stream has ended");
            co_return fail(ErrorKind::io, "the stream ended in the middle of a line");
        }
        if (exchange.parser->body.empty()) {
            if (!armed) exchange.stream->set_deadline(after(limit));
            armed = true;
            auto more = co_await exchange.advance();
            if (!more) co_return fail_with(more, "stream");
        }
        state->lines.add(exchange.parser->body);
        exchange.parser->body.clear();
    }
    co_return fail(ErrorKind::io, "the stream was closed");
}

class Stream final : public HttpStream {
public:
    explicit Stream(std::shared_ptr<StreamState> state) : state_(std::move(state)) {}
    ~Stream() override { Stream::close(); }
    unsigned status() const override { return state_->exchange->parser->status; }
    const HttpHeaders& headers() const override { return state_->exchange->parser->headers; }
    Task<Result<std::string>> read_line(std::chrono::milliseconds limit) override {
        return next_line(state_, limit);
    }
    void close() override {
        state_->closed = true;
        state_->exchange->stream->close();
    }

private:
    std::shared_ptr<StreamState> state_;
};

Task<Result<std::unique_ptr<HttpStream>>> run_stream(std::shared_ptr<const http::Target> target,
                                                     HttpRequest request) {
    const auto deadline = after(target->options.request_timeout);
    const std::string what = request.method + " " + target->url.to_string() + request.path();
    auto opened = co_await open(*target, std::move(request), deadline, http::kNoBodyLimit);
    if (!opened) co_return fail_with(opened, what);
    auto state = std::make_shared<StreamState>(target->options.max_line);
    state->exchange = std::move(*opened);
    co_return std::make_unique<Stream>(std::move(state));
}

// The coroutines hold the target by shared_ptr: the client may be destroyed under them.
class Client final : public HttpClient {
public:
    explicit Client(std::shared_ptr<const http::Target> target) : target_(std::move(target)) {}
    Task<Result<HttpResponse>> request(HttpRequest request) override {
        return run_request(target_, std::move(request));
    }
    Task<Result<std::unique_ptr<HttpStream>>> stream(HttpRequest request) override {
        return run_stream(target_, std::move(request));
    }

private:
    std::shared_ptr<const http::Target> target_;
};

}  // namespace

Result<std::unique_ptr<HttpClient>> make_http_client(asio::io_context&, Url url, HttpClientOptions options) {
    auto target = std::make_shared<http::Target>();
    if (url.tls) {
        auto context = http::make_client_context(options);
        if (!context) return Failure(context.error());
        target->context = std::move(*context);
    }
    target->url = std::move(url);
    target->options = std::move(options);
    return std::make_unique<Client>(std::move(target));
}

std::unique_ptr<HttpClient> make_unix_http_client(asio::io_context&, std::string socket_path,
                                                  HttpClientOptions options) {
    auto target = std::make_shared<http::Target>();
    target->url.host = "localhost";
    target->unix_path = std::move(socket_path);
    target->options = std::move(options);
    return std::make_unique<Client>(std::move(target));
}

}  // namespace wglan
