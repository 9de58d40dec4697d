// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/kubernetes/api.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/discovery/kubernetes/node.h"
#include "agent/http/gzip.h"

namespace wglan {
namespace {

std::string hint(unsigned status) {
    switch (status) {
        case 401:
            return "the API server doesn't accept our token or certificate: is it expired, or another "
                   "cluster's?";
        case 403:
            return "our user lacks the right: see the ClusterRole in config/kubernetes";
        case 404:
            return "the API server has no such object";
        case 409:
            return "the object was changed or made anew meanwhile";
        case 415:
            return "the API server doesn't take this kind of patch";
        case 410:
            return "the API server has forgotten that state";
        case 422:
            return "the API server finds it invalid";
        case 429:
            return "the API server asks for patience";
        default:
            return {};
    }
}

}  // namespace

Result<> KubeApi::ready() const {
    const auto made = session();
    return made ? Result<>{} : Result<>(Failure(made.error()));
}

std::optional<HostPort> KubeApi::server() const {
    const auto made = session();
    if (!made) return std::nullopt;
    return HostPort{(*made)->access.server.host, (*made)->access.server.port};
}

Result<std::shared_ptr<const KubeApi::Session>> KubeApi::session() const {
    if (session_) return session_;
    auto access = read_();
    if (!access) return Failure(access.error());
    auto opened = open(std::move(*access));
    if (opened) session_ = *opened;
    return opened;
}

Result<std::shared_ptr<const KubeApi::Session>> KubeApi::open(KubeAccess access) const {
    HttpClientOptions options;
    options.ca_pem = access.ca_pem;
    options.server_name = access.server_name;
    options.certificate_pem = access.certificate_pem;
    options.key_pem = access.key_pem;
    options.socket_mark = mark_;
    options.connect_timeout = times_.connect_timeout;
    options.request_timeout = times_.request_timeout;
    options.max_body = times_.most_body;
    options.max_line = kMaxNodeLine;
    auto client = make_http_client(io_, access.server, std::move(options));
    if (!client) return fail_with(client, "API server " + access.server.to_string());
    auto session = std::make_shared<Session>();
    session->access = std::move(access);
    session->client = std::move(*client);
    return std::shared_ptr<const Session>(std::move(session));
}

// A file that is being written is no reason to give up what worked until now.
void KubeApi::refresh() const {
    auto access = read_();
    if (!access || !session_ || *access == session_->access) return;
    auto opened = open(std::move(*access));
    if (!opened) return;
    spdlog::info("API server {}: certificates, token or address were renewed",
                 (*opened)->access.server.to_string());
    session_ = std::move(*opened);
}

Result<HttpRequest> KubeApi::request(const KubeAccess& access, const char* method, std::string target) {
    HttpRequest request;
    request.method = method;
    request.target = std::move(target);
    request.headers["accept"] = "application/json";
    request.headers["user-agent"] = "wglan-agent";
    const auto bearer = [&](const Secret& token) {
        // In place: the client wipes it once it is sent, and there is no other copy.
        std::string& value = request.headers["authorization"];
        value.reserve(token.text().size() + 8);
        value = "Bearer ";
        value += token.text();
    };
    if (!access.token_file.empty()) {
        const auto token = read_secret_file(access.token_file);
        if (!token) return fail_with(token, "our token");
        bearer(*token);
    } else if (access.token) {
        bearer(*access.token);
    }
    return request;
}

Task<Result<HttpResponse>> KubeApi::exchange(std::shared_ptr<const Session> session,
                                             HttpRequest request) const {
    auto response = co_await session->client->request(std::move(request));
    if (!response || response->status == 401) refresh();
    co_return std::move(response);
}

Task<Result<HttpResponse>> KubeApi::get(std::string target) const {
    auto opened = session();
    if (!opened) co_return Failure(opened.error());
    auto made = request((*opened)->access, "GET", std::move(target));
    if (!made) co_return Failure(made.error());
    made->headers["accept-encoding"] = "gzip";
    auto response = co_await exchange(std::move(*opened), std::move(*made));
    if (!response) co_return Failure(response.error());
    if (const auto it = response->headers.find("content-encoding");
        it != response->headers.end() && it->second == "gzip") {
        auto plain = gunzip(response->body, times_.most_body);
        if (!plain) co_return Failure(plain.error());
        response->body = std::move(*plain);
    }
    co_return std::move(*response);
}

Task<Result<std::unique_ptr<HttpStream>>> KubeApi::watch(std::string target) const {
    auto opened = session();
    if (!opened) co_return Failure(opened.error());
    auto made = request((*opened)->access, "GET", std::move(target));
    if (!made) co_return Failure(made.error());
    auto stream = co_await (*opened)->client->stream(std::move(*made));
    if (!stream || (*stream)->status() == 401) refresh();
    co_return std::move(stream);
}

Task<Result<HttpResponse>> KubeApi::merge_patch(std::string target, std::string json) const {
    co_return co_await send("PATCH", "application/merge-patch+json", std::move(target), std::move(json));
}

Task<Result<HttpResponse>> KubeApi::strategic_patch(std::string target, std::string json) const {
    co_return co_await send("PATCH", "application/strategic-merge-patch+json", std::move(target),
                            std::move(json));
}

Task<Result<HttpResponse>> KubeApi::post(std::string target, std::string json) const {
    co_return co_await send("POST", "application/json", std::move(target), std::move(json));
}

Task<Result<HttpResponse>> KubeApi::send(const char* method, const char* type, std::string target,
                                         std::string json) const {
    auto opened = session();
    if (!opened) co_return Failure(opened.error());
    auto made = request((*opened)->access, method, std::move(target));
    if (!made) co_return Failure(made.error());
    made->headers["content-type"] = type;
    made->body = std::move(json);
    co_return co_await exchange(std::move(*opened), std::move(*made));
}

Error kube_error(unsigned status, std::string_view body, const char* doing) {
    const auto said = status_message(body);
    // Rights are there then, but a policy or a webhook of the cluster says no: only its text tells why.
    const bool admission = status >= 400 && (said.find("denied request") != std::string::npos ||
                                             said.find("denied the request") != std::string::npos);
    const auto more = admission ? "an admission policy of the cluster denies it" : hint(status);
    auto text = fmt::format("{}: answer {}", doing, status);
    if (!more.empty()) text += ": " + more;
    if (!said.empty()) text += " (" + said + ")";
    const bool refused = status == 401 || status == 403;
    return {refused ? ErrorKind::permission : ErrorKind::protocol, std::move(text)};
}

bool is_another(unsigned status, std::string_view body) {
    return status == 404 || (status == 422 && status_message(body).find("metadata.uid") != std::string::npos);
}

std::optional<Milliseconds> retry_after(const HttpResponse& response, Milliseconds most) {
    return retry_after(response.headers, most);
}

std::optional<Milliseconds> retry_after(const HttpHeaders& headers, Milliseconds most) {
    const auto it = headers.find("retry-after");
    if (it == headers.end()) return std::nullopt;
    const std::string& text = it->second;
    unsigned seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return std::min<Milliseconds>(Seconds{seconds}, most);
}

// RFC 3986 section 2.3
std::string percent_encode(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                           c == '-' || c == '_' || c == '.' || c == '~';
        if (plain)
            out += c;
        else
            fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<unsigned char>(c));
    }
    return out;
}

}  // namespace wglan
