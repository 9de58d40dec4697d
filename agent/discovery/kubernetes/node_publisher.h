// SPDX-License-Identifier: Apache-2.0
// Keeps our own record on our own Node.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <nlohmann/json.hpp>

#include "agent/discovery/kubernetes/api.h"
#include "agent/discovery/kubernetes/node_view.h"

namespace wglan {

class NodePublisher {
public:
    // `seed`: of the identity that signs.
    NodePublisher(const SourceContext& context, const KubeTimes& times, std::shared_ptr<const KubeApi> api,
                  std::shared_ptr<const Secret> seed, std::string source, std::string prefix,
                  std::string own_name);

    // Loops until stop(). The caller keeps this object alive.
    Task<void> run();
    void stop();

    void publish(OwnRecord own);
    // Another record is about to come: the one at hand waits a moment for it.
    void hold();
    // What the API says of our Node; own_sequence to tell, if any.
    std::optional<SourceUpdate> saw(const OwnNode& own);
    // Our record is withdrawn with this sequence, then our annotations go; nothing is published any more
    // until publish(). Who watches sees both, also who was away for a while: the API tells every step.
    Task<Result<>> withdraw(std::uint64_t sequence, SteadyTime until);

    const std::string& error() const { return error_; }  // "" = all is well

private:
    bool due() const;
    Task<void> patch_once();
    Task<void> wait();
    Task<Result<std::optional<KubeNode>>> insist_on(std::string patch, SteadyTime until);
    Task<Result<HttpResponse>> ask(std::string patch);
    bool is_ours(const KubeNode& node) const;
    void took(KubeNode node);
    std::string target() const;
    std::string patch_with(const Annotations& annotations, bool alone) const;
    std::optional<SourceUpdate> tell_sequence(const KubeNode& node);
    void set_error(std::string text);

    SourceContext context_;
    KubeTimes times_;
    std::shared_ptr<const KubeApi> api_;
    std::shared_ptr<const Secret> seed_;
    std::string source_, prefix_, own_name_;
    Backoff backoff_, denied_;
    asio::steady_timer timer_;
    std::optional<Record> record_;  // to be there
    std::optional<KubeNode> node_;  // as last seen; none = unknown, or there is no such Node
    SteadyTime not_before_{};
    SteadyTime last_patch_{};
    std::uint64_t told_ = 0;
    std::string error_;
    bool held_ = false;
    bool stopped_ = false;
};

}  // namespace wglan
