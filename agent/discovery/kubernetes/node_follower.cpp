// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/kubernetes/node_follower.h"

#include <utility>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "agent/base/log.h"

namespace wglan {

using namespace asio::experimental::awaitable_operators;

namespace {

constexpr std::size_t kPage = 250;  // Nodes: some 700 KB of text
constexpr Seconds kLasting{10};     // a watch that ends later is none that ends at once
// Nodes judged in one go (two checks of signatures each) before others get their turn.
constexpr std::size_t kBatch = 32;
constexpr std::size_t kNamed = 10;  // Nodes without an agent
// Between attempts that need not wait: a server that ends each watch after a line isn't called without end.
constexpr Milliseconds kLeastPause{100};

}  // namespace

NodeFollower::NodeFollower(const SourceContext& context, const KubeTimes& times,
                           std::shared_ptr<const KubeApi> api, std::string source, std::string prefix,
                           std::string own_name)
    : context_(context),
      times_(times),
      api_(std::move(api)),
      prefix_(std::move(prefix)),
      backoff_(times.backoff_first, times.backoff_most, context_.random),
      timer_(*context_.io),
      view_(context_, source, std::move(own_name)),
      page_(kPage) {
    status_.name = std::move(source);
}

Task<void> NodeFollower::run(Emit emit, See see) {
    emit_ = std::move(emit);
    see_ = std::move(see);
    while (!stopped_) {
        const auto ended = co_await follow();
        stream_ = nullptr;
        if (stopped_) break;
        if (!ended.quiet) failed(ended);
        timer_.expires_after(ended.at_once ? kLeastPause : std::max(ended.asked, backoff_.next()));
        boost::system::error_code ignored;
        co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
}

void NodeFollower::stop() {
    stopped_ = true;
    timer_.cancel();
    if (stream_ != nullptr) stream_->close();
}

SourceStatus NodeFollower::status() const {
    auto status = status_;
    status.records = view_.size();
    if (alive_at_) status.lag = std::chrono::duration_cast<Seconds>(context_.clock->now() - *alive_at_);
    if (status_.last_sync == 0) return status;
    const auto& agentless = view_.agentless();
    status.agentless = agentless.size();
    for (auto it = agentless.begin(); it != agentless.end() && status.agentless_names.size() < kNamed; ++it)
        status.agentless_names.push_back(*it);
    return status;
}

Task<NodeFollower::Ended> NodeFollower::follow() {
    if (std::exchange(silent_, false))
        if (auto ended = co_await look_again()) co_return std::move(*ended);
    if (version_.empty())
        if (auto ended = co_await list()) co_return std::move(*ended);
    auto target =
        fmt::format("/api/v1/nodes?watch=true&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds={}",
                    percent_encode(version_), times_.watch_time.count() / 1000);
    auto opened = co_await api_->watch(std::move(target));
    if (!opened) co_return Ended{opened.error().wrap("watch Nodes")};
    if (stopped_) co_return Ended{Error(ErrorKind::io, "stopped")};
    const unsigned status = (*opened)->status();
    if (status == 410) co_return forgotten(kube_error(410, {}, "watch Nodes"));
    if (status != 200) {
        std::string body;
        if (auto line = co_await (*opened)->read_line(times_.request_timeout)) body = std::move(*line);
        Ended ended{kube_error(status, body, "watch Nodes"), SourceState::degraded};
        ended.asked = retry_after((*opened)->headers(), times_.most_retry_after).value_or(ended.asked);
        co_return ended;
    }
    synced();
    heard();
    co_return co_await read_events(std::move(*opened));
}

// After a silence: is the server there, and does its history still reach as far as ours? One to whom a backup
// was put back would wait with its news for a number that it won't reach for long.
Task<std::optional<NodeFollower::Ended>> NodeFollower::look_again() {
    auto got = co_await page("", 1);
    if (!got) co_return std::move(got.error());
    if (stopped_) co_return Ended{Error(ErrorKind::io, "stopped")};
    if (is_later(version_, got->resource_version)) {
        spdlog::warn("{}: the API server's history was set back: listing again", status_.name);
        version_.clear();
    }
    co_return std::nullopt;
}

// The server can't say what happened since: a new list does. A list's own version that is forgotten at once
// would make us list without end; then there is a pause.
NodeFollower::Ended NodeFollower::forgotten(Error error) {
    version_.clear();
    Ended ended{std::move(error), SourceState::degraded};
    if (!fresh_) ended.quiet = ended.at_once = true;
    return ended;
}

Task<tl::expected<KubeNodeList, NodeFollower::Ended>> NodeFollower::page(std::string next,
                                                                         std::size_t limit) {
    auto target = fmt::format("/api/v1/nodes?limit={}", limit);
    if (!next.empty()) target += "&continue=" + percent_encode(next);
    auto response = co_await api_->get(std::move(target));
    if (!response) {
        Ended ended{response.error().wrap("list Nodes")};
        // Nodes may have much in their annotations: fewer at a time will do.
        if (response.error().kind() == ErrorKind::exhausted && page_ > 1) {
            page_ = std::max<std::size_t>(page_ / 4, 1);
            ended.at_once = true;
        }
        co_return tl::unexpected(std::move(ended));
    }
    if (response->status != 200) {
        Ended ended{kube_error(response->status, response->body, "list Nodes"), SourceState::degraded};
        ended.asked = retry_after(*response, times_.most_retry_after).value_or(ended.asked);
        co_return tl::unexpected(std::move(ended));
    }
    auto parsed = parse_node_list(response->body, prefix_);
    if (!parsed) co_return tl::unexpected(Ended{parsed.error().wrap("list Nodes"), SourceState::degraded});
    co_return std::move(*parsed);
}

Task<void> NodeFollower::judge(std::vector<KubeNode> nodes) {
    for (std::size_t i = 0; i < nodes.size() && !stopped_; ++i) {
        view_.add_listed(nodes[i]);
        if (i % kBatch == kBatch - 1) co_await asio::post(*context_.io, asio::use_awaitable);
    }
}

// The server makes the next page while this one's signatures are checked.
Task<std::optional<NodeFollower::Ended>> NodeFollower::list() {
    view_.begin_list();
    std::string version;
    auto got = co_await page("", page_);
    for (;;) {
        if (!got) co_return std::move(got.error());
        if (stopped_) co_return Ended{Error(ErrorKind::io, "stopped")};
        for (const auto& node : got->refused) view_.add_refused(node);
        version = std::move(got->resource_version);
        const std::string next = std::move(got->next);
        auto nodes = std::move(got->nodes);
        if (next.empty()) {
            co_await judge(std::move(nodes));
            break;
        }
        got = co_await (page(next, page_) && judge(std::move(nodes)));
        if (got && got->next == next)
            co_return Ended{Error(ErrorKind::protocol, "list Nodes: the same page again"),
                            SourceState::degraded};
    }
    if (stopped_) co_return Ended{Error(ErrorKind::io, "stopped")};
    version_ = std::move(version);
    fresh_ = true;
    page_ = std::min(kPage, page_ * 2);
    OwnNode own;
    auto updates = view_.end_list(own);
    spdlog::info("{}: listed, {} Nodes with an agent and {} without", status_.name, view_.size(),
                 view_.agentless().size());
    heard();
    if (!deliver(std::move(updates), own)) co_return Ended{Error(ErrorKind::io, "stopped")};
    co_return std::nullopt;
}

Task<NodeFollower::Ended> NodeFollower::read_events(std::unique_ptr<HttpStream> stream) {
    stream_ = stream.get();
    const SteadyTime opened = context_.clock->now();
    bool read_any = false;
    for (;;) {
        auto line = co_await stream->read_line(times_.silence);
        if (stopped_) co_return Ended{Error(ErrorKind::io, "stopped")};
        if (!line) co_return broken(line.error(), read_any, opened);
        auto event = parse_node_event(*line, prefix_);
        if (!event) {
            // The line would come again: only a fresh list leads past it.
            version_.clear();
            co_return Ended{event.error().wrap("watch Nodes: a line that is no event"),
                            SourceState::degraded};
        }
        if (event->kind == KubeEvent::Kind::error) {
            auto error = Error(ErrorKind::protocol, fmt::format("watch Nodes: the API server says {} {}",
                                                                event->code, event->message));
            if (event->code == 410) co_return forgotten(std::move(error));
            version_.clear();
            co_return Ended{std::move(error), SourceState::degraded};
        }
        if (!read_any) backoff_.reset();
        read_any = true;
        fresh_ = false;
        if (is_later(version_, event->resource_version)) {
            // Told in order, it can't go back: the server has another past now, a backup's.
            version_.clear();
            co_return Ended{Error(ErrorKind::protocol, "watch Nodes: the API server's history was set back"),
                            SourceState::degraded};
        }
        version_ = event->resource_version;
        heard();
        OwnNode own;
        auto updates = view_.apply(*event, own);
        if (!deliver(std::move(updates), own)) co_return Ended{Error(ErrorKind::io, "stopped")};
    }
}

// Servers end and cut watches all the time; what counts is whether the next one opens.
NodeFollower::Ended NodeFollower::broken(const Error& error, bool read_any, SteadyTime opened) {
    Ended ended{error.wrap("watch Nodes")};
    silent_ = error.kind() == ErrorKind::timeout;
    const bool lasted = read_any || silent_ || context_.clock->now() - opened >= kLasting;
    // The line would come again.
    if (error.kind() == ErrorKind::exhausted) version_.clear();
    ended.quiet = lasted || error.kind() == ErrorKind::not_found;
    if (lasted) {
        backoff_.reset();
        ended.at_once = true;
    }
    return ended;
}

// False when a callback has stopped us.
bool NodeFollower::deliver(std::vector<SourceUpdate> updates, const OwnNode& own) {
    for (auto& update : updates) {
        if (stopped_) return false;
        emit_(std::move(update));
    }
    if (!stopped_ && own.known) see_(own);
    return !stopped_;
}

void NodeFollower::heard() {
    status_.last_sync = context_.clock->unix_now();
    alive_at_ = context_.clock->now();
}

void NodeFollower::synced() {
    if (status_.state != SourceState::synced)
        spdlog::info("{}: synced, {} Nodes with an agent", status_.name, view_.size());
    status_.state = SourceState::synced;
    status_.last_error.clear();
}

void NodeFollower::failed(const Ended& ended) {
    const auto text = ended.error.message();
    if (status_.state != ended.state || status_.last_error != text)
        spdlog::warn("{}: {}; what it told stays", status_.name, text);
    status_.state = ended.state;
    status_.last_error = text;
}

}  // namespace wglan
