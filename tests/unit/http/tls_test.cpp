// SPDX-License-Identifier: Apache-2.0

#include <fstream>

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

class Tls : public testing::Test {
protected:
    void serve(const std::string& san, Milliseconds idle = Milliseconds(30000), long valid_seconds = 3600) {
        authority_.issue(dir_ / "cert.pem", dir_ / "key.pem", san, valid_seconds);
        HttpServerOptions options;
        options.certificate_file = dir_ / "cert.pem";
        options.key_file = dir_ / "key.pem";
        options.idle_timeout = idle;
        auto made =
            listen_tcp(io_, {*IpAddress::parse("127.0.0.1"), 0}, options,
                       [](const HttpRequest& request, HttpWriter&) -> Task<std::optional<HttpResponse>> {
                           HttpResponse response;
                           response.body = "hello " + request.target;
                           co_return response;
                       });
        ASSERT_TRUE(made) << made.error().message();
        server_ = std::move(*made);
    }
    Result<HttpResponse> get(const std::string& host, const std::string& ca_file) {
        Url url;
        url.tls = true;
        url.host = host;
        url.port = server_->local().port;
        HttpClientOptions options;
        options.ca_file = ca_file;
        auto client = make_http_client(io_, url, options);
        if (!client) return Failure(client.error());
        HttpRequest request;
        request.target = "/x";
        return run(io_, (*client)->request(request));
    }

    test::TempDir dir_;
    test::Authority authority_{dir_};
    asio::io_context io_;
    std::unique_ptr<HttpServer> server_;
};

TEST_F(Tls, TrustsTheRightAuthorityForNameAndAddress) {
    serve("DNS:localhost,IP:127.0.0.1");
    for (const char* host : {"localhost", "127.0.0.1"}) {
        auto response = get(host, authority_.ca_file);
        ASSERT_TRUE(response) << host << ": " << response.error().message();
        EXPECT_EQ(response->body, "hello /x");
    }
}

TEST_F(Tls, RefusesAnotherAuthorityAnotherHostAndAnExpiredCertificate) {
    serve("DNS:localhost");
    test::Authority other(dir_, "other");
    for (const auto& ca : {other.ca_file, std::string()}) {
        auto response = get("localhost", ca);
        ASSERT_FALSE(response) << "CA file '" << ca << "'";
        EXPECT_EQ(response.error().kind(), ErrorKind::permission);
        EXPECT_THAT(response.error().message(), HasSubstr("not trusted"));
    }
    auto address = get("127.0.0.1", authority_.ca_file);
    ASSERT_FALSE(address);
    EXPECT_THAT(address.error().message(), HasSubstr("IP address mismatch"));
    serve("DNS:elsewhere.example,IP:127.0.0.2");
    auto name = get("localhost", authority_.ca_file);
    ASSERT_FALSE(name);
    EXPECT_THAT(name.error().message(), HasSubstr("ostname mismatch"));
    serve("DNS:localhost", Milliseconds(30000), -60);
    auto expired = get("localhost", authority_.ca_file);
    ASSERT_FALSE(expired);
    EXPECT_THAT(expired.error().message(), HasSubstr("expired"));
}

TEST_F(Tls, AnIntermediateAuthorityAloneIsTrustedAsItIs) {
    serve("DNS:localhost");
    const auto root_key = test::make_key(), middle_key = test::make_key(), key = test::make_key();
    const auto root = test::make_certificate(root_key.get(), "root", "", nullptr, root_key.get());
    const auto middle = test::make_certificate(middle_key.get(), "middle", "", root.get(), root_key.get());
    const auto leaf =
        test::make_certificate(key.get(), "server", "DNS:localhost", middle.get(), middle_key.get());
    test::write_pem(dir_ / "middle.pem", middle.get(), nullptr);
    test::write_pem(dir_ / "cert.pem", leaf.get(), nullptr);
    test::write_pem(dir_ / "key.pem", nullptr, key.get());
    ASSERT_TRUE(server_->reload_certificates());
    auto response = get("localhost", dir_ / "middle.pem");
    ASSERT_TRUE(response) << response.error().message();
    EXPECT_FALSE(get("localhost", authority_.ca_file));
}

TEST_F(Tls, ReloadsCertificatesAndKeepsTheOldOnesOnAnError) {
    serve("DNS:elsewhere.example");
    EXPECT_FALSE(get("localhost", authority_.ca_file));
    authority_.issue(dir_ / "cert.pem", dir_ / "key.pem", "DNS:localhost");
    ASSERT_TRUE(server_->reload_certificates());
    EXPECT_TRUE(get("localhost", authority_.ca_file));
    std::ofstream(dir_ / "cert.pem") << "nonsense";
    EXPECT_FALSE(server_->reload_certificates());
    EXPECT_TRUE(get("localhost", authority_.ca_file));
}

TEST_F(Tls, UnusableFilesAreClearErrors) {
    std::ofstream(dir_ / "nonsense.pem") << "nonsense";
    asio::io_context io;
    Url url;
    url.tls = true;
    url.host = "localhost";
    url.port = 1;
    HttpClientOptions options;
    options.ca_file = dir_ / "none.pem";
    auto client = make_http_client(io, url, options);
    ASSERT_FALSE(client);
    EXPECT_EQ(client.error().kind(), ErrorKind::not_found);
    options.ca_file = dir_ / "nonsense.pem";
    client = make_http_client(io, url, options);
    ASSERT_FALSE(client);
    EXPECT_EQ(client.error().kind(), ErrorKind::invalid);

    authority_.issue(dir_ / "a.pem", dir_ / "a.key", "DNS:a");
    authority_.issue(dir_ / "b.pem", dir_ / "b.key", "DNS:b");
    auto listen = [&](const std::string& cert, const std::string& key) {
        HttpServerOptions server;
        server.certificate_file = cert;
        server.key_file = key;
        return listen_tcp(io, {*IpAddress::parse("127.0.0.1"), 0}, server, {});
    };
    EXPECT_THAT(listen(dir_ / "a.pem", dir_ / "b.key").error().message(), HasSubstr("key"));
    EXPECT_THAT(listen(dir_ / "nonsense.pem", dir_ / "a.key").error().message(), HasSubstr("certificate"));
    EXPECT_THAT(listen(dir_ / "a.pem", dir_ / "none.key").error().message(), HasSubstr("none.key"));
    EXPECT_EQ(listen(dir_ / "a.pem", "").error().kind(), ErrorKind::invalid);
}

TEST_F(Tls, AClientThatNeverSpeaksIsCutAndPlainTextIsRefused) {
    serve("DNS:localhost", Milliseconds(150));
    auto talk = [this](std::string bytes) -> Task<std::string> {
        tcp::socket socket(io_);
        boost::system::error_code error;
        auto use = asio::redirect_error(asio::use_awaitable, error);
        co_await socket.async_connect({asio::ip::make_address("127.0.0.1"), server_->local().port}, use);
        co_await asio::async_write(socket, asio::buffer(bytes), use);
        std::string all;
        co_await asio::async_read(socket, asio::dynamic_buffer(all), use);
        co_return all;
    };
    EXPECT_EQ(run(io_, talk("")), "");
    EXPECT_EQ(run(io_, talk("\x16\x03\x01")), "");
    EXPECT_THAT(run(io_, talk("GET / HTTP/1.1\r\nHost: h\r\n\r\n")), testing::Not(HasSubstr("HTTP")));
    test::turn_until(io_, [&] { return server_->connections() == 0; });
}

}  // namespace
}  // namespace wglan
