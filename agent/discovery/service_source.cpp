// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/service_source.h"

#include <fmt/format.h>

#include "agent/discovery/service_follower.h"
#include "agent/discovery/service_publisher.h"
#include "agent/discovery/source_tasks.h"

namespace wglan {
namespace {

constexpr std::size_t kMaxListBody = 32U << 20;

struct Shared final : SourceTasks {
    Shared(const SourceContext& context, const ServiceOptions& options, std::shared_ptr<HttpClient> client,
           const std::string& source)
        : SourceTasks(*context.io, source),
          publisher(context, options, client, source),
          follower(context, options, client, source) {}

    ServicePublisher publisher;
    ServiceFollower follower;
};

class ServiceSource final : public Source {
public:
    explicit ServiceSource(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
    ~ServiceSource() override { ServiceSource::stop(); }

    void start(Callback on_update) override {
        auto self = shared_;
        self->on_update = std::move(on_update);
        // The outer lambdas own `self` for as long as their coroutine lives; the inner ones needn't.
        auto tell = [raw = self.get()](SourceUpdate update) { raw->tell(std::move(update)); };
        auto see = [raw = self.get()](const OwnSight& own) {
            if (auto news = raw->publisher.saw(own)) raw->tell(std::move(*news));
        };
        self->spawn([self, tell] { return self->publisher.run(tell); }, self->cancel_publisher);
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

    void network_changed() override {
        shared_->publisher.network_changed();
        shared_->follower.network_changed();
    }
    bool publishes() const override { return true; }
    void publish(OwnRecord own) override { shared_->publisher.publish(std::move(own)); }

    // Not a coroutine on `this`: the source may go while it runs.
    Task<Result<>> withdraw(std::uint64_t sequence, std::chrono::milliseconds limit) override {
        return withdraw_with(shared_, sequence, limit);
    }

private:
    static Task<Result<>> withdraw_with(std::shared_ptr<Shared> shared, std::uint64_t sequence,
                                        Milliseconds limit) {
        co_return co_await shared->publisher.withdraw(sequence, limit);
    }

    std::shared_ptr<Shared> shared_;
};

std::string source_name(const Url& url) {
    const bool bare_v6 = url.host.find(':') != std::string::npos;
    return bare_v6 ? fmt::format("service:[{}]:{}", url.host, url.port)
                   : fmt::format("service:{}:{}", url.host, url.port);
}

}  // namespace

Result<std::unique_ptr<Source>> make_service_source(const SourceContext& context,
                                                    const ServiceOptions& options) {
    auto url = Url::parse(options.url);
    if (!url) return fail_with(url, "discovery service " + options.url);
    HttpClientOptions http;
    http.ca_file = options.ca_file;
    http.socket_mark = options.socket_mark;
    http.connect_timeout = options.connect_timeout;
    http.request_timeout = options.request_timeout;
    http.max_body = kMaxListBody;
    http.max_line = kMaxEnvelopeJson;
    const auto name = source_name(*url);
    auto client = make_http_client(*context.io, std::move(*url), std::move(http));
    if (!client) return fail_with(client, "discovery service " + options.url);
    return std::make_unique<ServiceSource>(
        std::make_shared<Shared>(context, options, std::shared_ptr<HttpClient>(std::move(*client)), name));
}

}  // namespace wglan
