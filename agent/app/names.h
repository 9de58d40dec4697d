// SPDX-License-Identifier: Apache-2.0
// Addresses of the host names among candidate endpoints, looked up again as time goes by.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "agent/base/clock.h"
#include "agent/base/ip.h"
#include "agent/base/result.h"

namespace wglan {

class NameCache {
public:
    // mark: SO_MARK of the questions to name servers at that moment, 0 = none.
    NameCache(boost::asio::io_context& io, std::function<std::uint32_t()> mark,
              std::function<void()> on_change)
        : io_(io), mark_(std::move(mark)), on_change_(std::move(on_change)) {}

    // The endpoints behind host:port: itself if it is an address, else what is known now (perhaps none, 16 at
    // most); an unknown name is looked up, and on_change called when something new is known.
    std::vector<Endpoint> endpoints(const HostPort& where);
    // Its last look-up failed.
    bool failed(const std::string& host) const;
    // Looks all names up again that are older than a minute, or could not be looked up.
    void refresh(SteadyTime now);
    // Forgets all names but these.
    void keep_only(const std::set<std::string>& hosts);
    // Answers that are still to come are not taken any more.
    void stop() { alive_.reset(); }

private:
    struct Entry {
        std::vector<IpAddress> addresses;
        SteadyTime looked_up{};
        bool pending = false;
        bool failed = false;  // said so already
    };
    void look_up(const std::string& host);
    void take(const std::string& host, const Result<std::vector<Endpoint>>& found);

    boost::asio::io_context& io_;
    std::function<std::uint32_t()> mark_;
    std::function<void()> on_change_;
    std::map<std::string, Entry> names_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace wglan
