// SPDX-License-Identifier: Apache-2.0
#include "tools/wglanctl/agent.h"

#include <cctype>
#include <system_error>

#include <fmt/format.h>

#include "tools/wglanctl/render/text.h"

namespace wglan::ctl {
namespace {

HttpClientOptions client_options() {
    HttpClientOptions options;
    options.max_body = 256U << 20;  // 10,000 peers with all their candidates
    return options;
}

std::string target_of(std::string path, const Query& query) {
    char separator = '?';
    for (const auto& [key, value] : query) {
        if (value.empty()) continue;
        path += separator + key + "=" + percent_encode(value);
        separator = '&';
    }
    return path;
}

}  // namespace

Agent::Agent(asio::io_context& io, std::string socket)
    : socket_(std::move(socket)), client_(make_unix_http_client(io, socket_, client_options())) {}

Complaint Agent::unreachable(const Error& error) const {
    std::string cause =
        error.code() != 0 ? std::generic_category().message(error.code()) : printable(error.message());
    switch (error.kind()) {
        case ErrorKind::permission:
            return {kFailed, fmt::format("no access to {} ({}); run it as root", socket_, cause)};
        case ErrorKind::protocol:
        case ErrorKind::exhausted:
            return {kFailed, fmt::format("what answers at {} is no agent of this kind: {}", socket_, cause)};
        default:
            return {kNoAgent,
                    fmt::format(
                        "no agent answers at {} ({}); start wglan-agent, or pick its socket with --socket",
                        socket_, cause)};
    }
}

Complaint Agent::refusal(unsigned status, const std::string& path, const Json& body) const {
    std::string error = text_at(body, {"error"});
    if (error.empty()) error = fmt::format("{} answered {} with status {}", socket_, path, status);
    return {status == 400 ? kUsage : kFailed, printable(error)};
}

Task<tl::expected<Json, Complaint>> Agent::get(std::string path, Query query) {
    HttpRequest request;
    request.target = target_of(std::move(path), query);
    std::string target = request.target;
    auto response = co_await client_->request(std::move(request));
    if (!response) co_return tl::unexpected(unreachable(response.error()));
    Json body = parse_answer(response->body);
    if (response->status == 200 && body.is_object()) co_return body;
    co_return tl::unexpected(refusal(response->status, target, body));
}

Task<tl::expected<std::unique_ptr<HttpStream>, Complaint>> Agent::stream(std::string path, Query query) {
    HttpRequest request;
    request.target = target_of(std::move(path), query);
    std::string target = request.target;
    auto stream = co_await client_->stream(std::move(request));
    if (!stream) co_return tl::unexpected(unreachable(stream.error()));
    const unsigned status = (*stream)->status();
    if (status == 200) co_return std::move(*stream);
    auto line = co_await (*stream)->read_line(std::chrono::seconds(10));
    Json body = parse_answer(line.value_or(""));
    co_return tl::unexpected(refusal(status, target, body));
}

std::string percent_encode(std::string_view text) {
    std::string out;
    for (char c : text) {
        auto byte = static_cast<unsigned char>(c);
        bool unreserved =
            byte < 0x80 && (std::isalnum(byte) != 0 || c == '-' || c == '.' || c == '_' || c == '~');
        if (unreserved)
            out += c;
        else
            out += fmt::format("%{:02X}", byte);
    }
    return out;
}

}  // namespace wglan::ctl
