// SPDX-License-Identifier: Apache-2.0
// Lists and watch streams. A watcher is a place in its cluster's history: it holds no queue, and who
// falls behind the history is cut off.
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "tools/wglan-discovery/service/service.h"

namespace wglan::discovery_service {
namespace {

constexpr std::size_t kMaxBatch = 256;

}  // namespace

// Stands in the list of those to wake, as long as the stream lasts. Its timer is what wake() cancels.
class Service::Watching {
public:
    Watching(std::shared_ptr<Service> service, std::string cluster, HttpWriter& writer)
        : timer(service->io_), service_(std::move(service)), cluster_(std::move(cluster)), writer_(writer) {
        service_->watchers_[cluster_].insert(&timer);
        service_->metrics_.watchers(++service_->watcher_count_);
        writer.on_close([this] { timer.cancel(); });
    }
    Watching(const Watching&) = delete;
    Watching& operator=(const Watching&) = delete;
    ~Watching() {
        writer_.on_close(nullptr);
        auto found = service_->watchers_.find(cluster_);
        found->second.erase(&timer);
        if (found->second.empty()) service_->watchers_.erase(found);
        service_->metrics_.watchers(--service_->watcher_count_);
    }
    asio::steady_timer timer;

private:
    std::shared_ptr<Service> service_;
    std::string cluster_;
    HttpWriter& writer_;
};

// Streamed, so that a big cluster's list never stands in memory twice.
Task<std::optional<HttpResponse>> Service::list(std::string cluster, HttpWriter& writer) {
    const Snapshot snapshot = store_.snapshot(cluster);
    std::string out =
        fmt::format("{{\"revision\":\"{}\",\"nodes\":[", store_.revision_text(snapshot.revision));
    const std::size_t total = snapshot.nodes.size() + snapshot.tombstones.size();
    bool started = false;
    for (std::size_t i = 0; i <= total; ++i) {
        const bool in_nodes = i < snapshot.nodes.size();
        if (i == snapshot.nodes.size() && !snapshot.tombstones.empty()) out += "],\"tombstones\":[";
        if (i < total) {
            if (i != 0 && i != snapshot.nodes.size()) out += ',';
            out += in_nodes ? *snapshot.nodes[i] : *snapshot.tombstones[i - snapshot.nodes.size()];
        } else {
            out += "]}\n";
        }
        if (out.size() < options_.watch_batch && (i < total || !started)) continue;
        if (!started) {
            HttpResponse head;
            auto opened = co_await writer.start(std::move(head));
            if (!opened) co_return std::nullopt;
            started = true;
        }
        auto sent = co_await writer.write(out);
        if (!sent) co_return std::nullopt;
        out.clear();
    }
    if (started) co_return std::nullopt;
    HttpResponse response;
    response.body = std::move(out);
    co_return response;
}

Task<std::optional<HttpResponse>> Service::watch(HttpRequest request, std::string cluster,
                                                 HttpWriter& writer) {
    auto self = shared_from_this();
    std::uint64_t cursor = 0;
    const auto since = request.query("since");
    if (since) {
        auto revision = store_.parse_revision(*since);
        if (!revision) {
            const bool gone = revision.error().kind() == ErrorKind::not_found;
            co_return refuse(gone ? 410 : 400, gone ? "revision" : "request",
                             "since: " + revision.error().message());
        }
        cursor = *revision;
        if (!store_.since(cluster, cursor, 1))
            co_return refuse(410, "revision", "since: too old; list again");
    }
    HttpResponse head;
    head.headers["content-type"] = "application/x-ndjson";
    auto started = co_await writer.start(std::move(head));
    if (!started) co_return std::nullopt;
    Watching watching(self, cluster, writer);
    if (!since) {
        Snapshot snapshot = store_.snapshot(cluster);
        cursor = snapshot.revision;
        started = co_await send_snapshot(writer, std::move(snapshot));
    }
    if (started) co_await follow(writer, std::move(cluster), cursor, watching.timer);
    co_return std::nullopt;
}

Task<Result<>> Service::send_snapshot(HttpWriter& writer, Snapshot snapshot) {
    const std::string revision = store_.revision_text(snapshot.revision);
    std::string out;
    auto flush = [&](std::size_t least) { return out.size() > least; };
    for (const auto* entries : {&snapshot.nodes, &snapshot.tombstones}) {
        const auto type = entries == &snapshot.nodes ? WatchEvent::Type::put : WatchEvent::Type::remove;
        for (const auto& entry : *entries) {
            out += event_line({snapshot.revision, type, false, entry}, revision);
            if (!flush(options_.watch_batch)) continue;
            auto sent = co_await writer.write(out);
            if (!sent) co_return sent;
            out.clear();
        }
    }
    if (!flush(0)) co_return Result<>{};
    auto sent = co_await writer.write(out);
    co_return sent;
}

Task<void> Service::follow(HttpWriter& writer, std::string cluster, std::uint64_t cursor,
                           asio::steady_timer& timer) {
    auto bookmark_due = SteadyTime::min();  // one at once: the client knows that it is up to date
    while (writer.open()) {
        auto events = store_.since(cluster, cursor, kMaxBatch);
        if (!events) {
            metrics_.watcher_cut();
            co_return;
        }
        std::string out;
        for (const auto& event : *events) {
            out += event_line(event, store_.revision_text(event.revision));
            cursor = event.revision;
            if (out.size() >= options_.watch_batch) break;
        }
        const auto now = std::chrono::steady_clock::now();
        if (out.empty() && now >= bookmark_due) {
            // Nothing of this cluster is outstanding, whatever happened in others.
            cursor = store_.revision();
            out = bookmark_line(store_.revision_text(cursor));
            bookmark_due = now + options_.bookmark_every;
        }
        if (!out.empty()) {
            auto sent = co_await writer.write(out);
            if (!sent) {
                if (sent.error().kind() == ErrorKind::timeout) metrics_.watcher_cut();
                co_return;
            }
            continue;
        }
        timer.expires_at(bookmark_due);
        boost::system::error_code ignored;
        co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
}

}  // namespace wglan::discovery_service
