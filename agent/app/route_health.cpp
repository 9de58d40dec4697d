// SPDX-License-Identifier: Apache-2.0
#include "agent/app/route_health.h"

#include <algorithm>

namespace wglan {
namespace {

// What is wrong with one next hop; "" = nothing.
std::string fault_of(const Route& route, const std::map<int, const Link*>& links,
                     const std::set<NextHop>& failed) {
    switch (route.type) {
        case RouteType::unicast:
            break;
        case RouteType::local:
            return "";
        case RouteType::unreachable:
            return "an unreachable route";
        case RouteType::blackhole:
            return "a blackhole route";
        case RouteType::other:
            return "a prohibiting route";
    }
    const auto link = links.find(route.ifindex);
    if (link == links.end()) return "its device is gone";
    if (!link->second->up) return link->second->name + " is down";
    if (!link->second->running) return link->second->name + " has no carrier";
    if (route.gateway && failed.contains({route.ifindex, *route.gateway}))
        return "next hop " + route.gateway->to_string() + " doesn't answer";
    return "";
}

}  // namespace

std::map<Prefix, std::string> RouteHealth::judge(const std::set<Prefix>& wanted,
                                                 const std::vector<Route>& routes,
                                                 const std::vector<Link>& links,
                                                 const std::vector<Neighbour>& neighbours) {
    std::map<Prefix, std::vector<const Route*>> best;  // of the least metric
    for (const Route& route : routes) {
        if (route.protocol == kRouteProtocol || !wanted.contains(route.prefix)) continue;
        std::vector<const Route*>& known = best[route.prefix];
        if (!known.empty() && known.front()->metric < route.metric) continue;
        if (!known.empty() && known.front()->metric > route.metric) known.clear();
        known.push_back(&route);
    }
    watched_.clear();
    for (const auto& [prefix, hops] : best)
        for (const Route* route : hops)
            if (route->gateway) watched_.insert({route->ifindex, *route->gateway});
    std::erase_if(failed_, [&](const NextHop& hop) { return !watched_.contains(hop); });
    for (const Neighbour& neighbour : neighbours) {
        const NextHop hop{neighbour.ifindex, neighbour.address};
        if (!watched_.contains(hop)) continue;
        if (neighbour.failed) failed_.insert(hop);
        if (neighbour.valid) failed_.erase(hop);
    }

    std::map<int, const Link*> by_index;
    for (const Link& link : links) by_index.emplace(link.ifindex, &link);
    std::map<Prefix, std::string> faults;
    for (const auto& [prefix, hops] : best) {
        // One of several next hops that works is enough.
        std::string fault;
        const bool works = std::any_of(hops.begin(), hops.end(), [&](const Route* route) {
            fault = fault_of(*route, by_index, failed_);
            return fault.empty();
        });
        if (!works) faults.emplace(prefix, std::move(fault));
    }
    return faults;
}

}  // namespace wglan
