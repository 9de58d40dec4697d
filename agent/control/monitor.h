// SPDX-License-Identifier: Apache-2.0
// Live events for any number of readers, each with a filter and a bounded queue: who doesn't keep up
// loses events, is told how many, and slows nobody down.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/steady_timer.hpp>

#include "agent/base/keys.h"
#include "agent/base/result.h"
#include "agent/control/json.h"
#include "agent/http/server.h"
#include "agent/model/packet_event.h"

namespace wglan {

// As asked for: GET /v1/monitor[?drops=1][&peer=NAME-or-key].
struct MonitorRequest {
    bool drops = false;  // what was dropped, by the guard too, and nothing else
    std::string peer;    // "" = any
};

struct MonitorFilter {
    bool drops = false;
    std::optional<PublicKey> peer;
};

// With what the agent knows of it.
struct MonitorEvent {
    PacketEvent packet;
    std::string peer;  // name; "" = none, or gone meanwhile
    std::optional<PublicKey> peer_key;
    std::string interface;  // "" = gone meanwhile
};

// A peer's state, or the endpoint it is reached at, changed.
struct PeerEvent {
    std::string peer;  // name
    PublicKey key;
    std::string before, after;  // states, or endpoints
    std::string reason;
    const char* type = "state";  // or "endpoint"
};
Json to_json(const PeerEvent& event, std::int64_t time_us);

bool matches(const MonitorFilter& filter, const MonitorEvent& event);
Json to_json(const MonitorEvent& event);

enum class MonitorLoss {
    rate,    // between program and agent: over the rate, or the ring buffer was full
    reader,  // between agent and reader
};
Json loss_json(std::uint64_t events, MonitorLoss where, std::int64_t time_us);

// One reader's queue of JSON lines. Single-threaded.
class MonitorFeed {
public:
    static constexpr std::size_t kMostBytes = 1U << 20;

    MonitorFeed(asio::any_io_executor executor, MonitorFilter filter);
    const MonitorFilter& filter() const { return filter_; }
    void push(const std::string& line);
    // What came since the last time; ends in how much was lost where something was.
    std::string take(std::int64_t now_us);
    // Returns when there is something to take, or after wake().
    Task<void> wait();
    void wake();

private:
    MonitorFilter filter_;
    asio::steady_timer news_;
    std::string lines_;
    std::uint64_t lost_ = 0;
};

// A feed lasts as long as its holder keeps it.
class MonitorHub {
public:
    static constexpr std::size_t kMostFeeds = 16;

    Result<std::shared_ptr<MonitorFeed>> open(asio::any_io_executor executor, MonitorFilter filter);
    bool watched();
    void publish(const MonitorEvent& event);
    void publish(const PeerEvent& event, std::int64_t time_us);
    void publish_loss(std::uint64_t events, std::int64_t time_us);

private:
    std::vector<std::weak_ptr<MonitorFeed>> feeds_;
};

std::int64_t unix_microseconds();

// Streams the feed until its reader is gone.
Task<std::optional<HttpResponse>> stream_monitor(std::shared_ptr<MonitorFeed> feed, HttpWriter& writer);

}  // namespace wglan
