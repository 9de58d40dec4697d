// SPDX-License-Identifier: Apache-2.0
// steering.pods: cniDown at work: what CniWatch decides, kept up to date by the clock and by what peers say,
// and told to peers.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "agent/cni/cni_notice.h"
#include "agent/cni/cni_watch.h"
#include "agent/http/http.h"

namespace wglan {

class CniKeeper {
public:
    struct Calls {
        std::function<std::optional<PublicKey>(const IpAddress&)> peer_at;  // whose overlay address that is
        // Where a peer is told; nullopt: not now.
        std::function<std::optional<IpAddress>(const PublicKey&)> address_of;
        std::function<void()> changed;  // the watch decided otherwise than before, by itself
    };

    CniKeeper(asio::io_context& io, Calls calls);
    ~CniKeeper();

    // Hears peers at this address of this device from now on; cheap where nothing changed.
    void serve_at(const std::string& device, int ifindex, const IpAddress& overlay);
    void stop();  // hears and tells nobody any more, and leaves nothing to the CNI

    // True if something is another than before.
    bool update(std::map<Prefix, CniPrefix> prefixes);
    const CniWatch& watch() const { return watch_; }
    const std::string& error() const { return error_; }  // why peers aren't heard; "" = they are

private:
    struct Telling {
        CniDown down;
        std::size_t said = 0;  // times, since it changed
        SteadyTime next{};
    };
    bool look();
    void look_later();
    void tell();
    void tell_later();
    void wait_for_notices();
    void read_notices();

    asio::io_context& io_;
    Calls calls_;
    CniWatch watch_;
    std::map<Prefix, CniPrefix> prefixes_;
    std::map<PublicKey, Telling> telling_;
    asio::steady_timer look_timer_, tell_timer_;
    std::string device_;
    int ifindex_ = 0;
    IpAddress overlay_;
    std::string error_;
    std::optional<CniNoticeSocket> socket_;
    std::unique_ptr<asio::posix::stream_descriptor> stream_;
};

}  // namespace wglan
