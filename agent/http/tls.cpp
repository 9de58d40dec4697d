// SPDX-License-Identifier: Apache-2.0
#include "agent/http/tls.h"

#include <unistd.h>

#include <cerrno>

#include <openssl/err.h>
#include <openssl/ssl.h>

namespace wglan::http {
namespace {

using boost::asio::ssl::context;
using boost::system::error_code;

std::shared_ptr<context> make_context(context::method method) {
    auto made = std::make_shared<context>(method);
    auto* handle = made->native_handle();
    SSL_CTX_set_min_proto_version(handle, TLS1_2_VERSION);
    // RELEASE_BUFFERS: an idle watch stream keeps no record buffers.
    SSL_CTX_set_mode(handle, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(handle, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    return made;
}

Failure unusable(const std::string& what, const std::string& file, const error_code& error) {
    return fail(ErrorKind::invalid, what + " " + file + ": " + error.message() + " (a PEM file is expected)");
}

Result<> readable(const std::string& what, const std::string& file) {
    if (::access(file.c_str(), R_OK) != 0) return fail_errno("read " + what + " " + file, errno);
    return {};
}

// An encrypted key would make OpenSSL ask on the terminal.
void refuse_passwords(context& made) {
    SSL_CTX_set_default_passwd_cb(made.native_handle(), [](char*, int, int, void*) { return 0; });
}

// Chooses http/1.1 if the client offers it; goes on without ALPN otherwise.
int select_protocol(SSL*, const unsigned char** out, unsigned char* out_length, const unsigned char* offered,
                    unsigned length, void*) {
    static const unsigned char kHttp11[] = "\x08http/1.1";
    unsigned char* chosen = nullptr;
    if (SSL_select_next_proto(&chosen, out_length, kHttp11, sizeof kHttp11 - 1, offered, length) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

// What is named as an authority is trusted as one, also if another has signed it: kubectl and all that is
// written in Go do so, and clusters are given an intermediate CA alone.
void end_chains_there(context& made) {
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(made.native_handle()), X509_V_FLAG_PARTIAL_CHAIN);
}

Result<> trust(context& made, const HttpClientOptions& options) {
    error_code error;
    if (!options.ca_pem.empty() || !options.ca_file.empty()) end_chains_there(made);
    if (!options.ca_pem.empty()) {
        made.add_certificate_authority(boost::asio::buffer(options.ca_pem), error);
        if (error)
            return fail(ErrorKind::invalid, "CA certificates: " + error.message() + " (PEM is expected)");
        return {};
    }
    if (options.ca_file.empty()) {
        made.set_default_verify_paths(error);
        if (error) return fail(ErrorKind::io, "load the system's CA certificates: " + error.message());
        return {};
    }
    if (auto there = readable("CA file", options.ca_file); !there) return there;
    made.load_verify_file(options.ca_file, error);
    return error ? Result<>(unusable("CA file", options.ca_file, error)) : Result<>{};
}

Result<> show(context& made, const HttpClientOptions& options) {
    if (options.certificate_pem.empty()) return {};
    const auto bad = [](const char* what, const error_code& error) {
        return fail(ErrorKind::invalid, std::string(what) + ": " + error.message() + " (PEM is expected)");
    };
    error_code error;
    refuse_passwords(made);
    made.use_certificate_chain(boost::asio::buffer(options.certificate_pem), error);
    if (error) return bad("client certificate", error);
    const auto key = options.key_pem ? options.key_pem->text() : std::string_view();
    made.use_private_key(boost::asio::buffer(key.data(), key.size()), context::pem, error);
    if (error) return bad("client key", error);
    if (SSL_CTX_check_private_key(made.native_handle()) == 1) return {};
    ERR_clear_error();
    return fail(ErrorKind::invalid, "the client's key doesn't belong to its certificate");
}

}  // namespace

Result<std::shared_ptr<context>> make_client_context(const HttpClientOptions& options) {
    error_code error;
    auto made = make_context(context::tls_client);
    made->set_verify_mode(boost::asio::ssl::verify_peer, error);
    if (auto trusted = trust(*made, options); !trusted) return Failure(trusted.error());
    if (auto shown = show(*made, options); !shown) return Failure(shown.error());
    return made;
}

Result<std::shared_ptr<context>> make_server_context(const std::string& certificate_file,
                                                     const std::string& key_file) {
    if (auto there = readable("certificate", certificate_file); !there) return Failure(there.error());
    if (auto there = readable("key", key_file); !there) return Failure(there.error());
    error_code error;
    auto made = make_context(context::tls_server);
    refuse_passwords(*made);
    SSL_CTX_set_alpn_select_cb(made->native_handle(), select_protocol, nullptr);
    made->use_certificate_chain_file(certificate_file, error);
    if (error) return unusable("certificate", certificate_file, error);
    made->use_private_key_file(key_file, context::pem, error);
    if (error) return unusable("key", key_file, error);
    if (SSL_CTX_check_private_key(made->native_handle()) != 1) {
        ERR_clear_error();
        return fail(ErrorKind::invalid,
                    "key " + key_file + " does not belong to certificate " + certificate_file);
    }
    return made;
}

}  // namespace wglan::http
