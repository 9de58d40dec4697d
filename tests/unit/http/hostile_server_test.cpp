// SPDX-License-Identifier: Apache-2.0
// The client against servers that misbehave, with short deadlines.
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <gmock/gmock.h>

#include "agent/base/clock.h"
#include "agent/http/client.h"
#include "agent/http/resolve.h"
#include "tests/support/event_loop.h"

namespace wglan {
namespace {

using asio::ip::tcp;
using test::run;
using testing::HasSubstr;

// Reads a request's header, sends `pieces`, then closes, or keeps silent where `hang`.
struct Script {
    std::vector<std::string> pieces;
    bool hang = false;
    bool endless = false;  // sends the last piece for ever
};

Task<void> play(tcp::socket socket, Script script) {
    boost::system::error_code error;
    auto use = asio::redirect_error(asio::use_awaitable, error);
    std::array<char, 4096> request{};
    co_await socket.async_read_some(asio::buffer(request), use);
    for (const auto& piece : script.pieces) co_await asio::async_write(socket, asio::buffer(piece), use);
    while (script.endless && !error)
        co_await asio::async_write(socket, asio::buffer(script.pieces.back()), use);
    while (script.hang && !error) co_await socket.async_read_some(asio::buffer(request), use);
}

class HostileServer : public testing::Test {
protected:
    void SetUp() override {
        options_.connect_timeout = Milliseconds(300);
        options_.request_timeout = Milliseconds(300);
        options_.max_body = 4096;
        options_.max_line = 1024;
    }
    ~HostileServer() override {
        boost::system::error_code ignored;
        acceptor_.close(ignored);
    }
    void serve(Script script) {
        asio::co_spawn(
            io_,
            [this, script]() -> Task<void> {
                auto socket = co_await acceptor_.async_accept(asio::use_awaitable);
                asio::co_spawn(io_, play(std::move(socket), script), asio::detached);
            },
            asio::detached);
    }
    std::unique_ptr<HttpClient> client() {
        Url url;
        url.host = "127.0.0.1";
        url.port = acceptor_.local_endpoint().port();
        return std::move(*make_http_client(io_, url, options_));
    }
    Result<HttpResponse> request(Script script) {
        serve(std::move(script));
        HttpRequest get;
        get.target = "/x";
        return run(io_, client()->request(get));
    }
    // The first error while reading lines.
    Error stream(Script script) {
        serve(std::move(script));
        HttpRequest get;
        get.target = "/x";
        auto stream = run(io_, client()->stream(get));
        if (!stream) return stream.error();
        for (int i = 0; i < 1000; ++i) {
            auto line = run(io_, (*stream)->read_line(Milliseconds(300)));
            if (!line) return line.error();
        }
        return Error(ErrorKind::internal, "no error came");
    }

    asio::io_context io_;
    tcp::acceptor acceptor_{io_, {asio::ip::make_address("127.0.0.1"), 0}};
    HttpClientOptions options_;
};

const char kOk[] = "HTTP/1.1 200 OK\r\n";

TEST_F(HostileServer, RequestsEndWithAnErrorThatSaysWhy) {
    const std::string ok = kOk;
    struct Row {
        const char* name;
        Script script;
        ErrorKind kind;
    };
    const Row rows[] = {
        {"silence", {{}, true}, ErrorKind::timeout},
        {"closes at once", {{}}, ErrorKind::io},
        {"half a header, then silence", {{"HTTP/1.1 200 OK\r\ncont"}, true}, ErrorKind::timeout},
        {"half a header, then closes", {{"HTTP/1.1 200 OK\r\ncont"}}, ErrorKind::io},
        {"closes mid-body", {{ok + "content-length: 10\r\n\r\nabc"}}, ErrorKind::io},
        {"hangs mid-body", {{ok + "content-length: 10\r\n\r\nabc"}, true}, ErrorKind::timeout},
        {"closes mid-chunk", {{ok + "transfer-encoding: chunked\r\n\r\n5\r\nab"}}, ErrorKind::io},
        {"bad chunk", {{ok + "transfer-encoding: chunked\r\n\r\nzz\r\nab"}}, ErrorKind::protocol},
        {"garbage", {{std::string(100, '\xfe')}}, ErrorKind::protocol},
        {"another protocol", {{"SSH-2.0-OpenSSH_9.2\r\n"}, true}, ErrorKind::protocol},
        {"huge length", {{ok + "content-length: 99999999999999\r\n\r\n"}, true}, ErrorKind::exhausted},
        {"overflowing length",
         {{ok + "content-length: 99999999999999999999999\r\n\r\n"}, true},
         ErrorKind::protocol},
        {"huge chunk", {{ok + "transfer-encoding: chunked\r\n\r\nffffffff\r\n"}, true}, ErrorKind::exhausted},
        {"body without end", {{ok + "\r\n", std::string(1000, 'x')}, false, true}, ErrorKind::exhausted},
        {"header line without end",
         {{ok + "x: ", std::string(1000, 'x')}, false, true},
         ErrorKind::exhausted},
        {"chunk line without end",
         {{ok + "transfer-encoding: chunked\r\n\r\n1;", std::string(1000, 'x')}, false, true},
         ErrorKind::protocol},
        {"1xx without end", {{"HTTP/1.1 102 Processing\r\n\r\n"}, false, true}, ErrorKind::protocol},
    };
    for (const auto& row : rows) {
        auto response = request(row.script);
        ASSERT_FALSE(response) << row.name << ": " << response->status;
        EXPECT_EQ(response.error().kind(), row.kind) << row.name << ": " << response.error().message();
        EXPECT_THAT(response.error().message(), HasSubstr("GET http://127.0.0.1")) << row.name;
    }
}

TEST_F(HostileServer, OddButCorrectAnswersAreUnderstood) {
    auto interim = request({{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"}, true});
    ASSERT_TRUE(interim) << interim.error().message();
    EXPECT_EQ(interim->status, 204U);
    auto until_close = request({{std::string(kOk) + "\r\nab", "cd"}});
    ASSERT_TRUE(until_close) << until_close.error().message();
    EXPECT_EQ(until_close->body, "abcd");
    auto chunked = request({{std::string(kOk) + "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
                             "2;x=y\r\ncd\r\n0\r\nT: r\r\n\r\n"},
                            true});
    ASSERT_TRUE(chunked) << chunked.error().message();
    EXPECT_EQ(chunked->body, "abcd");
    auto twice = request({{std::string(kOk) + "X-A: 1\r\nx-a: 2\r\nContent-Length: 0\r\n\r\n"}, true});
    ASSERT_TRUE(twice) << twice.error().message();
    EXPECT_EQ(twice->headers.at("x-a"), "1, 2");
}

TEST_F(HostileServer, StreamsEndWithAnErrorThatSaysWhy) {
    const std::string chunked = std::string(kOk) + "transfer-encoding: chunked\r\n\r\n";
    EXPECT_EQ(stream({{chunked + "2\r\na\n\r\n"}, true}).kind(), ErrorKind::timeout);
    EXPECT_EQ(stream({{chunked + "2\r\na\n\r\n"}}).kind(), ErrorKind::io);
    EXPECT_EQ(stream({{chunked + "2\r\na\n\r\n0\r\n\r\n"}}).kind(), ErrorKind::not_found);
    EXPECT_EQ(stream({{chunked + "1\r\na\r\n0\r\n\r\n"}}).kind(), ErrorKind::io) << "half a line";
    EXPECT_EQ(stream({{std::string(kOk) + "\r\na\nb\n"}}).kind(), ErrorKind::not_found);
    EXPECT_EQ(stream({{chunked + "zz"}, true}).kind(), ErrorKind::timeout) << "a chunk line may still come";
    EXPECT_EQ(stream({{chunked + "zz\r\n"}, true}).kind(), ErrorKind::protocol);
    EXPECT_EQ(stream({{std::string(kOk) + "\r\n", std::string(500, 'x')}, false, true}).kind(),
              ErrorKind::exhausted);
    EXPECT_EQ(stream({{std::string(kOk) + "\r\n" + std::string(1025, 'x') + "\n"}, true}).kind(),
              ErrorKind::exhausted);
    EXPECT_EQ(stream({{std::string(kOk) + "content-length: 99999999999999\r\n\r\na\n"}, true}).kind(),
              ErrorKind::timeout);
}

TEST_F(HostileServer, NobodyListeningIsAClearError) {
    auto c = client();
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    auto response = run(io_, c->request({}));
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().kind(), ErrorKind::invalid) << "an empty target";
    HttpRequest get;
    get.target = "/";
    response = run(io_, c->request(get));
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().kind(), ErrorKind::io);
    EXPECT_THAT(response.error().message(), HasSubstr("refused"));
}

TEST_F(HostileServer, NamesAreLookedUpAndEachAddressIsTried) {
    auto found =
        run(io_, http::resolve("localhost", 80, 0, std::chrono::steady_clock::now() + test::kWatchdog));
    ASSERT_TRUE(found) << found.error().message();
    EXPECT_TRUE(found->front().address.is_loopback());
    found =
        run(io_, http::resolve("localhost", 80, 0x10, std::chrono::steady_clock::now() + test::kWatchdog));
    ASSERT_TRUE(found) << "with a mark: " << found.error().message();
    EXPECT_TRUE(found->front().address.is_loopback());
    EXPECT_EQ(found->front().port, 80);
    auto none = run(io_, http::resolve("no-such-host.invalid", 80, 0, std::chrono::steady_clock::now()));
    ASSERT_FALSE(none) << "the deadline has passed, whatever the resolver says";

    serve({{std::string(kOk) + "content-length: 0\r\n\r\n"}});
    Url url;
    url.host = "localhost";
    url.port = acceptor_.local_endpoint().port();
    options_.connect_timeout = Milliseconds(10000);
    options_.request_timeout = Milliseconds(20000);
    HttpRequest get;
    get.target = "/";
    auto response = run(io_, (*make_http_client(io_, url, options_))->request(get));
    EXPECT_TRUE(response) << response.error().message();
}

}  // namespace
}  // namespace wglan
