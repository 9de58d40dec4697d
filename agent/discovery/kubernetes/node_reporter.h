// SPDX-License-Identifier: Apache-2.0
// Tells the cluster's people how this node's mesh is doing: Events about our Node, and its condition
// WglanReady. Both need rights that an agent may lack: it goes on without them then.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <nlohmann/json.hpp>

#include "agent/discovery/kubernetes/api.h"
#include "agent/discovery/kubernetes/event_book.h"
#include "agent/discovery/kubernetes/node_view.h"

namespace wglan {

class NodeReporter {
public:
    NodeReporter(const SourceContext& context, const KubeTimes& times, std::shared_ptr<const KubeApi> api,
                 std::string source, std::string prefix, std::string own_name);

    // Loops until stop(). The caller keeps this object alive.
    Task<void> run();
    void stop();

    void saw(const OwnNode& own);  // what the API says of our Node
    void tell(const NodeCondition& condition);
    void tell(const NodeEvent& event);
    // The condition goes, if one is there.
    Task<Result<>> withdraw(SteadyTime until);

    // What can't be told, and why.
    std::vector<std::string> notes() const;

private:
    // One of the two kinds of news, and whether it may be told.
    struct Channel {
        const char* what;
        SteadyTime not_before{};
        std::string refused = {};  // by the API server; "" = it isn't
        unsigned refusals = 0;     // in a row
    };
    using Answer = Result<HttpResponse>;

    bool condition_due() const;
    nlohmann::json condition_now() const;
    nlohmann::json event_object(const EventBook::Entry& entry, const std::string& name) const;
    std::string status_target() const;
    std::string new_name() const;
    Task<void> patch_condition();
    Task<void> post_event();
    Task<Answer> send_event(const EventBook::Entry& entry, const std::string& name);
    Task<Result<bool>> condition_stands(SteadyTime until);
    Task<void> wait();
    // True if it went well; otherwise the channel rests.
    bool went_well(Channel& channel, const Answer& answer);

    SourceContext context_;
    KubeTimes times_;
    std::shared_ptr<const KubeApi> api_;
    std::string source_, prefix_, own_name_;
    Backoff backoff_;
    asio::steady_timer timer_;
    std::optional<NodeCondition> wanted_;
    std::optional<KubeNode> node_;  // as last seen
    EventBook book_;
    Channel condition_{"the Node's condition"}, events_{"Events"};
    bool stopped_ = false;
};

}  // namespace wglan
