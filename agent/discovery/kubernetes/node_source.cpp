// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/kubernetes/node_source.h"

#include "agent/discovery/kubernetes/node_follower.h"
#include "agent/discovery/kubernetes/node_publisher.h"
#include "agent/discovery/source_tasks.h"

namespace wglan {
namespace {

constexpr const char* kName = "kubernetes";

struct Shared final : SourceTasks {
    Shared(const SourceContext& context, const std::shared_ptr<const KubeApi>& api,
           std::shared_ptr<const Secret> seed, const NodeSourceOptions& options)
        : SourceTasks(*context.io, kName),
          publisher(context, options.times, api, std::move(seed), kName, options.annotation_prefix,
                    options.node_name),
          follower(context, options.times, api, kName, options.annotation_prefix, options.node_name) {}

    // A Node that is gone had its pods; that it will have others is told when it is there.
    void tell_pods(const OwnNode& own) {
        if (!own.node || own.node->pod_cidrs == told_pods) return;
        told_pods = own.node->pod_cidrs;
        SourceUpdate update;
        update.kind = SourceUpdate::Kind::own_pods;
        update.source = kName;
        update.pod_prefixes = *told_pods;
        tell(std::move(update));
    }

    NodePublisher publisher;
    NodeFollower follower;
    std::optional<std::vector<Prefix>> told_pods;
};

class NodeSource final : public Source {
public:
    explicit NodeSource(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
    ~NodeSource() override { NodeSource::stop(); }

    void start(Callback on_update) override {
        auto self = shared_;
        self->on_update = std::move(on_update);
        // The outer lambdas own `self` for as long as their coroutine lives; the inner ones needn't.
        auto tell = [raw = self.get()](SourceUpdate update) { raw->tell(std::move(update)); };
        auto see = [raw = self.get()](const OwnNode& own) {
            raw->tell_pods(own);
            if (auto news = raw->publisher.saw(own)) raw->tell(std::move(*news));
        };
        self->spawn([self] { return self->publisher.run(); }, self->cancel_publisher);
        self->spawn([self, tell, see] { return self->follower.run(tell, see); }, self->cancel_follower);
    }

    void stop() override {
        if (shared_->stopped) return;
        shared_->stopped = true;
        shared_->publisher.stop();
        shared_->follower.stop();
        shared_->cancel();
    }

    SourceStatus status() const override {
        return SourceTasks::whole(shared_->follower.status(), shared_->publisher.error());
    }

    bool publishes() const override { return true; }
    void publish(OwnRecord own) override { shared_->publisher.publish(std::move(own)); }

    // Not a coroutine on `this`: the source may go while it runs.
    Task<Result<>> withdraw(std::uint64_t, std::chrono::milliseconds limit) override {
        return withdraw_with(shared_, limit);
    }

private:
    static Task<Result<>> withdraw_with(std::shared_ptr<Shared> shared, Milliseconds limit) {
        co_return co_await shared->publisher.withdraw(limit);
    }

    std::shared_ptr<Shared> shared_;
};

}  // namespace

Result<std::unique_ptr<Source>> make_node_source(const SourceContext& context,
                                                 std::shared_ptr<const Secret> seed,
                                                 NodeSourceOptions options) {
    auto api = KubeApi::make(*context.io, options.access, options.socket_mark, options.times);
    if (!api) return Failure(api.error());
    return std::make_unique<NodeSource>(
        std::make_shared<Shared>(context, std::move(*api), std::move(seed), options));
}

}  // namespace wglan
