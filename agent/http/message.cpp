// SPDX-License-Identifier: Apache-2.0
#include "agent/http/message.h"

#include <algorithm>

#include <boost/beast/http/error.hpp>
#include <boost/beast/http/status.hpp>
#include <fmt/format.h>

namespace wglan::http {
namespace {

namespace beast = boost::beast;

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

bool is_token(std::string_view text) {
    constexpr std::string_view kExtra = "!#$%&'*+-.^_`|~";
    return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               kExtra.find(c) != std::string_view::npos;
    });
}

bool is_field_value(std::string_view text) {
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return c == '\t' || (c >= ' ' && c != 0x7f) || (c & 0x80) != 0; });
}

// What the framing alone decides.
bool is_framing(const std::string& name) {
    return name == "content-length" || name == "transfer-encoding" || name == "connection" || name == "host";
}

}  // namespace

template <bool kIsRequest>
MessageParser<kIsRequest>::MessageParser(std::size_t max_header, std::size_t max_body) {
    this->header_limit(static_cast<std::uint32_t>(max_header));
    if (max_body == kNoBodyLimit)
        this->body_limit(boost::none);
    else
        this->body_limit(max_body);
}

template <bool kIsRequest>
Result<> MessageParser<kIsRequest>::feed(ReadBuffer& buffer) {
    namespace http = beast::http;
    while (buffer.size() > 0 && !this->is_done()) {
        Code error;
        auto used = this->put(buffer.data(), error);
        buffer.consume(used);
        if (error == http::error::need_more) return {};
        if (error == http::error::header_limit) {
            header_too_long_ = true;
            return fail(ErrorKind::exhausted, "the header is too long");
        }
        if (error == http::error::body_limit) return fail(ErrorKind::exhausted, "the body is too long");
        if (error) return fail(ErrorKind::protocol, "not HTTP: " + error.message());
        if (!this->eager() && this->is_header_done()) return {};
        if (used == 0) return {};
    }
    return {};
}

template <bool kIsRequest>
Result<> MessageParser<kIsRequest>::finish() {
    Code error;
    if (!this->got_some()) return fail(ErrorKind::io, "the other side closed the connection");
    this->put_eof(error);
    if (error) return fail(ErrorKind::io, "the other side closed the connection in the middle of a message");
    return {};
}

template <bool kIsRequest>
void MessageParser<kIsRequest>::on_request_impl(beast::http::verb, Text name, Text where, int version,
                                                Code&) {
    http_1_0 = version < 11;
    method.assign(name.data(), name.size());
    target.assign(where.data(), where.size());
}

template <bool kIsRequest>
void MessageParser<kIsRequest>::on_field_impl(beast::http::field, Text name, Text value, Code&) {
    auto& slot = headers[lower({name.data(), name.size()})];
    if (!slot.empty()) slot += ", ";
    slot.append(value.data(), value.size());
}

template <bool kIsRequest>
std::size_t MessageParser<kIsRequest>::on_body_impl(Text text, Code&) {
    body.append(text.data(), text.size());
    return text.size();
}

template <bool kIsRequest>
std::size_t MessageParser<kIsRequest>::on_chunk_body_impl(std::uint64_t, Text text, Code&) {
    body.append(text.data(), text.size());
    return text.size();
}

template class MessageParser<true>;
template class MessageParser<false>;

Result<std::string> request_head(const HttpRequest& request, std::string_view host,
                                 std::string_view base_path) {
    bool plain =
        std::all_of(request.target.begin(), request.target.end(), [](char c) { return c > ' ' && c < 0x7f; });
    if (!is_token(request.method) || !request.target.starts_with('/') || !plain)
        return fail(ErrorKind::invalid, "HTTP request: method or target holds characters it must not");
    // Room for all from the start, and no text of a line in between: a token must leave no copies behind.
    std::size_t room = 256 + request.method.size() + base_path.size() + request.target.size() + host.size();
    for (const auto& [name, value] : request.headers) room += name.size() + value.size() + 4;
    std::string out;
    out.reserve(room);
    fmt::format_to(std::back_inserter(out), "{} {}{} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n",
                   request.method, base_path, request.target, host);
    for (const auto& [name, value] : request.headers) {
        if (!is_token(name) || !is_field_value(value))
            return fail(ErrorKind::invalid,
                        "HTTP request: header '" + name.substr(0, 64) + "' can't be sent");
        if (is_framing(lower(name))) continue;
        out += name;
        out += ": ";
        out += value;
        out += "\r\n";
    }
    if (!request.body.empty() && !request.headers.contains("content-type"))
        out += "content-type: application/json\r\n";
    if (!request.body.empty() || (request.method != "GET" && request.method != "HEAD"))
        fmt::format_to(std::back_inserter(out), "content-length: {}\r\n", request.body.size());
    out += "\r\n";
    return out;
}

std::string response_head(const HttpResponse& response, const std::string& framing, bool keep_alive) {
    auto reason = beast::http::obsolete_reason(beast::http::int_to_status(response.status));
    std::string out =
        fmt::format("HTTP/1.1 {} {}\r\n", response.status, std::string_view(reason.data(), reason.size()));
    for (const auto& [name, value] : response.headers)
        if (is_token(name) && is_field_value(value) && !is_framing(lower(name)))
            out += fmt::format("{}: {}\r\n", name, value);
    bool bodiless = response.status < 200 || response.status == 204 || response.status == 304;
    if (!bodiless && !response.headers.contains("content-type")) out += "content-type: application/json\r\n";
    if (!framing.empty() && !bodiless) out += framing + "\r\n";
    out += keep_alive ? "connection: keep-alive\r\n\r\n" : "connection: close\r\n\r\n";
    return out;
}

std::string chunk(std::string_view bytes) { return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes); }

}  // namespace wglan::http
