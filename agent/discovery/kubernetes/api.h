// SPDX-License-Identifier: Apache-2.0
// Requests to an API server, as one user.
#pragma once

#include <memory>

#include "agent/base/clock.h"
#include "agent/discovery/kubernetes/access.h"
#include "agent/http/client.h"

namespace wglan {

struct KubeTimes {
    Milliseconds connect_timeout{5000};
    Milliseconds request_timeout{30000};
    Milliseconds watch_time{300'000};  // asked of the server; a watch ends then, and the next one begins
    // A watch without a line so long is dead: the server sends a bookmark each minute.
    Milliseconds silence{90'000};
    Milliseconds backoff_first{500}, backoff_most{30'000};
    Milliseconds most_retry_after{300'000};  // a server that asks for more is not believed
    // Between tries of what was forbidden or found invalid.
    Milliseconds denied_first{5000}, denied_most{300'000};
};

class KubeApi {
public:
    // Fails on certificates and keys that are none. `mark`: SO_MARK of its connections.
    static Result<std::shared_ptr<KubeApi>> make(asio::io_context& io, KubeAccess access, std::uint32_t mark,
                                                 const KubeTimes& times);
    explicit KubeApi(KubeAccess access) : access_(std::move(access)) {}

    const Url& server() const { return access_.server; }
    // The body is unpacked. A token file is read for each request.
    Task<Result<HttpResponse>> get(std::string target) const;
    Task<Result<std::unique_ptr<HttpStream>>> watch(std::string target) const;
    Task<Result<HttpResponse>> merge_patch(std::string target, std::string json) const;
    Task<Result<HttpResponse>> strategic_patch(std::string target, std::string json) const;
    Task<Result<HttpResponse>> post(std::string target, std::string json) const;

private:
    Result<HttpRequest> request(const char* method, std::string target) const;
    Task<Result<HttpResponse>> send(const char* method, const char* type, std::string target,
                                    std::string json) const;

    KubeAccess access_;
    std::shared_ptr<HttpClient> client_;
};

// What an answer other than 2xx means for whoever runs the agent. `doing`: "list Nodes".
Error kube_error(unsigned status, std::string_view body, const char* doing);
// RFC 9110 section 10.2.3, in seconds; nullopt: there is none, or it is a date.
std::optional<Milliseconds> retry_after(const HttpHeaders& headers, Milliseconds most);
std::optional<Milliseconds> retry_after(const HttpResponse& response, Milliseconds most);
std::string percent_encode(std::string_view text);

}  // namespace wglan
