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
    // A watch without a line so long may be dead. It needn't: bookmarks come each minute, but none while
    // nothing at all has changed since the watch began (an idle cluster, or one object alone).
    Milliseconds silence{90'000};
    Milliseconds backoff_first{500}, backoff_most{30'000};
    Milliseconds most_retry_after{300'000};  // a server that asks for more is not believed
    // Between tries of what was forbidden or found invalid.
    Milliseconds denied_first{5000}, denied_most{300'000};
    std::size_t most_body = 32U << 20;  // of an answer, unpacked
};

class KubeApi {
public:
    // `read`: what a kubeconfig, or the pod's folder, holds now. It is asked again after each failure: files
    // come late, and certificates, tokens and authorities are renewed in them. `mark`: SO_MARK of
    // connections.
    KubeApi(asio::io_context& io, ReadAccess read, std::uint32_t mark, const KubeTimes& times)
        : io_(io), read_(std::move(read)), mark_(mark), times_(times) {}

    // Fails where there is no access yet, or certificates and keys that are none.
    Result<> ready() const;
    std::optional<HostPort> server() const;
    // The body is unpacked. A token file is read for each request.
    Task<Result<HttpResponse>> get(std::string target) const;
    Task<Result<std::unique_ptr<HttpStream>>> watch(std::string target) const;
    Task<Result<HttpResponse>> merge_patch(std::string target, std::string json) const;
    Task<Result<HttpResponse>> strategic_patch(std::string target, std::string json) const;
    Task<Result<HttpResponse>> post(std::string target, std::string json) const;

private:
    // What holds until the files say otherwise.
    struct Session {
        KubeAccess access;
        std::shared_ptr<HttpClient> client;
    };
    Result<std::shared_ptr<const Session>> session() const;
    Result<std::shared_ptr<const Session>> open(KubeAccess access) const;
    void refresh() const;
    static Result<HttpRequest> request(const KubeAccess& access, const char* method, std::string target);
    Task<Result<HttpResponse>> exchange(std::shared_ptr<const Session> session, HttpRequest request) const;
    Task<Result<HttpResponse>> send(const char* method, const char* type, std::string target,
                                    std::string json) const;

    asio::io_context& io_;
    ReadAccess read_;
    std::uint32_t mark_;
    KubeTimes times_;
    mutable std::shared_ptr<const Session> session_;  // none = not read yet
};

// What an answer other than 2xx means for whoever runs the agent. `doing`: "list Nodes".
Error kube_error(unsigned status, std::string_view body, const char* doing);
// True where a patch with a UID in it met another object under the same name, or none. The API has no
// precondition for patches: it finds a UID that would change invalid (422), and says conflict (409) where it
// sees a race.
bool is_another(unsigned status, std::string_view body);
// RFC 9110 section 10.2.3, in seconds; nullopt: there is none, or it is a date.
std::optional<Milliseconds> retry_after(const HttpHeaders& headers, Milliseconds most);
std::optional<Milliseconds> retry_after(const HttpResponse& response, Milliseconds most);
std::string percent_encode(std::string_view text);

}  // namespace wglan
