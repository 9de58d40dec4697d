// SPDX-License-Identifier: Apache-2.0
#include "agent/http/stream.h"

#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/error.hpp>

namespace wglan::http {
namespace {

using boost::system::error_code;

template <class Lowest>
void apply_deadline(Lowest& lowest, SteadyTime when) {
    if (when == kNever)
        lowest.expires_never();
    else
        lowest.expires_at(when);
}

template <class Stream>
Task<Result<std::size_t>> read_from(Stream& stream, asio::mutable_buffer buffer) {
    error_code error;
    std::size_t count =
        co_await stream.async_read_some(buffer, asio::redirect_error(asio::use_awaitable, error));
    if (error == asio::error::eof) co_return std::size_t{0};
    if (error) co_return net_fail("read", error);
    co_return count;
}

template <class Stream>
Task<Result<>> write_to(Stream& stream, asio::const_buffer bytes) {
    error_code error;
    co_await asio::async_write(stream, bytes, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return net_fail("write", error);
    co_return Result<>{};
}

template <class Lowest>
class PlainStream final : public ByteStream {
public:
    explicit PlainStream(Lowest stream) : stream_(std::move(stream)) {}

    void set_deadline(SteadyTime when) override { apply_deadline(stream_, when); }
    Task<Result<std::size_t>> read_some(asio::mutable_buffer buffer) override {
        return read_from(stream_, buffer);
    }
    Task<Result<>> write(asio::const_buffer bytes) override { return write_to(stream_, bytes); }
    Task<Result<>> accept_handshake() override { co_return Result<>{}; }
    void shutdown_send() override {
        error_code ignored;
        stream_.socket().shutdown(asio::socket_base::shutdown_send, ignored);
    }
    void close() override { stream_.close(); }

private:
    Lowest stream_;
};

class TlsStream final : public ByteStream {
public:
    TlsStream(TcpStream stream, std::shared_ptr<asio::ssl::context> context)
        : context_(std::move(context)), stream_(std::move(stream), *context_) {}

    void set_deadline(SteadyTime when) override { apply_deadline(stream_.next_layer(), when); }
    Task<Result<std::size_t>> read_some(asio::mutable_buffer buffer) override {
        return read_from(stream_, buffer);
    }
    Task<Result<>> write(asio::const_buffer bytes) override { return write_to(stream_, bytes); }
    Task<Result<>> accept_handshake() override { return handshake(asio::ssl::stream_base::server); }
    // No close_notify: every message of ours says its own length.
    void shutdown_send() override {
        error_code ignored;
        stream_.next_layer().socket().shutdown(asio::socket_base::shutdown_send, ignored);
    }
    void close() override { stream_.next_layer().close(); }

    SSL* ssl() { return stream_.native_handle(); }
    Task<Result<>> handshake(asio::ssl::stream_base::handshake_type type) {
        error_code error;
        co_await stream_.async_handshake(type, asio::redirect_error(asio::use_awaitable, error));
        if (error) co_return net_fail("TLS handshake", error);
        co_return Result<>{};
    }

private:
    std::shared_ptr<asio::ssl::context> context_;
    asio::ssl::stream<TcpStream> stream_;
};

// The subject's common name is not looked at, only subjectAltName (RFC 6125 section 6.4.4).
Result<> expect_host(SSL* ssl, const std::string& host) {
    auto* param = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_hostflags(
        param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    bool good = false;
    if (IpAddress::parse(host))
        good = X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str()) == 1;
    else
        good = X509_VERIFY_PARAM_set1_host(param, host.c_str(), host.size()) == 1 &&
               SSL_set_tlsext_host_name(ssl, host.c_str()) == 1;
    if (!good) return fail(ErrorKind::internal, "TLS: can't set the expected host name " + host);
    return {};
}

Failure handshake_failure(SSL* ssl, const std::string& host, const Error& error) {
    long verdict = SSL_get_verify_result(ssl);
    if (error.kind() == ErrorKind::timeout || verdict == X509_V_OK) return Failure(error);
    return fail(ErrorKind::permission, "TLS: the certificate of " + host +
                                           " is not trusted: " + X509_verify_cert_error_string(verdict) +
                                           " (check caFile and the certificate's subjectAltName)");
}

}  // namespace

std::shared_ptr<ByteStream> make_plain_stream(TcpStream stream) {
    return std::make_shared<PlainStream<TcpStream>>(std::move(stream));
}

std::shared_ptr<ByteStream> make_plain_stream(LocalStream stream) {
    return std::make_shared<PlainStream<LocalStream>>(std::move(stream));
}

std::shared_ptr<ByteStream> make_tls_server_stream(TcpStream stream,
                                                   std::shared_ptr<asio::ssl::context> context) {
    return std::make_shared<TlsStream>(std::move(stream), std::move(context));
}

Task<Result<std::shared_ptr<ByteStream>>> connect_tls(TcpStream stream,
                                                      std::shared_ptr<asio::ssl::context> context,
                                                      std::string host, SteadyTime deadline) {
    auto tls = std::make_shared<TlsStream>(std::move(stream), std::move(context));
    auto expected = expect_host(tls->ssl(), host);
    if (!expected) co_return Failure(expected.error());
    tls->set_deadline(deadline);
    auto done = co_await tls->handshake(asio::ssl::stream_base::client);
    if (!done) co_return handshake_failure(tls->ssl(), host, done.error());
    co_return std::shared_ptr<ByteStream>(std::move(tls));
}

Failure net_fail(std::string context, const error_code& error) {
    if (error == boost::beast::error::timeout)
        return fail(ErrorKind::timeout, std::move(context) + ": the other side did not answer in time");
    if (error == asio::error::operation_aborted)
        return fail(ErrorKind::io, std::move(context) + ": cancelled");
    if (error.category() == boost::system::system_category())
        return fail_errno(std::move(context), error.value());
    if (error == asio::ssl::error::stream_truncated)
        return fail(ErrorKind::io, std::move(context) + ": the other side closed the connection");
    return fail(error.category() == asio::error::get_ssl_category() ? ErrorKind::protocol : ErrorKind::io,
                std::move(context) + ": " + error.message());
}

}  // namespace wglan::http
