// SPDX-License-Identifier: Apache-2.0
#include "agent/app/names.h"

#include <algorithm>

#include <spdlog/spdlog.h>

namespace wglan {

std::vector<Endpoint> NameCache::endpoints(const HostPort& where) {
    if (auto endpoint = where.endpoint()) return {*endpoint};
    Entry& entry = names_[where.host];
    if (entry.looked_up == SteadyTime{} && !entry.pending) look_up(where.host);
    std::vector<Endpoint> list;
    for (const IpAddress& address : entry.addresses) list.push_back({address, where.port});
    return list;
}

void NameCache::refresh(SteadyTime now) {
    for (auto& [host, entry] : names_)
        if (!entry.pending && now - entry.looked_up > Seconds(60)) look_up(host);
}

void NameCache::keep_only(const std::set<std::string>& hosts) {
    std::erase_if(names_, [&](const auto& item) { return !hosts.contains(item.first); });
}

void NameCache::look_up(const std::string& host) {
    names_[host].pending = true;
    resolver_.async_resolve(
        host, "0", [this, host](const boost::system::error_code& error, const auto& results) {
            if (stopped_ || error == boost::asio::error::operation_aborted) return;
            const auto known = names_.find(host);
            if (known == names_.end()) return;  // nobody asks for it any more
            Entry& entry = known->second;
            entry.pending = false;
            entry.looked_up = system_clock().now();
            if (error) {
                if (!entry.failed) spdlog::warn("look up endpoint {}: {}", host, error.message());
                entry.failed = true;
                return;  // what was known before is still the best guess
            }
            entry.failed = false;
            std::vector<IpAddress> addresses;
            for (const auto& result : results) {
                auto address = IpAddress::parse(result.endpoint().address().to_string());
                if (address) addresses.push_back(*address);
            }
            std::sort(addresses.begin(), addresses.end());
            addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
            if (addresses == entry.addresses) return;
            entry.addresses = std::move(addresses);
            on_change_();
        });
}

}  // namespace wglan
