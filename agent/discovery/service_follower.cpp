// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/service_follower.h"

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "agent/base/log.h"
#include "agent/discovery/service_publisher.h"

namespace wglan {
namespace {

// Entries judged in one go (two signatures and a seal each) before others get their turn.
constexpr std::size_t kBatch = 32;

}  // namespace

ServiceFollower::ServiceFollower(SourceContext context, const ServiceOptions& options,
                                 std::shared_ptr<HttpClient> client, std::string source)
    : context_(std::move(context)),
      client_(std::move(client)),
      silence_(options.silence),
      backoff_(options.backoff_first, options.backoff_most, context_.random),
      timer_(*context_.io),
      view_(context_, source) {
    status_.name = std::move(source);
}

Task<void> ServiceFollower::run(Emit emit, See see) {
    emit_ = std::move(emit);
    see_ = std::move(see);
    while (!stopped_) {
        moved_ = false;
        const auto ended = co_await follow();
        stream_.reset();
        if (stopped_) break;
        if (ended.relist || moved_) continue;
        failed(ended);
        timer_.expires_after(backoff_.next());
        boost::system::error_code ignored;
        co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
}

void ServiceFollower::stop() {
    stopped_ = true;
    timer_.cancel();
    if (stream_) stream_->close();
}

void ServiceFollower::network_changed() {
    moved_ = true;
    backoff_.reset();
    timer_.cancel();
    if (stream_) stream_->close();
}

SourceStatus ServiceFollower::status() const {
    auto status = status_;
    status.records = view_.size();
    return status;
}

Task<ServiceFollower::Ended> ServiceFollower::follow() {
    const bool listed = revision_.empty();
    if (listed)
        if (auto ended = co_await list()) co_return std::move(*ended);
    HttpRequest request;
    request.target = fmt::format("{}?watch=true&since={}", nodes_path(context_.keys->cluster()), revision_);
    auto opened = co_await client_->stream(std::move(request));
    if (!opened) co_return Ended{opened.error().wrap("watch")};
    if (stopped_) co_return Ended{Error(ErrorKind::io, "stopped")};
    stream_ = std::move(*opened);
    if (stream_->status() == 410) {
        revision_.clear();
        // A fresh list's own revision can't be too old: then the back-off keeps us from spinning.
        Ended ended{Error(ErrorKind::protocol, "watch: the service has forgotten its newest revision"),
                    SourceState::degraded};
        ended.relist = !listed;
        co_return ended;
    }
    if (stream_->status() != 200) {
        HttpResponse response;
        response.status = stream_->status();
        co_return Ended{http_error(response).wrap("watch"), SourceState::degraded};
    }
    synced();
    co_return co_await read_events();
}

Task<std::optional<ServiceFollower::Ended>> ServiceFollower::list() {
    HttpRequest request;
    request.target = nodes_path(context_.keys->cluster());
    auto response = co_await client_->request(std::move(request));
    if (!response) co_return Ended{response.error().wrap("list")};
    if (response->status != 200) co_return Ended{http_error(*response).wrap("list"), SourceState::degraded};
    auto parsed = parse_node_list(response->body);
    if (!parsed) co_return Ended{parsed.error().wrap("list"), SourceState::degraded};
    response->body = {};
    view_.begin_list();
    for (std::size_t i = 0; i < parsed->nodes.size(); ++i) {
        view_.add_listed(parsed->nodes[i]);
        if (i % kBatch == kBatch - 1) co_await asio::post(*context_.io, asio::use_awaitable);
        if (stopped_) co_return Ended{Error(ErrorKind::io, "stopped")};
    }
    OwnSight own;
    auto updates = view_.end_list(*parsed, own);
    revision_ = parsed->revision;
    status_.last_sync = context_.clock->unix_now();
    if (!deliver(std::move(updates), own)) co_return Ended{Error(ErrorKind::io, "stopped")};
    co_return std::nullopt;
}

Task<ServiceFollower::Ended> ServiceFollower::read_events() {
    bool read_any = false;
    for (;;) {
        auto line = co_await stream_->read_line(silence_);
        if (stopped_) co_return Ended{Error(ErrorKind::io, "stopped")};
        if (!line && line.error().kind() == ErrorKind::exhausted) {
            revision_.clear();
            co_return Ended{line.error().wrap("watch"), SourceState::degraded};
        }
        if (!line) co_return Ended{line.error().wrap("watch"), SourceState::down, read_any};
        auto event = parse_watch_event(*line);
        if (!event) {
            // The line would come again: only a fresh list leads past it.
            revision_.clear();
            co_return Ended{event.error().wrap("watch: a line that is no event"), SourceState::degraded};
        }
        if (!read_any) backoff_.reset();
        read_any = true;
        OwnSight own;
        auto updates = view_.apply(*event, own);
        revision_ = event->revision;
        status_.last_sync = context_.clock->unix_now();
        if (!deliver(std::move(updates), own)) co_return Ended{Error(ErrorKind::io, "stopped")};
    }
}

// False when a callback has stopped us.
bool ServiceFollower::deliver(std::vector<SourceUpdate> updates, const OwnSight& own) {
    for (auto& update : updates) {
        if (stopped_) return false;
        emit_(std::move(update));
    }
    if (!stopped_) see_(own);
    return !stopped_;
}

void ServiceFollower::synced() {
    if (status_.state != SourceState::synced)
        spdlog::info("{}: synced, {} records", status_.name, view_.size());
    status_.state = SourceState::synced;
    status_.last_error.clear();
}

void ServiceFollower::failed(const Ended& ended) {
    if (ended.lost) {
        spdlog::debug("{}: {}", status_.name, ended.error.message());
        return;
    }
    const auto text = ended.error.message();
    if (status_.state != ended.state || status_.last_error != text)
        spdlog::warn("{}: {}; its records are kept", status_.name, text);
    status_.state = ended.state;
    status_.last_error = text;
}

}  // namespace wglan
