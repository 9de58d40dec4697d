// SPDX-License-Identifier: Apache-2.0
#include "agent/app/names.h"

#include <algorithm>

#include <boost/asio/co_spawn.hpp>
#include <spdlog/spdlog.h>

#include "agent/http/resolve.h"

namespace wglan {
namespace {

constexpr Seconds kPatience{30};
constexpr std::size_t kMostAddresses = 16;  // of one name: each is given its turn in a search

}  // namespace

std::vector<Endpoint> NameCache::endpoints(const HostPort& where) {
    if (auto endpoint = where.endpoint()) return {*endpoint};
    Entry& entry = names_[where.host];
    if (entry.looked_up == SteadyTime{} && !entry.pending) look_up(where.host);
    std::vector<Endpoint> list;
    for (const IpAddress& address : entry.addresses) list.push_back({address, where.port});
    return list;
}

bool NameCache::failed(const std::string& host) const {
    const auto it = names_.find(host);
    return it != names_.end() && it->second.failed;
}

void NameCache::refresh(SteadyTime now) {
    for (auto& [host, entry] : names_)
        if (!entry.pending && (entry.failed || now - entry.looked_up > Seconds(60))) look_up(host);
}

void NameCache::keep_only(const std::set<std::string>& hosts) {
    std::erase_if(names_, [&](const auto& item) { return !hosts.contains(item.first); });
}

void NameCache::look_up(const std::string& host) {
    names_[host].pending = true;
    boost::asio::co_spawn(io_, http::resolve(host, 0, mark_(), system_clock().now() + kPatience),
                          [this, alive = std::weak_ptr(alive_), host](
                              std::exception_ptr error, const Result<std::vector<Endpoint>>& found) {
                              if (alive.expired()) return;
                              if (error)
                                  take(host, fail(ErrorKind::exhausted, "look up " + host + ": no memory"));
                              else
                                  take(host, found);
                          });
}

void NameCache::take(const std::string& host, const Result<std::vector<Endpoint>>& found) {
    const auto known = names_.find(host);
    if (known == names_.end()) return;  // nobody asks for it any more
    Entry& entry = known->second;
    entry.pending = false;
    entry.looked_up = system_clock().now();
    if (!found) {
        if (!entry.failed) spdlog::warn("an endpoint's name: {}", found.error().message());
        entry.failed = true;
        return;  // what was known before is still the best guess
    }
    entry.failed = false;
    std::vector<IpAddress> addresses;
    for (const Endpoint& endpoint : *found) addresses.push_back(endpoint.address);
    std::sort(addresses.begin(), addresses.end());
    addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
    addresses.resize(std::min(addresses.size(), kMostAddresses));
    if (addresses == entry.addresses) return;
    entry.addresses = std::move(addresses);
    on_change_();
}

}  // namespace wglan
