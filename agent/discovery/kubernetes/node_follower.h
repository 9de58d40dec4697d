// SPDX-License-Identifier: Apache-2.0
// Lists and watches the cluster's Nodes, for ever.
#pragma once

#include <boost/asio/steady_timer.hpp>

#include "agent/discovery/kubernetes/api.h"
#include "agent/discovery/kubernetes/node_view.h"

namespace wglan {

class NodeFollower {
public:
    using Emit = std::function<void(SourceUpdate)>;
    using See = std::function<void(const OwnNode&)>;

    // `prefix`: of annotations.
    NodeFollower(const SourceContext& context, const KubeTimes& times, std::shared_ptr<const KubeApi> api,
                 std::string source, std::string prefix, std::string own_name);

    // Loops until stop(). The caller keeps this object alive.
    Task<void> run(Emit emit, See see);
    void stop();
    SourceStatus status() const;

private:
    // Why one attempt ended.
    struct Ended {
        Error error;
        SourceState state = SourceState::down;
        bool quiet = false;       // a watch ended as each does some day
        bool at_once = false;     // no back-off before the next attempt
        Milliseconds asked = {};  // by the server (Retry-After), at least
    };

    Task<Ended> follow();
    Task<std::optional<Ended>> list();
    Task<tl::expected<KubeNodeList, Ended>> page(std::string next, std::size_t limit);
    Task<std::optional<Ended>> look_again();
    Task<void> judge(std::vector<KubeNode> nodes);
    Task<Ended> read_events(std::unique_ptr<HttpStream> stream);
    Ended broken(const Error& error, bool read_any, SteadyTime opened);
    Ended forgotten(Error error);
    bool deliver(std::vector<SourceUpdate> updates, const OwnNode& own);
    void heard();
    void synced();
    void failed(const Ended& ended);

    SourceContext context_;
    KubeTimes times_;
    std::shared_ptr<const KubeApi> api_;
    std::string prefix_;
    Backoff backoff_;
    asio::steady_timer timer_;
    NodeView view_;
    SourceStatus status_;
    std::optional<SteadyTime> alive_at_;  // when the API last told something, a bookmark at least
    Emit emit_;
    See see_;
    HttpStream* stream_ = nullptr;  // the one that is being read
    std::size_t page_;              // Nodes asked for at once
    std::string version_;           // resourceVersion to go on from; "" = list first
    bool silent_ = false;           // the last watch said nothing in its time
    bool fresh_ = false;            // version_ is that of a list, and nothing was read since
    bool stopped_ = false;
};

}  // namespace wglan
