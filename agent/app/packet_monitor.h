// SPDX-License-Identifier: Apache-2.0
// Carries what the BPF programs report to those who watch; does nothing while nobody does.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "agent/control/monitor.h"
#include "agent/dataplane/dataplane.h"

namespace wglan {

class PacketMonitor {
public:
    struct Peer {
        PublicKey key;
        std::string name;
    };
    using FindPeer = std::function<std::optional<Peer>(PeerId)>;

    PacketMonitor(asio::io_context& io, FindPeer find);

    // The data plane must outlive this, or stop().
    Result<std::shared_ptr<MonitorFeed>> open(Dataplane& dataplane, MonitorFilter filter);
    void stop();
    // Costs nothing while nobody watches.
    void tell(const PeerEvent& event) { hub_.publish(event, unix_microseconds()); }

private:
    Result<> begin(Dataplane& dataplane);
    void wait_for_events();
    void deliver();
    void each_second();
    void tell_losses();
    const std::optional<Peer>& peer(PeerId id);
    const std::string& interface(int ifindex);

    asio::io_context& io_;
    FindPeer find_;
    MonitorHub hub_;
    asio::steady_timer pause_, second_;
    Dataplane* dataplane_ = nullptr;  // while somebody watches
    std::unique_ptr<EventReader> reader_;
    std::unique_ptr<asio::posix::stream_descriptor> readable_;
    unsigned session_ = 0;  // tells handlers of an earlier one from ours
    std::uint64_t lost_ = 0;
    // Looked up once a second at most.
    std::map<PeerId, std::optional<Peer>> peers_;
    std::map<int, std::string> interfaces_;
};

}  // namespace wglan
