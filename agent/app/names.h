// SPDX-License-Identifier: Apache-2.0
// Addresses of the host names among candidate endpoints, looked up again as time goes by.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>

#include "agent/base/clock.h"
#include "agent/base/ip.h"

namespace wglan {

class NameCache {
public:
    NameCache(boost::asio::io_context& io, std::function<void()> on_change)
        : resolver_(io), on_change_(std::move(on_change)) {}

    // The endpoints behind host:port: itself if it is an address, else what is known now (perhaps none);
    // an unknown name is looked up, and on_change called when something new is known.
    std::vector<Endpoint> endpoints(const HostPort& where);
    // Looks all names up again that are older than a minute.
    void refresh(SteadyTime now);
    // Forgets all names but these.
    void keep_only(const std::set<std::string>& hosts);
    void stop() {
        resolver_.cancel();
        stopped_ = true;
    }

private:
    struct Entry {
        std::vector<IpAddress> addresses;
        SteadyTime looked_up{};
        bool pending = false;
        bool failed = false;  // said so already
    };
    void look_up(const std::string& host);

    boost::asio::ip::udp::resolver resolver_;
    std::function<void()> on_change_;
    std::map<std::string, Entry> names_;
    bool stopped_ = false;
};

}  // namespace wglan
