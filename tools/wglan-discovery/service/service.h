// SPDX-License-Identifier: Apache-2.0
// HTTP API v1 over the store: routes, checks, answers, watch streams.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include <boost/asio/steady_timer.hpp>

#include "agent/http/server.h"
#include "tools/wglan-discovery/service/metrics.h"
#include "tools/wglan-discovery/service/rate_limiter.h"
#include "tools/wglan-discovery/service/store.h"

namespace wglan::discovery_service {

struct ServiceOptions {
    StoreLimits store;
    double rate = 50;  // requests a second from one client address; 0 = no limit
    double burst = 200;
    Milliseconds bookmark_every{10000};
    std::size_t watch_batch = 64U << 10;  // bytes of events in one write
};

// Made by make_service, so that handlers can hold it.
class Service : public std::enable_shared_from_this<Service> {
public:
    Service(asio::io_context& io, ServiceOptions options, const Clock& clock,
            std::function<bool()> clock_synchronised, std::string epoch);
    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;

    // The handler holds the service.
    HttpServer::Handler handler();
    // Expires what is due now, and from then on by itself.
    void run_expiry();
    void stop();
    Metrics& metrics() { return metrics_; }

private:
    class Watching;
    struct Route {
        std::string cluster;
        std::optional<IdentityKey> node;
    };

    Task<std::optional<HttpResponse>> handle(HttpRequest request, HttpWriter& writer);
    std::optional<HttpResponse> plain_route(const HttpRequest& request);
    Result<Route> parse_route(const std::string& path) const;
    HttpResponse write(const HttpRequest& request, const Route& route);
    HttpResponse outcome_response(const PutOutcome& outcome, const NodeEntry& entry);
    Result<Envelope> parse_body(const HttpRequest& request, HttpResponse& refusal) const;
    HttpResponse refuse(unsigned status, const std::string& reason, std::string_view text);
    Task<std::optional<HttpResponse>> list(std::string cluster, HttpWriter& writer);
    Task<std::optional<HttpResponse>> watch(HttpRequest request, std::string cluster, HttpWriter& writer);
    Task<Result<>> send_snapshot(HttpWriter& writer, Snapshot snapshot);
    Task<void> follow(HttpWriter& writer, std::string cluster, std::uint64_t cursor,
                      asio::steady_timer& timer);
    void wake(const std::string& cluster);

    asio::io_context& io_;
    ServiceOptions options_;
    const Clock& clock_;
    std::function<bool()> clock_synchronised_;
    Store store_;
    RateLimiter limiter_;
    Metrics metrics_;
    asio::steady_timer expiry_;
    bool stopped_ = false;
    std::unordered_map<std::string, std::unordered_set<asio::steady_timer*>> watchers_;
    std::size_t watcher_count_ = 0;
};

std::shared_ptr<Service> make_service(asio::io_context& io, ServiceOptions options, const Clock& clock,
                                      std::function<bool()> clock_synchronised, std::string epoch);
// Letters and digits, different at each call.
std::string random_epoch();

}  // namespace wglan::discovery_service
