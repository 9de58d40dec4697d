// SPDX-License-Identifier: Apache-2.0
#include "agent/control/monitor.h"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace wglan {
namespace {

// Somebody may hold the terminal for a while; a queue is all that waits for him.
constexpr std::chrono::minutes kPatience{30};

bool is_drop(PacketEvent::Kind kind) {
    return kind == PacketEvent::Kind::drop || kind == PacketEvent::Kind::guard;
}

std::string time_text(std::int64_t time_us) {
    std::string text = rfc3339(time_us / 1'000'000);
    std::array<char, 16> fraction{};
    std::snprintf(fraction.data(), fraction.size(), ".%06dZ", static_cast<int>(time_us % 1'000'000));
    if (!text.empty()) text.replace(text.size() - 1, 1, fraction.data());
    return text;
}

std::string protocol_text(std::uint8_t protocol) {
    switch (protocol) {
        case IPPROTO_TCP:
            return "tcp";
        case IPPROTO_UDP:
            return "udp";
        case IPPROTO_ICMP:
            return "icmp";
        case IPPROTO_ICMPV6:
            return "icmpv6";
        case IPPROTO_SCTP:
            return "sctp";
        default:
            return std::to_string(protocol);
    }
}

std::string line_of(const Json& json) { return dump(json) + "\n"; }

// Who reads knows from this line on that nothing escapes him.
std::string start_line() { return line_of({{"time", time_text(unix_microseconds())}, {"type", "start"}}); }

Json port_json(std::uint16_t port) { return port == 0 ? Json() : Json(port); }

}  // namespace

bool matches(const MonitorFilter& filter, const MonitorEvent& event) {
    if (filter.drops && !is_drop(event.packet.kind)) return false;
    return !filter.peer || event.peer_key == filter.peer;
}

Json to_json(const MonitorEvent& event) {
    const PacketEvent& packet = event.packet;
    Json json = {{"time", time_text(packet.time_us)}, {"type", to_string(packet.kind)}};
    if (is_drop(packet.kind)) json["reason"] = packet.reason;
    if (packet.kind == PacketEvent::Kind::too_big) json["mtu"] = packet.value;
    if (packet.kind == PacketEvent::Kind::mss_clamp) {
        json["mss"] = packet.value;
        json["mssBefore"] = packet.before;
    }
    if (packet.kind == PacketEvent::Kind::flow) json["packets"] = packet.value;
    json["protocol"] = protocol_text(packet.protocol);
    json["source"] = packet.source.to_string();
    json["sourcePort"] = port_json(packet.source_port);
    json["destination"] = packet.destination.to_string();
    json["destinationPort"] = port_json(packet.destination_port);
    json["length"] = packet.length;
    json["peer"] = event.peer;
    json["interface"] = event.interface;
    return json;
}

Json to_json(const PeerEvent& event, std::int64_t time_us) {
    return {{"time", time_text(time_us)}, {"type", event.type},   {"peer", event.peer},
            {"before", event.before},     {"after", event.after}, {"reason", event.reason}};
}

Json loss_json(std::uint64_t events, MonitorLoss where, std::int64_t time_us) {
    return {{"time", time_text(time_us)},
            {"type", "lost"},
            {"events", events},
            {"reason", where == MonitorLoss::rate ? "rate" : "reader"}};
}

MonitorFeed::MonitorFeed(asio::any_io_executor executor, MonitorFilter filter)
    : filter_(filter), news_(std::move(executor)) {}

void MonitorFeed::push(const std::string& line) {
    // Once something is lost all is, until the reader takes what there is: no gap goes untold.
    if (lost_ > 0 || lines_.size() + line.size() > kMostBytes) {
        ++lost_;
        return;
    }
    lines_ += line;
    wake();
}

std::string MonitorFeed::take(std::int64_t now_us) {
    std::string out = std::exchange(lines_, {});
    if (const auto lost = std::exchange(lost_, 0); lost > 0)
        out += line_of(loss_json(lost, MonitorLoss::reader, now_us));
    return out;
}

void MonitorFeed::wake() { news_.cancel(); }

Task<void> MonitorFeed::wait() {
    if (!lines_.empty()) co_return;
    news_.expires_at(SteadyTime::max());
    boost::system::error_code ignored;
    co_await news_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

bool MonitorHub::watched() {
    std::erase_if(feeds_, [](const auto& feed) { return feed.expired(); });
    return !feeds_.empty();
}

Result<std::shared_ptr<MonitorFeed>> MonitorHub::open(asio::any_io_executor executor, MonitorFilter filter) {
    if (watched() && feeds_.size() >= kMostFeeds)
        return fail(ErrorKind::exhausted, std::to_string(kMostFeeds) + " monitors are open already");
    auto feed = std::make_shared<MonitorFeed>(std::move(executor), filter);
    feeds_.push_back(feed);
    return feed;
}

void MonitorHub::publish(const MonitorEvent& event) {
    std::string line;
    for (const auto& weak : feeds_) {
        auto feed = weak.lock();
        if (!feed || !matches(feed->filter(), event)) continue;
        if (line.empty()) line = line_of(to_json(event));
        feed->push(line);
    }
}

void MonitorHub::publish(const PeerEvent& event, std::int64_t time_us) {
    std::string line;
    for (const auto& weak : feeds_) {
        auto feed = weak.lock();
        if (!feed || feed->filter().drops || (feed->filter().peer && *feed->filter().peer != event.key))
            continue;
        if (line.empty()) line = line_of(to_json(event, time_us));
        feed->push(line);
    }
}

void MonitorHub::publish_loss(std::uint64_t events, std::int64_t time_us) {
    const std::string line = line_of(loss_json(events, MonitorLoss::rate, time_us));
    for (const auto& weak : feeds_)
        if (auto feed = weak.lock()) feed->push(line);
}

std::int64_t unix_microseconds() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

Task<std::optional<HttpResponse>> stream_monitor(std::shared_ptr<MonitorFeed> feed, HttpWriter& writer) {
    HttpResponse head;
    head.headers["content-type"] = "application/x-ndjson";
    writer.set_write_timeout(kPatience);
    writer.on_close([feed] { feed->wake(); });
    auto sent = co_await writer.start(std::move(head));
    std::string lines = start_line();
    while (sent && writer.open()) {
        if (lines.empty())
            co_await feed->wait();
        else
            sent = co_await writer.write(lines);
        lines = feed->take(unix_microseconds());
    }
    co_return std::nullopt;
}

}  // namespace wglan
