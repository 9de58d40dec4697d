// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/kubernetes/api_server_follower.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "agent/base/log.h"
#include "agent/discovery/kubernetes/node.h"

namespace wglan {
namespace {

// The one that kube-apiserver writes; a right for this name alone suffices.
constexpr const char* kSlices =
    "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?fieldSelector=metadata.name%3Dkubernetes";
constexpr Milliseconds kLeastPause{100};

}  // namespace

ApiServerFollower::ApiServerFollower(const SourceContext& context, const KubeTimes& times,
                                     std::shared_ptr<const KubeApi> api, std::string source)
    : context_(context),
      times_(times),
      api_(std::move(api)),
      source_(std::move(source)),
      backoff_(times.backoff_first, times.backoff_most, context_.random),
      denied_(times.denied_first, times.denied_most, context_.random),
      timer_(*context_.io) {}

Task<void> ApiServerFollower::run(Emit emit) {
    emit_ = std::move(emit);
    while (!stopped_) {
        const Milliseconds pause = co_await follow();
        stream_ = nullptr;
        if (stopped_) break;
        timer_.expires_after(std::max(pause, kLeastPause));
        boost::system::error_code ignored;
        co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
}

void ApiServerFollower::stop() {
    stopped_ = true;
    timer_.cancel();
    if (stream_ != nullptr) stream_->close();
}

Task<Milliseconds> ApiServerFollower::follow() {
    if (version_.empty()) {
        auto pause = co_await list();
        if (pause || stopped_) co_return pause.value_or(Milliseconds{0});
    }
    auto target = fmt::format("{}&watch=true&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds={}",
                              kSlices, percent_encode(version_), times_.watch_time.count() / 1000);
    auto opened = co_await api_->watch(std::move(target));
    if (!opened) co_return failed(opened.error());
    if (stopped_) co_return Milliseconds{0};
    const unsigned status = (*opened)->status();
    if (status != 200) {
        version_.clear();
        std::string body;
        auto line = co_await (*opened)->read_line(times_.request_timeout);
        if (line) body = std::move(*line);
        co_return refused(status, body, (*opened)->headers());
    }
    co_return co_await read_events(std::move(*opened));
}

Task<std::optional<Milliseconds>> ApiServerFollower::list() {
    std::string target = kSlices;
    auto response = co_await api_->get(std::move(target));
    if (stopped_) co_return std::nullopt;
    if (!response) co_return failed(response.error());
    if (response->status != 200) co_return refused(response->status, response->body, response->headers);
    auto parsed = parse_slice_list(response->body);
    if (!parsed) co_return failed(parsed.error());
    version_ = std::move(parsed->resource_version);
    note_.clear();
    denied_.reset();
    tell(std::move(parsed->servers));
    co_return std::nullopt;
}

Task<Milliseconds> ApiServerFollower::read_events(std::unique_ptr<HttpStream> stream) {
    stream_ = stream.get();
    for (bool first = true;; first = false) {
        auto line = co_await stream->read_line(times_.silence);
        if (stopped_) co_return Milliseconds{0};
        if (!line) {
            // Servers end and cut watches all the time; one that only does that is given time. Silence is the
            // rule here: this object hardly ever changes, and without a change there are no bookmarks either.
            // Or the server was given a backup, and waits with its news for a number that it won't reach for
            // long.
            const bool silent = line.error().kind() == ErrorKind::timeout;
            if (silent || line.error().kind() == ErrorKind::exhausted) version_.clear();
            co_return first && !silent ? backoff_.next() : Milliseconds{0};
        }
        auto event = parse_slice_event(*line);
        if (!event || event->kind == SliceEvent::Kind::error) {
            version_.clear();  // a new list leads past it
            co_return backoff_.next();
        }
        backoff_.reset();
        if (is_later(version_, event->resource_version)) {
            version_.clear();  // told in order, it can't go back
            co_return kLeastPause;
        }
        version_ = event->resource_version;
        if (event->kind == SliceEvent::Kind::put) tell(std::move(event->servers));
        if (stopped_) co_return Milliseconds{0};
    }
}

Milliseconds ApiServerFollower::refused(unsigned status, std::string_view body, const HttpHeaders& headers) {
    auto error = kube_error(status, body, "read the API servers' own EndpointSlice");
    if (status == 401 || status == 410 || status == 429 || status >= 500) {
        const auto asked = retry_after(headers, times_.most_retry_after);
        return std::max(failed(error), asked.value_or(Milliseconds{0}));
    }
    // Without the right the servers that we were told of are known all the same.
    if (note_.empty())
        spdlog::warn("{}: {}; API servers other than those of the configuration aren't known", source_,
                     error.message());
    note_ = "not all API servers are known: " + error.message();
    // Rights may be given; and a server that has just started knows nobody's roles for a moment.
    return denied_.next();
}

// The other follower complains of an API that is away.
Milliseconds ApiServerFollower::failed(const Error& error) {
    spdlog::debug("{}: API servers: {}", source_, error.message());
    return backoff_.next();
}

void ApiServerFollower::tell(std::vector<Endpoint> servers) {
    if (servers.empty() || servers == told_) return;
    told_ = std::move(servers);
    emit_(told_);
}

}  // namespace wglan
