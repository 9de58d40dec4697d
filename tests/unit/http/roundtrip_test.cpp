// SPDX-License-Identifier: Apache-2.0
// The server and the client against each other.
#include <sys/stat.h>

#include <fstream>

#include <boost/asio/connect.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <gmock/gmock.h>

#include "agent/base/clock.h"
#include "agent/http/client.h"
#include "agent/http/server.h"
#include "tests/support/certificates.h"
#include "tests/support/event_loop.h"

namespace wglan {
namespace {

using asio::ip::tcp;
using test::run;
using testing::HasSubstr;
using testing::StartsWith;

Endpoint loopback() { return {*IpAddress::parse("127.0.0.1"), 0}; }

struct Seen {
    std::vector<std::string> closed;
    bool unwound = false;
};

struct OnExit {
    std::function<void()> action;
    ~OnExit() { action(); }
};

// /echo, /stream (three lines), /forever (until the client goes), /throw, /big (1 MB), /nothing.
HttpServer::Handler handler_of(std::shared_ptr<Seen> seen) {
    return [seen](const HttpRequest& request, HttpWriter& writer) -> Task<std::optional<HttpResponse>> {
        HttpResponse response;
        const std::string path = request.path();
        if (path == "/stream") {
            auto started = co_await writer.start(response);
            for (const char* line : {"one\n", "two\r\nthr", "ee\n"}) {
                if (started) started = co_await writer.write(line);
            }
            co_return std::nullopt;
        }
        if (path == "/forever") {
            auto started = co_await writer.start(response);
            if (started) started = co_await writer.write("first\n");
            asio::steady_timer wait(co_await asio::this_coro::executor, std::chrono::hours(1));
            writer.on_close([&wait] { wait.cancel(); });
            OnExit left{[seen] { seen->unwound = true; }};
            boost::system::error_code ignored;
            co_await wait.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
            seen->closed.push_back(writer.open() ? "open" : "gone");
            co_return std::nullopt;
        }
        if (path == "/flood") {
            auto started = co_await writer.start(response);
            while (started) started = co_await writer.write(std::string(64U << 10, 'x'));
            seen->closed.push_back("flood");
            co_return std::nullopt;
        }
        if (path == "/throw") throw std::runtime_error("thrown by a test");
        if (path == "/nothing") co_return std::nullopt;
        if (path == "/big") response.body = std::string(1U << 20, 'b');
        if (path == "/echo") response.body = request.method + " " + request.target + " " + request.body;
        if (path == "/client") response.body = request.client ? request.client->to_string() : "none";
        response.headers["x-test"] = "1";
        co_return response;
    };
}

class HttpRoundTrip : public testing::Test {
protected:
    void serve(HttpServerOptions options = {}) {
        auto made = listen_tcp(io_, loopback(), options, handler_of(seen_));
        ASSERT_TRUE(made) << made.error().message();
        server_ = std::move(*made);
    }
    Url url(bool tls = false) {
        Url out;
        out.tls = tls;
        out.host = "127.0.0.1";
        out.port = server_->local().port;
        return out;
    }
    std::unique_ptr<HttpClient> client(HttpClientOptions options = {}) {
        auto made = make_http_client(io_, url(), options);
        return std::move(*made);
    }
    Result<HttpResponse> request(HttpClient& client, HttpRequest request) {
        return run(io_, client.request(std::move(request)));
    }
    // Sends bytes as they are, returns everything until the server closes.
    std::string raw(const std::string& bytes) { return run(io_, raw_exchange(bytes)); }
    Task<std::string> raw_exchange(std::string bytes) {
        tcp::socket socket(io_);
        co_await socket.async_connect({asio::ip::make_address("127.0.0.1"), server_->local().port},
                                      asio::use_awaitable);
        boost::system::error_code error;
        co_await asio::async_write(socket, asio::buffer(bytes),
                                   asio::redirect_error(asio::use_awaitable, error));
        std::string all;
        co_await asio::async_read(socket, asio::dynamic_buffer(all),
                                  asio::redirect_error(asio::use_awaitable, error));
        co_return all;
    }

    asio::io_context io_;
    std::shared_ptr<Seen> seen_ = std::make_shared<Seen>();
    std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpRoundTrip, CarriesMethodTargetBodyHeadersAndStatus) {
    serve();
    auto c = client();
    HttpRequest put;
    put.method = "PUT";
    put.target = "/echo?x=1";
    put.body = std::string(50000, 'p');
    auto response = request(*c, put);
    ASSERT_TRUE(response) << response.error().message();
    EXPECT_EQ(response->status, 200U);
    EXPECT_EQ(response->headers.at("x-test"), "1");
    EXPECT_EQ(response->headers.at("content-type"), "application/json");
    EXPECT_EQ(response->body, "PUT /echo?x=1 " + put.body);

    HttpRequest get;
    get.target = "/client";
    EXPECT_EQ(request(*c, get)->body, "127.0.0.1");
    get.target = "/big";
    EXPECT_EQ(request(*c, get)->body.size(), 1U << 20);
    get.method = "HEAD";
    auto head = request(*c, get);
    ASSERT_TRUE(head) << head.error().message();
    EXPECT_EQ(head->headers.at("content-length"), std::to_string(1U << 20));
    EXPECT_EQ(head->body, "");
}

TEST_F(HttpRoundTrip, StreamsLinesToACleanEnd) {
    serve();
    auto c = client();
    HttpRequest get;
    get.target = "/stream";
    auto stream = run(io_, c->stream(get));
    ASSERT_TRUE(stream) << stream.error().message();
    EXPECT_EQ((*stream)->status(), 200U);
    for (const char* line : {"one", "two", "three"})
        EXPECT_EQ(*run(io_, (*stream)->read_line(Milliseconds(5000))), line);
    auto end = run(io_, (*stream)->read_line(Milliseconds(5000)));
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().kind(), ErrorKind::not_found);
}

TEST_F(HttpRoundTrip, HandlerLearnsThatTheStreamsClientHasGone) {
    serve();
    auto c = client();
    HttpRequest get;
    get.target = "/forever";
    auto stream = run(io_, c->stream(get));
    ASSERT_TRUE(stream);
    EXPECT_EQ(*run(io_, (*stream)->read_line(Milliseconds(5000))), "first");
    (*stream)->close();
    test::turn_until(io_, [&] { return !seen_->closed.empty(); });
    EXPECT_THAT(seen_->closed, testing::ElementsAre("gone"));
    test::turn_until(io_, [&] { return server_->connections() == 0; });
}

TEST_F(HttpRoundTrip, ReadLineTimesOutAndCanBeClosedUnderway) {
    serve();
    auto c = client();
    HttpRequest get;
    get.target = "/forever";
    auto stream = run(io_, c->stream(get));
    ASSERT_TRUE(stream);
    EXPECT_TRUE(run(io_, (*stream)->read_line(Milliseconds(5000))));
    auto late = run(io_, (*stream)->read_line(Milliseconds(50)));
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().kind(), ErrorKind::timeout);

    auto second = run(io_, c->stream(get));
    ASSERT_TRUE(second);
    EXPECT_TRUE(run(io_, (*second)->read_line(Milliseconds(5000))));
    std::optional<Result<std::string>> ended;
    asio::co_spawn(io_, (*second)->read_line(Milliseconds(60000)),
                   [&](std::exception_ptr, Result<std::string> r) { ended = std::move(r); });
    asio::post(io_, [&] { second->reset(); });  // destroyed under the read
    test::turn_until(io_, [&] { return ended.has_value(); });
    EXPECT_FALSE(*ended);
}

TEST_F(HttpRoundTrip, ACancelledRequestEndsAtOnce) {
    using namespace asio::experimental::awaitable_operators;
    serve();
    auto c = client();
    HttpRequest get;
    get.target = "/forever";
    auto both = [&]() -> Task<bool> {
        auto result = co_await (c->request(get) || test::sleep_for(Milliseconds(50)));
        co_return result.index() == 1;
    };
    const auto start = std::chrono::steady_clock::now();
    EXPECT_TRUE(run(io_, both()));
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
    test::turn_until(io_, [&] { return server_->connections() == 0; });
}

TEST_F(HttpRoundTrip, StoppingTheServerUnwindsHandlersAndMayHappenBeforeTheLoopGoesOn) {
    serve();
    auto c = client();
    HttpRequest get;
    get.target = "/forever";
    auto stream = run(io_, c->stream(get));
    ASSERT_TRUE(stream);
    EXPECT_TRUE(run(io_, (*stream)->read_line(Milliseconds(5000))));
    server_.reset();
    test::turn_until(io_, [&] { return seen_->unwound; });
    auto end = run(io_, (*stream)->read_line(Milliseconds(5000)));
    EXPECT_FALSE(end);
}

TEST_F(HttpRoundTrip, LoopMayBeDestroyedWithEverythingUnderWay) {
    auto io = std::make_unique<asio::io_context>();
    auto server = listen_tcp(*io, loopback(), {}, handler_of(seen_));
    ASSERT_TRUE(server);
    Url where;
    where.host = "127.0.0.1";
    where.port = (*server)->local().port;
    auto c = make_http_client(*io, where, {});
    HttpRequest get;
    get.target = "/forever";
    asio::co_spawn(*io, (*c)->request(get), asio::detached);
    test::turn_until(*io, [&] { return (*server)->connections() == 1; });
    server->reset();
    c->reset();
    io.reset();
}

TEST_F(HttpRoundTrip, HandlersThatFailAnswer500) {
    serve();
    auto c = client();
    for (const char* path : {"/throw", "/nothing"}) {
        HttpRequest get;
        get.target = path;
        auto response = request(*c, get);
        ASSERT_TRUE(response) << response.error().message();
        EXPECT_EQ(response->status, 500U) << path;
    }
}

TEST_F(HttpRoundTrip, ServerRefusesWhatItCannotRead) {
    HttpServerOptions options;
    options.max_body = 1000;
    options.max_header = 1024;
    serve(options);
    const std::string host = "Host: h\r\n";
    struct Row {
        const char* name;
        std::string bytes;
        const char* status;
    };
    const Row rows[] = {
        {"garbage", std::string(20, '\x01') + "\r\n\r\n", "HTTP/1.1 400"},
        {"TLS hello on a plain port", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "HTTP/1.1 400"},
        {"no host", "GET /echo HTTP/1.1\r\n\r\n", "HTTP/1.1 400"},
        {"version", "GET /echo HTTP/3.0\r\n" + host + "\r\n", "HTTP/1.1 400"},
        {"two framings",
         "PUT /echo HTTP/1.1\r\n" + host + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "HTTP/1.1 400"},
        {"negative length", "PUT /echo HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n", "HTTP/1.1 400"},
        {"long body", "PUT /echo HTTP/1.1\r\n" + host + "Content-Length: 1001\r\n\r\n", "HTTP/1.1 413"},
        {"long chunk", "PUT /echo HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3e9\r\n",
         "HTTP/1.1 413"},
        {"endless line", "GET /" + std::string(20000, 'a'), "HTTP/1.1 431"},
        {"many headers", "GET / HTTP/1.1\r\n" + host + "X: " + std::string(2000, 'x') + "\r\n\r\n",
         "HTTP/1.1 431"},
        {"endless chunk line",
         "PUT /echo HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1;" + std::string(20000, 'x'),
         "HTTP/1.1 400"},
        {"expectation", "PUT /echo HTTP/1.1\r\n" + host + "Expect: magic\r\nContent-Length: 1\r\n\r\nx",
         "HTTP/1.1 417"},
    };
    for (const auto& row : rows) EXPECT_THAT(raw(row.bytes), StartsWith(row.status)) << row.name;
    EXPECT_THAT(raw("GET http://h:1/echo?a HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n"),
                HasSubstr("GET /echo?a"));
    EXPECT_THAT(raw("GET /stream HTTP/1.0\r\n\r\n"), testing::EndsWith("\r\n\r\none\ntwo\r\nthree\n"));
}

TEST_F(HttpRoundTrip, KeepsConnectionsAliveAndAnswersPipelinedRequestsInOrder) {
    serve();
    auto all =
        raw("GET /echo?1 HTTP/1.1\r\nHost: h\r\n\r\nGET /echo?2 HTTP/1.1\r\nHost: h\r\nConnection: "
            "close\r\n\r\n");
    auto first = all.find("GET /echo?1 ");
    auto second = all.find("GET /echo?2 ");
    ASSERT_NE(first, std::string::npos);
    ASSERT_NE(second, std::string::npos);
    EXPECT_LT(first, second);
}

TEST_F(HttpRoundTrip, SlowRequestsAreCut) {
    HttpServerOptions options;
    options.idle_timeout = Milliseconds(100);
    serve(options);
    EXPECT_EQ(raw(""), "");
    EXPECT_EQ(raw("GET / HTTP/1.1\r\nHo"), "");
    EXPECT_EQ(raw("PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc"), "");
}

TEST_F(HttpRoundTrip, AReaderThatTakesNothingIsCut) {
    HttpServerOptions options;
    options.write_timeout = Milliseconds(100);
    serve(options);
    auto c = client();
    HttpRequest get;
    get.target = "/flood";
    auto stream = run(io_, c->stream(get));
    ASSERT_TRUE(stream);
    test::turn_until(io_, [&] { return !seen_->closed.empty(); });  // nobody reads
    EXPECT_THAT(seen_->closed, testing::ElementsAre("flood"));
}

TEST_F(HttpRoundTrip, ConnectionsOverTheLimitGet503) {
    for (bool per_client : {false, true}) {
        HttpServerOptions options;
        (per_client ? options.max_connections_per_client : options.max_connections) = 2;
        serve(options);
        auto c = client();
        HttpRequest forever;
        forever.target = "/forever";
        auto first = run(io_, c->stream(forever));
        auto second = run(io_, c->stream(forever));
        ASSERT_TRUE(first && second);
        HttpRequest get;
        get.target = "/echo";
        auto refused = request(*c, get);
        ASSERT_TRUE(refused) << refused.error().message();
        EXPECT_EQ(refused->status, 503U);
        EXPECT_EQ(refused->headers.at("retry-after"), "5");
        (*first)->close();
        test::turn_until(io_, [&] { return server_->connections() <= 1; });
        EXPECT_EQ(request(*c, get)->status, 200U);
    }
}

TEST_F(HttpRoundTrip, UnixSocketHasItsModeReplacesAStaleFileAndRefusesALiveOne) {
    test::TempDir dir;
    const std::string path = dir / "sub/agent.sock";
    HttpServerOptions options;
    options.unix_mode = 0640;
    auto first = listen_unix(io_, path, options, handler_of(seen_));
    ASSERT_TRUE(first) << first.error().message();
    struct stat info{};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0640U);
    auto c = make_unix_http_client(io_, path);
    HttpRequest get;
    get.target = "/client";
    EXPECT_EQ(request(*c, get)->body, "none");
    auto second = listen_unix(io_, path, options, handler_of(seen_));
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind(), ErrorKind::exists);
    first->reset();
    EXPECT_NE(::stat(path.c_str(), &info), 0) << "the file goes with the server";
    auto nobody = request(*c, get);
    ASSERT_FALSE(nobody);
    EXPECT_EQ(nobody.error().kind(), ErrorKind::not_found);

    // A killed server leaves a file that nobody listens on.
    {
        asio::local::stream_protocol::acceptor left(io_, asio::local::stream_protocol::endpoint(path));
    }
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_TRUE(listen_unix(io_, path, options, handler_of(seen_)));
    std::ofstream(dir / "file") << "x";
    auto other = listen_unix(io_, dir / "file", options, handler_of(seen_));
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().kind(), ErrorKind::exists);
    EXPECT_FALSE(listen_unix(io_, dir / std::string(200, 'x'), options, handler_of(seen_)));
}

TEST_F(HttpRoundTrip, AnOccupiedPortIsAClearError) {
    serve();
    auto again = listen_tcp(io_, server_->local(), {}, handler_of(seen_));
    ASSERT_FALSE(again);
    EXPECT_THAT(again.error().message(), HasSubstr(server_->local().to_string()));
}

}  // namespace
}  // namespace wglan
