// SPDX-License-Identifier: Apache-2.0
#include "agent/app/route_health.h"

#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "agent/app/prefix_parts.h"

namespace wglan {
namespace {

using Used = std::map<Prefix, std::vector<const Route*>>;

bool is_one_of(const std::string& kind, std::initializer_list<std::string_view> kinds) {
    return std::ranges::find(kinds, kind) != kinds.end();
}

bool has_table(const Link& link) { return is_one_of(link.kind, {"vxlan", "geneve"}); }

bool is_tunnel(const Link& link) {
    return has_table(link) || is_one_of(link.kind, {"ipip", "sit", "gre", "ip6tnl", "ip6gre"});
}

// Both ends of the pair are here, or there is no other end: what goes in is lost unless programs take it.
bool needs_programs(const Link& link) {
    return link.kind == "dummy" ||
           (is_one_of(link.kind, {"veth", "netkit"}) && !link.peer_in_other_netns && link.master == 0);
}

void keep_best(std::vector<const Route*>& best, const Route& route) {
    if (!best.empty() && best.front()->metric < route.metric) return;
    if (!best.empty() && best.front()->metric > route.metric) best.clear();
    best.push_back(&route);
}

// Routes around prefixes: by family and length, so that few look-ups find the longest.
class WiderRoutes {
public:
    void add(const Route& route) {
        if (route.prefix.is_default() || route.protocol == RTPROT_KERNEL) return;
        keep_best(routes_[route.prefix], route);
        lengths_[route.prefix.family() == Family::v4 ? 0 : 1].insert(route.prefix.length());
    }
    const std::vector<const Route*>* around(const Prefix& prefix) const {
        const auto& lengths = lengths_[prefix.family() == Family::v4 ? 0 : 1];
        for (auto length = std::make_reverse_iterator(lengths.lower_bound(prefix.length()));
             length != lengths.rend(); ++length) {
            const auto wider = Prefix::make(prefix.address(), *length);
            if (!wider) continue;
            if (const auto it = routes_.find(*wider); it != routes_.end()) return &it->second;
        }
        return nullptr;
    }

private:
    Used routes_;
    std::array<std::set<unsigned>, 2> lengths_;
};

// Per wanted prefix the routes of the least metric: its own, else those around it.
Used routes_of(const std::set<Prefix>& wanted, const std::vector<Route>& routes) {
    Used used;
    WiderRoutes wider;
    for (const Route& route : routes) {
        if (route.protocol == kRouteProtocol || route.source_specific) continue;
        if (wanted.contains(route.prefix))
            keep_best(used[route.prefix], route);
        else
            wider.add(route);
    }
    for (const Prefix& prefix : wanted) {
        if (used.contains(prefix)) continue;
        if (const auto* around = wider.around(prefix)) used.emplace(prefix, *around);
    }
    return used;
}

// Of several next hops the kernel takes no notice of those whose device is down; flows that fall to one that
// doesn't answer are lost (net.ipv4.fib_multipath_use_neigh is off, as it is by default).
bool is_passed_over(const Route& route, const std::map<int, const Link*>& links) {
    if (route.type != RouteType::unicast) return false;
    const auto link = links.find(route.ifindex);
    return link == links.end() || !link->second->up;
}

std::string way_of(const Route& route, const std::map<int, const Link*>& links) {
    if (route.type == RouteType::local) return "this host";
    const auto link = links.find(route.ifindex);
    const std::string device = "dev " + (link == links.end() ? "?" : link->second->name);
    return route.gateway ? "via " + route.gateway->to_string() + " " + device : device;
}

}  // namespace

std::string RouteHealth::fault_of_device(const Link& link, const RouteFacts& facts) const {
    if (!link.up) return link.name + " is down";
    if (!link.running) return link.name + " has no carrier";
    if (is_tunnel(link) && link.peer_ifindex != 0 && !link.peer_in_other_netns) {
        const auto below = links_.find(link.peer_ifindex);
        if (below != links_.end() && (!below->second->up || !below->second->running))
            return below->second->name + " below " + link.name + " is down";
    }
    if (had_programs_.contains(link.ifindex)) {
        const auto programs = facts.programs.find(link.ifindex);
        if (programs != facts.programs.end() && programs->second == 0)
            return "the programs at " + link.name + " are gone";
    }
    return "";
}

std::string RouteHealth::fault_of_hop(const NextHop& hop, const Link& link, const RouteFacts& facts) const {
    const std::string name = "next hop " + hop.address.to_string();
    if (failed_.contains(hop)) return name + " doesn't answer";
    const auto entry = neighbours_.find(hop);
    const bool valid = entry != neighbours_.end() && entry->second->valid;
    if (!valid) return kept_.contains(hop) ? name + " has lost its neighbour entry" : "";
    if (!has_table(link) || !entry->second->mac) return "";
    const ForwardingEntry wanted{hop.ifindex, *entry->second->mac};
    if (forwarded_.contains(wanted) && !facts.forwarding.contains(wanted))
        return name + " has lost its entry in the table of " + link.name;
    return "";
}

// What is wrong with one next hop; "" = nothing.
std::string RouteHealth::fault_of(const Route& route, const RouteFacts& facts) const {
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
    const auto link = links_.find(route.ifindex);
    if (link == links_.end()) return "its device is gone";
    std::string fault = fault_of_device(*link->second, facts);
    if (!fault.empty() || !route.gateway) return fault;
    return fault_of_hop({route.ifindex, *route.gateway}, *link->second, facts);
}

// Which hops and devices matter, and what they have had.
void RouteHealth::remember(const Used& used, const RouteFacts& facts) {
    watched_.clear();
    devices_.clear();
    tunnels_.clear();
    programmed_.clear();
    for (const auto& [prefix, hops] : used)
        for (const Route* route : hops) {
            if (route->type != RouteType::unicast) continue;
            devices_.insert(route->ifindex);
            if (route->gateway) watched_.insert({route->ifindex, *route->gateway});
        }
    for (const int ifindex : devices_) {
        const auto link = links_.find(ifindex);
        if (link == links_.end()) continue;
        if (has_table(*link->second)) tunnels_.insert(ifindex);
        if (needs_programs(*link->second)) programmed_.insert(ifindex);
    }
    for (const auto& [ifindex, count] : facts.programs)
        if (count > 0 && programmed_.contains(ifindex)) had_programs_.insert(ifindex);
    std::erase_if(had_programs_, [&](int ifindex) { return !programmed_.contains(ifindex); });
    const auto unwatched = [&](const NextHop& hop) { return !watched_.contains(hop); };
    std::erase_if(failed_, unwatched);
    std::erase_if(kept_, unwatched);
    neighbours_.clear();
    std::set<ForwardingEntry> wanted;
    for (const Neighbour& neighbour : facts.neighbours) {
        const NextHop hop{neighbour.ifindex, neighbour.address};
        if (unwatched(hop)) continue;
        neighbours_[hop] = &neighbour;
        if (neighbour.failed) failed_.insert(hop);
        if (neighbour.valid) failed_.erase(hop);
        if (neighbour.permanent) kept_.insert(hop);
        if (neighbour.mac) wanted.insert({neighbour.ifindex, *neighbour.mac});
    }
    std::erase_if(forwarded_, [&](const ForwardingEntry& entry) { return !wanted.contains(entry); });
    for (const ForwardingEntry& entry : wanted)
        if (facts.forwarding.contains(entry)) forwarded_.insert(entry);
}

void RouteHealth::learn_from_predecessor(const Used& used, const RouteFacts& facts) {
    std::set<Prefix> ours;
    for (const Route& route : facts.routes)
        if (route.protocol == kRouteProtocol && route.type == RouteType::unicast) ours.insert(route.prefix);
    for (const auto& [prefix, hops] : used) {
        if (hops.front()->prefix != prefix || prefix.is_host()) continue;
        const auto [low, high] = halves(prefix);
        if (!ours.contains(low) || !ours.contains(high)) continue;
        for (const Route* route : hops) {
            if (route->type != RouteType::unicast || !route->gateway) continue;
            const NextHop hop{route->ifindex, *route->gateway};
            const auto entry = neighbours_.find(hop);
            if (entry == neighbours_.end() || !entry->second->valid) failed_.insert(hop);
        }
    }
}

RouteVerdicts RouteHealth::judge(const std::set<Prefix>& wanted, const RouteFacts& facts) {
    const Used used = routes_of(wanted, facts.routes);
    links_.clear();
    for (const Link& link : facts.links) links_.emplace(link.ifindex, &link);
    remember(used, facts);
    if (!std::exchange(looked_, true)) learn_from_predecessor(used, facts);
    RouteVerdicts verdicts;
    for (const auto& [prefix, hops] : used) {
        const bool wider = hops.front()->prefix != prefix;
        const Route* works = nullptr;
        std::string fault, passed_over;
        for (const Route* route : hops) {
            std::string one = fault_of(*route, facts);
            if (one.empty())
                works = works == nullptr ? route : works;
            else
                (is_passed_over(*route, links_) ? passed_over : fault) = std::move(one);
        }
        if (fault.empty() && works == nullptr) fault = std::move(passed_over);
        if (fault.empty())
            verdicts.sound.emplace(
                prefix, SoundRoute{way_of(*works, links_), wider, works->ifindex, !works->gateway});
        else if (!wider)  // our own route for the prefix wins over it
            verdicts.faults.emplace(prefix, std::move(fault));
        else
            verdicts.dead_around.insert(prefix);
    }
    links_.clear();  // they point into `facts`
    neighbours_.clear();
    return verdicts;
}

}  // namespace wglan
