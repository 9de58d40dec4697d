// SPDX-License-Identifier: Apache-2.0
#include "agent/app/sources.h"

#include <algorithm>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <spdlog/spdlog.h>

#include "agent/app/absences.h"
#include "agent/app/ownership_json.h"
#include "agent/discovery/kubernetes/node_cache.h"
#include "agent/discovery/kubernetes/node_source.h"
#include "agent/discovery/record_cache.h"
#include "agent/discovery/service_source.h"
#include "agent/discovery/snapshot_source.h"

namespace wglan {
namespace {

constexpr Milliseconds kForgettingLimit{3000};  // of who forgets us anyway

std::vector<SourcedRecord> static_records(const Config& config) {
    std::vector<SourcedRecord> records;
    for (const StaticPeer& peer : config.discovery.static_peers) {
        SourcedRecord said;
        said.record.name = peer.name;
        said.record.public_key = peer.public_key;
        if (peer.address) said.record.address = *peer.address;
        said.record.endpoints = peer.endpoints;
        said.record.prefixes = peer.prefixes;
        said.keepalive_s = peer.keepalive_s;
        said.preshared_key_file = peer.preshared_key_file;
        records.push_back(std::move(said));
    }
    return records;
}

class Sources final : public SourceSet {
public:
    Result<> open(asio::io_context& io, const Config& config, const Identity& identity) {
        if (!config.cluster.token) return fail(ErrorKind::invalid, "no cluster token");
        auto keys = ClusterKeys::derive(config.cluster.token->bytes(), config.cluster.discovery_id);
        if (!keys) return fail_with(keys, "derive the cluster's keys");
        SourceContext context;
        context.io = &io;
        context.keys = std::make_shared<const ClusterKeys>(std::move(*keys));
        context.sealer = std::make_shared<OwnSealer>(
            context.keys, std::make_shared<const Secret>(identity.seed.clone()), identity.identity);
        context.guard = guard_ = std::make_shared<SequenceGuard>();

        add(make_static_source(io, static_records(config)));
        if (!config.automatic_nodes) return {};
        open_cache(io, config, context);
        open_kubernetes(config, context, identity);
        for (const ServiceConfig& service : config.discovery.services) {
            ServiceOptions options;
            options.url = service.url;
            options.ca_file = service.ca_file;
            options.socket_mark = config.interface.firewall_mark;
            auto source = make_service_source(context, options);
            if (!source) return fail_with(source, "discovery service " + service.url);
            add(std::move(*source));
        }
        return {};
    }

    void start(Source::Callback on_update) override {
        for (auto& entry : entries_)
            entry.source->start([&entry, on_update](SourceUpdate update) {
                if (update.kind == SourceUpdate::Kind::snapshot) entry.told = true;
                on_update(std::move(update));
            });
    }

    void stop() override {
        for (auto& entry : entries_) entry.source->stop();
    }

    std::vector<SourceStatus> statuses() const override {
        std::vector<SourceStatus> all;
        for (const auto& entry : entries_) all.push_back(entry.source->status());
        return all;
    }

    bool complete() const override {
        return std::all_of(entries_.begin(), entries_.end(), [](const Entry& entry) { return entry.told; });
    }

    std::vector<std::string> publishers() const override {
        std::vector<std::string> names;
        for (const auto& entry : entries_)
            if (entry.source->publishes() && entry.source->status().state == SourceState::synced)
                names.push_back(entry.source->status().name);
        return names;
    }

    void publish(const Record& record) override {
        for (auto& entry : entries_)
            if (entry.source->publishes()) entry.source->publish(OwnRecord{record});
    }

    // At all services at once: a dead one must not keep the others waiting.
    Task<Result<>> withdraw(std::uint64_t sequence, Milliseconds limit) override {
        const auto executor = co_await asio::this_coro::executor;
        auto left = std::make_shared<std::size_t>(0);
        auto result = std::make_shared<Result<>>();
        asio::steady_timer all_done(executor, asio::steady_timer::time_point::max());
        for (auto& entry : entries_) {
            if (!entry.source->publishes()) continue;
            ++*left;
            asio::co_spawn(executor, withdraw_from(*entry.source, sequence, limit, result),
                           [left, &all_done](std::exception_ptr) {
                               if (--*left == 0) all_done.cancel();
                           });
        }
        boost::system::error_code ignored;
        if (*left > 0) co_await all_done.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        co_return *result;
    }

    Ownership cached_ownership() const override { return cached_ownership_; }
    const std::map<PublicKey, Endpoint>& good_endpoints() const override { return endpoints_; }
    ClusterMemory cached_cluster() const override { return has_cluster_ ? cluster_ : ClusterMemory{}; }

    void network_changed() override {
        for (auto& entry : entries_) entry.source->network_changed();
    }
    void tell_condition(const NodeCondition& condition) override {
        for (auto& entry : entries_) entry.source->tell_condition(condition);
    }
    void tell_event(const NodeEvent& event) override {
        for (auto& entry : entries_) entry.source->tell_event(event);
    }

    void remember(const Ownership& ownership, std::map<PublicKey, Endpoint> endpoints, ClusterMemory cluster,
                  const std::set<IdentityKey>* alive) override {
        if (!cache_) return;
        const bool changed = !(ownership == ownership_) || endpoints != endpoints_ || !(cluster == cluster_);
        if (changed) {
            ownership_ = ownership;
            endpoints_ = std::move(endpoints);
            cluster_ = std::move(cluster);
        }
        std::set<IdentityKey> away;
        std::size_t sequences = 0;
        for (const auto& [identity, seen] : guard_->all()) {
            sequences += seen.sequence;
            if (alive != nullptr && (seen.entry || seen.node) && !alive->contains(identity))
                away.insert(identity);
        }
        const auto lost = absences_.long_away(away, system_clock().now());
        for (const IdentityKey& identity : lost) guard_->forget(identity);
        if (changed || !lost.empty() || sequences != sequences_) cache_->changed();
        sequences_ = sequences;
    }

    void flush() override {
        if (!cache_) return;
        if (auto written = cache_->flush(); !written)
            spdlog::warn("write the cache: {}", written.error().message());
    }

private:
    struct Entry {
        std::unique_ptr<Source> source;
        bool told = false;
    };

    static Task<void> withdraw_from(Source& source, std::uint64_t sequence, Milliseconds limit,
                                    std::shared_ptr<Result<>> result) {
        const bool forgets = source.forgets();
        auto done = co_await source.withdraw(sequence, forgets ? kForgettingLimit : limit);
        if (done) co_return;
        if (forgets)
            spdlog::warn("{}: the record is not withdrawn, and expires: {}", source.status().name,
                         done.error().message());
        else
            *result = std::move(done);
    }

    void open_kubernetes(const Config& config, const SourceContext& context, const Identity& identity) {
        const KubernetesConfig& wanted = config.discovery.kubernetes;
        if (!wanted.enabled.value_or(true)) return;
        NodeSourceOptions options;
        options.access = [kubeconfig = wanted.kubeconfig] {
            return kubeconfig.empty() ? in_cluster_access(process_environment())
                                      : read_kubeconfig(kubeconfig);
        };
        // By itself it is off where there is no cluster. What is half there is the source's to tell, and to
        // try again: the other sources go on meanwhile.
        if (!wanted.enabled && wanted.kubeconfig.empty()) {
            const auto access = options.access();
            if (!access && access.error().kind() == ErrorKind::not_found) return;
        }
        options.annotation_prefix = wanted.annotation_prefix;
        options.publish_status = wanted.publish_status;
        options.node_name = config.node.name;
        options.socket_mark = config.interface.firewall_mark;
        has_cluster_ = true;
        add(make_node_source(context, std::make_shared<const Secret>(identity.seed.clone()), options));
    }

    void add(std::unique_ptr<Source> source) { entries_.push_back({std::move(source), false}); }

    void open_cache(asio::io_context& io, const Config& config, const SourceContext& context) {
        CacheOptions soon;  // a node may lose its power right after it joined
        soon.delay = Milliseconds(200);
        soon.interval = Milliseconds(3000);
        cache_ = std::make_unique<RecordCache>(io, config.discovery.cache_file, context.keys, soon);
        auto content = cache_->load(system_clock().unix_now(), context.clock_synchronised());
        if (!content) {
            // Without its memory the agent still works; what it can't read it won't overwrite either.
            spdlog::error("cache: {}", content.error().message());
            cache_.reset();
            return;
        }
        restore_cached_nodes(*context.keys, *content, system_clock().unix_now(),
                             context.clock_synchronised());
        for (const std::string& warning : content->warnings) spdlog::warn("cache: {}", warning);
        for (auto& [identity, seen] : content->state.seen) guard_->restore(identity, std::move(seen));
        for (const auto& [key, endpoints] : content->state.endpoints)
            if (!endpoints.empty()) endpoints_[key] = endpoints.front();
        cached_ownership_ = ownership_ = parse_ownership(content->state.extra);
        cluster_ = parse_cluster(content->state.extra);
        add(make_cache_source(io, std::move(content->records), guard_->tombstones()));
        cache_->provide([this] {
            CacheState state;
            state.seen = guard_->all();
            for (const auto& [key, endpoint] : endpoints_) state.endpoints[key] = {endpoint};
            state.make_extra = [ownership = ownership_, cluster = cluster_] {
                return ownership_json(ownership, cluster);
            };
            return state;
        });
    }

    std::shared_ptr<SequenceGuard> guard_;
    std::unique_ptr<RecordCache> cache_;
    std::vector<Entry> entries_;
    Ownership ownership_, cached_ownership_;
    std::map<PublicKey, Endpoint> endpoints_;
    ClusterMemory cluster_;
    bool has_cluster_ = false;  // as a source
    std::size_t sequences_ = 0;
    // A record is known here before its node is a peer.
    Absences absences_{Seconds(60)};
};

}  // namespace

Result<std::unique_ptr<SourceSet>> make_sources(asio::io_context& io, const Config& config,
                                                const Identity& identity) {
    auto sources = std::make_unique<Sources>();
    if (auto opened = sources->open(io, config, identity); !opened) return Failure(opened.error());
    return std::unique_ptr<SourceSet>(std::move(sources));
}

}  // namespace wglan
