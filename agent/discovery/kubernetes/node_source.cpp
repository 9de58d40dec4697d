// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/kubernetes/node_source.h"

#include "agent/discovery/kubernetes/api_server_follower.h"
#include "agent/discovery/kubernetes/node_follower.h"
#include "agent/discovery/kubernetes/node_publisher.h"
#include "agent/discovery/kubernetes/node_reporter.h"
#include "agent/discovery/source_tasks.h"

namespace wglan {

namespace {

constexpr const char* kName = "kubernetes";

struct Shared final : SourceTasks {
    Shared(const SourceContext& context, const std::shared_ptr<const KubeApi>& api_server,
           std::shared_ptr<const Secret> seed, const NodeSourceOptions& options)
        : SourceTasks(*context.io, kName),
          publisher(context, options.times, api_server, std::move(seed), kName, options.annotation_prefix,
                    options.node_name),
          follower(context, options.times, api_server, kName, options.annotation_prefix, options.node_name),
          servers(context, options.times, api_server, kName),
          api(api_server),
          clock(*context.clock) {
        if (options.publish_status)
            reporter.emplace(context, options.times, api_server, kName, options.annotation_prefix,
                             options.node_name);
    }

    // The one that we were given is one of them, or leads to them.
    void tell_servers(const std::vector<Endpoint>* all) {
        SourceUpdate update;
        update.kind = SourceUpdate::Kind::api_servers;
        update.source = kName;
        if (auto given = api->server()) update.api_servers.push_back(std::move(*given));
        update.api_servers_complete = all != nullptr;
        if (all != nullptr)
            for (const Endpoint& endpoint : *all)
                update.api_servers.push_back({endpoint.address.to_string(), endpoint.port});
        tell(std::move(update));
    }

    // A Node that is gone had its pods; that it will have others is told when it is there.
    // True if there was news: our record may be another one then.
    bool tell_pods(const OwnNode& own) {
        if (!own.node || own.node->pod_cidrs == told_pods) return false;
        told_pods = own.node->pod_cidrs;
        SourceUpdate update;
        update.kind = SourceUpdate::Kind::own_pods;
        update.source = kName;
        update.pod_prefixes = *told_pods;
        tell(std::move(update));
        return true;
    }

    NodePublisher publisher;
    NodeFollower follower;
    ApiServerFollower servers;
    std::optional<NodeReporter> reporter;
    std::shared_ptr<const KubeApi> api;
    const Clock& clock;
    std::optional<std::vector<Prefix>> told_pods;
    asio::cancellation_signal cancel_servers, cancel_reporter;
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
            const bool pods_are_news = raw->tell_pods(own);
            if (raw->reporter) raw->reporter->saw(own);
            if (auto news = raw->publisher.saw(own)) raw->tell(std::move(*news));
            if (pods_are_news) raw->publisher.hold();
        };
        auto found = [raw = self.get()](const std::vector<Endpoint>& all) { raw->tell_servers(&all); };
        asio::post(self->io, [self] { self->tell_servers(nullptr); });
        self->spawn([self, found] { return self->servers.run(found); }, self->cancel_servers);
        if (self->reporter) self->spawn([self] { return self->reporter->run(); }, self->cancel_reporter);
        self->spawn([self] { return self->publisher.run(); }, self->cancel_publisher);
        self->spawn([self, tell, see] { return self->follower.run(tell, see); }, self->cancel_follower);
    }

    void stop() override {
        if (shared_->stopped) return;
        shared_->stopped = true;
        shared_->publisher.stop();
        shared_->follower.stop();
        shared_->servers.stop();
        if (shared_->reporter) shared_->reporter->stop();
        shared_->cancel_servers.emit(asio::cancellation_type::terminal);
        shared_->cancel_reporter.emit(asio::cancellation_type::terminal);
        shared_->cancel();
    }

    SourceStatus status() const override {
        auto status = SourceTasks::whole(shared_->follower.status(), shared_->publisher.error());
        if (shared_->reporter) status.notes = shared_->reporter->notes();
        if (!shared_->servers.note().empty()) status.notes.push_back(shared_->servers.note());
        return status;
    }

    void tell_condition(const NodeCondition& condition) override {
        if (shared_->reporter) shared_->reporter->tell(condition);
    }
    void tell_event(const NodeEvent& event) override {
        if (shared_->reporter) shared_->reporter->tell(event);
    }

    bool publishes() const override { return true; }
    bool forgets() const override { return false; }
    void publish(OwnRecord own) override { shared_->publisher.publish(std::move(own)); }

    // Not a coroutine on `this`: the source may go while it runs.
    Task<Result<>> withdraw(std::uint64_t sequence, std::chrono::milliseconds limit) override {
        return withdraw_with(shared_, sequence, limit);
    }

private:
    static Task<Result<>> withdraw_with(std::shared_ptr<Shared> shared, std::uint64_t sequence,
                                        Milliseconds limit) {
        if (auto ready = shared->api->ready(); !ready) co_return fail_with(ready, kName);
        const SteadyTime until = shared->clock.now() + limit;
        auto done = co_await shared->publisher.withdraw(sequence, until);
        if (!shared->reporter) co_return done;
        // Also where the record stays: each has rights of its own.
        auto told = co_await shared->reporter->withdraw(until);
        co_return done ? told : done;
    }

    std::shared_ptr<Shared> shared_;
};

}  // namespace

std::unique_ptr<Source> make_node_source(const SourceContext& context, std::shared_ptr<const Secret> seed,
                                         const NodeSourceOptions& options) {
    const auto api =
        std::make_shared<const KubeApi>(*context.io, options.access, options.socket_mark, options.times);
    return std::make_unique<NodeSource>(std::make_shared<Shared>(context, api, std::move(seed), options));
}

}  // namespace wglan
