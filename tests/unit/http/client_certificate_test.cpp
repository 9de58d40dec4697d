// SPDX-License-Identifier: Apache-2.0
// What the client trusts and shows: as text, and under another name.
#include <filesystem>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <gmock/gmock.h>

#include "agent/base/file.h"
#include "agent/http/client.h"
#include "tests/support/certificates.h"
#include "tests/support/event_loop.h"

namespace wglan {
namespace {

using asio::ip::tcp;
using testing::HasSubstr;

// Lets only clients in that show a certificate of the authority; answers with that certificate's name.
class PickyServer {
public:
    PickyServer(asio::io_context& io, const std::string& certificate, const std::string& key,
                const std::string& client_ca)
        : context_(asio::ssl::context::tls_server), acceptor_(io, {asio::ip::make_address("127.0.0.1"), 0}) {
        context_.use_certificate_chain_file(certificate);
        context_.use_private_key_file(key, asio::ssl::context::pem);
        context_.load_verify_file(client_ca);
        context_.set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert);
        asio::co_spawn(io, serve(), asio::detached);
    }
    std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

private:
    Task<void> serve() {
        for (;;) {
            boost::system::error_code error;
            auto use = asio::redirect_error(asio::use_awaitable, error);
            asio::ssl::stream<tcp::socket> stream(co_await acceptor_.async_accept(asio::use_awaitable),
                                                  context_);
            co_await stream.async_handshake(asio::ssl::stream_base::server, use);
            std::string request;
            if (!error)
                co_await asio::async_read_until(stream, asio::dynamic_buffer(request), "\r\n\r\n", use);
            if (error) continue;
            char name[64] = {};
            X509* shown = SSL_get1_peer_certificate(stream.native_handle());
            X509_NAME_get_text_by_NID(X509_get_subject_name(shown), NID_commonName, name, sizeof name);
            X509_free(shown);
            const std::string body(name);
            const auto answer =
                "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
            co_await asio::async_write(stream, asio::buffer(answer), use);
            co_await stream.async_shutdown(use);
        }
    }

    asio::ssl::context context_;
    tcp::acceptor acceptor_;
};

class ClientCertificate : public testing::Test {
protected:
    ClientCertificate() {
        authority_.issue(dir_ / "server.pem", dir_ / "server.key", "DNS:kubernetes");
        authority_.issue(dir_ / "me.pem", dir_ / "me.key", "DNS:me");
        server_.emplace(io_, dir_ / "server.pem", dir_ / "server.key", authority_.ca_file);
        options_.ca_pem = pem("ca.pem");
        options_.server_name = "kubernetes";
        options_.certificate_pem = pem("me.pem");
        options_.key_pem = key("me.key");
    }
    std::string pem(const std::string& name) { return read_file(dir_ / name).value(); }
    std::shared_ptr<const Secret> key(const std::string& name) {
        return std::make_shared<const Secret>(read_secret_file(dir_ / name).value());
    }
    Result<std::string> get() {
        Url url;
        url.tls = true;
        url.host = "127.0.0.1";
        url.port = server_->port();
        auto client = make_http_client(io_, url, options_);
        if (!client) return Failure(client.error());
        HttpRequest request;
        request.target = "/";
        auto response = test::run(io_, (*client)->request(std::move(request)));
        if (!response) return Failure(response.error());
        return response->body;
    }

    test::TempDir dir_;
    test::Authority authority_{dir_};
    asio::io_context io_;
    std::optional<PickyServer> server_;
    HttpClientOptions options_;
};

TEST_F(ClientCertificate, IsShownAndTheServerKnownByAnotherName) {
    const auto name = get();
    ASSERT_TRUE(name) << name.error().message();
    EXPECT_EQ(*name, "server") << "the name in what certificates.h issues";
    options_.server_name = "";
    EXPECT_THAT(get().error().message(), HasSubstr("IP address mismatch"));
}

TEST_F(ClientCertificate, WithoutOneThereIsNoAnswer) {
    options_.certificate_pem.clear();
    options_.key_pem.reset();
    EXPECT_FALSE(get());
}

TEST_F(ClientCertificate, TextThatIsNoneIsNamed) {
    auto good = options_;
    options_.ca_pem = "nonsense";
    EXPECT_THAT(get().error().message(), HasSubstr("CA certificates"));
    options_ = good;
    options_.certificate_pem = "nonsense";
    EXPECT_THAT(get().error().message(), HasSubstr("client certificate"));
    options_ = good;
    options_.key_pem = std::make_shared<const Secret>(Secret::copy_of(as_bytes("nonsense")));
    EXPECT_THAT(get().error().message(), HasSubstr("client key"));
    options_.key_pem.reset();
    EXPECT_THAT(get().error().message(), HasSubstr("client key"));
    options_.key_pem = key("server.key");
    EXPECT_THAT(get().error().message(), HasSubstr("client"));
}

}  // namespace
}  // namespace wglan
