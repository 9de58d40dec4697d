// SPDX-License-Identifier: Apache-2.0
// Follows where the cluster's API servers are, for ever: the EndpointSlice that they keep of themselves.
#pragma once

#include <boost/asio/steady_timer.hpp>

#include "agent/base/backoff.h"
#include "agent/discovery/kubernetes/api.h"
#include "agent/discovery/kubernetes/endpoint_slice.h"
#include "agent/discovery/source_context.h"

namespace wglan {

class ApiServerFollower {
public:
    using Emit = std::function<void(const std::vector<Endpoint>&)>;

    ApiServerFollower(const SourceContext& context, const KubeTimes& times,
                      std::shared_ptr<const KubeApi> api, std::string source);

    // Loops until stop(); emits what is new, and never that there is none: an only API server takes itself
    // out of the slice when it stops, and is wanted all the more then. The caller keeps this object alive.
    Task<void> run(Emit emit);
    void stop();
    const std::string& note() const { return note_; }  // why they aren't known; "" = they are

private:
    Task<Milliseconds> follow();  // how long to wait then
    Task<std::optional<Milliseconds>> list();
    Task<Milliseconds> read_events(std::unique_ptr<HttpStream> stream);
    Milliseconds refused(unsigned status, std::string_view body, const HttpHeaders& headers);
    Milliseconds failed(const Error& error);
    void tell(std::vector<Endpoint> servers);

    SourceContext context_;
    KubeTimes times_;
    std::shared_ptr<const KubeApi> api_;
    std::string source_;
    Backoff backoff_, denied_;
    asio::steady_timer timer_;
    Emit emit_;
    HttpStream* stream_ = nullptr;  // the one that is being read
    std::string version_;           // resourceVersion to go on from; "" = list first
    std::vector<Endpoint> told_;
    std::string note_;
    bool stopped_ = false;
};

}  // namespace wglan
