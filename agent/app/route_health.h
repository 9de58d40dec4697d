// SPDX-License-Identifier: Apache-2.0
// Whether the routes that others (a CNI) made for peers' prefixes lead anywhere. Pure.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/model/network.h"

namespace wglan {

// A next hop on a link.
struct NextHop {
    int ifindex = 0;
    IpAddress address;
    auto operator<=>(const NextHop&) const = default;
};

class RouteHealth {
public:
    // Prefixes of `wanted` whose best foreign route leads nowhere, with the reason: unreachable or
    // blackholed, its device down or without carrier, its next hop not answering. Without a foreign route
    // there is nothing to mend: our own of the same prefix is in force. A next hop that failed stays so until
    // the kernel has found it again: a missing entry says nothing.
    std::map<Prefix, std::string> judge(const std::set<Prefix>& wanted, const std::vector<Route>& routes,
                                        const std::vector<Link>& links,
                                        const std::vector<Neighbour>& neighbours);

    // Next hops of the routes looked at: news of them matter.
    const std::set<NextHop>& watched() const { return watched_; }
    // Those that failed. Nothing is sent there while the route is overridden, so somebody has to ask.
    const std::set<NextHop>& failed() const { return failed_; }

private:
    std::set<NextHop> watched_, failed_;
};

}  // namespace wglan
