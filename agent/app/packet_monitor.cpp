// SPDX-License-Identifier: Apache-2.0
#include "agent/app/packet_monitor.h"

#include <net/if.h>
#include <unistd.h>

#include <array>

#include <spdlog/spdlog.h>

namespace wglan {
namespace {

constexpr Seconds kRenew{1};
constexpr Seconds kReportFor{5};      // the programs go on so long if we are killed
constexpr Milliseconds kCollect{10};  // one wake-up for many events

}  // namespace

PacketMonitor::PacketMonitor(asio::io_context& io, FindPeer find)
    : io_(io), find_(std::move(find)), pause_(io), second_(io) {}

Result<std::shared_ptr<MonitorFeed>> PacketMonitor::open(Dataplane& dataplane, MonitorFilter filter) {
    auto feed = hub_.open(io_.get_executor(), filter);
    if (!feed || dataplane_ != nullptr) return feed;
    if (auto begun = begin(dataplane); !begun) {
        stop();
        return fail_with(begun, "watch packets");
    }
    return feed;
}

Result<> PacketMonitor::begin(Dataplane& dataplane) {
    auto reader = dataplane.events();
    if (!reader) return Failure(reader.error());
    const auto counters = dataplane.counters();
    if (!counters) return Failure(counters.error());
    dataplane_ = &dataplane;
    reader_ = std::make_unique<EventReader>(std::move(*reader));
    // What an agent that was killed left unread is no news.
    (void)reader_->read();
    lost_ = counters->events_lost;
    if (auto told = dataplane.report_events(kReportFor); !told) return told;
    readable_ = std::make_unique<asio::posix::stream_descriptor>(io_, ::dup(reader_->fd()));
    wait_for_events();
    each_second();
    return {};
}

void PacketMonitor::stop() {
    ++session_;
    pause_.cancel();
    second_.cancel();
    readable_.reset();
    reader_.reset();
    peers_.clear();
    interfaces_.clear();
    if (dataplane_ == nullptr) return;
    if (auto told = std::exchange(dataplane_, nullptr)->report_events(Seconds(0)); !told)
        spdlog::warn("end watching packets: {}", told.error().message());
}

void PacketMonitor::wait_for_events() {
    const auto go_on = [this, session = session_](const boost::system::error_code& error) {
        return !error && session == session_;
    };
    readable_->async_wait(asio::posix::stream_descriptor::wait_read,
                          [this, go_on](const boost::system::error_code& error) {
                              if (!go_on(error)) return;
                              pause_.expires_after(kCollect);
                              pause_.async_wait([this, go_on](const boost::system::error_code& cancelled) {
                                  if (!go_on(cancelled)) return;
                                  deliver();
                                  wait_for_events();
                              });
                          });
}

void PacketMonitor::deliver() {
    for (const PacketEvent& packet : reader_->read()) {
        MonitorEvent event{packet, {}, {}, interface(packet.ifindex)};
        if (const auto& known = peer(packet.peer)) {
            event.peer = known->name;
            event.peer_key = known->key;
        }
        hub_.publish(event);
    }
}

void PacketMonitor::each_second() {
    second_.expires_after(kRenew);
    second_.async_wait([this, session = session_](const boost::system::error_code& error) {
        if (error || session != session_) return;
        if (!hub_.watched()) {
            stop();
            return;
        }
        if (auto told = dataplane_->report_events(kReportFor); !told)
            spdlog::warn("watch packets: {}", told.error().message());
        deliver();
        tell_losses();
        peers_.clear();
        interfaces_.clear();
        each_second();
    });
}

void PacketMonitor::tell_losses() {
    const auto counters = dataplane_->counters();
    if (!counters || counters->events_lost == lost_) return;
    // Counters that began anew lost no fewer than they say.
    const bool fresh = counters->events_lost < lost_;
    const std::uint64_t more = fresh ? counters->events_lost : counters->events_lost - lost_;
    lost_ = counters->events_lost;
    if (more > 0) hub_.publish_loss(more, unix_microseconds());
}

const std::optional<PacketMonitor::Peer>& PacketMonitor::peer(PeerId id) {
    const auto it = peers_.find(id);
    if (it != peers_.end()) return it->second;
    return peers_.emplace(id, id == 0 ? std::nullopt : find_(id)).first->second;
}

const std::string& PacketMonitor::interface(int ifindex) {
    const auto it = interfaces_.find(ifindex);
    if (it != interfaces_.end()) return it->second;
    std::array<char, IF_NAMESIZE> name{};
    const bool there = ::if_indextoname(static_cast<unsigned>(ifindex), name.data()) != nullptr;
    return interfaces_.emplace(ifindex, there ? name.data() : "").first->second;
}

}  // namespace wglan
