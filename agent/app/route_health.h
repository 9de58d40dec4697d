// SPDX-License-Identifier: Apache-2.0
// Whether the routes that others (a CNI) made for peers' prefixes lead anywhere. Pure.
#pragma once

#include <cstddef>
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

// What the kernel knows, as far as routes depend on it.
struct RouteFacts {
    std::vector<Route> routes;
    std::vector<Link> links;
    std::vector<Neighbour> neighbours;
    // Of the devices in tunnels().
    std::set<ForwardingEntry> forwarding;
    // How many programs of others stand at the TC hooks of the devices in programmed().
    std::map<int, std::size_t> programs;
};

// Somebody's route for a prefix that leads on, as far as can be seen.
struct SoundRoute {
    std::string way;     // "via 192.0.2.2 dev eth0"
    bool wider = false;  // there is none for the prefix itself; one around it does
    int ifindex = 0;
    bool on_link = false;  // without a next hop
    auto operator<=>(const SoundRoute&) const = default;
};

struct RouteVerdicts {
    // Prefixes whose own route leads nowhere, with the reason.
    std::map<Prefix, std::string> faults;
    // Those that somebody's route takes care of; in neither: nobody's does.
    std::map<Prefix, SoundRoute> sound;
    // Among those in neither: what a route around them leads nowhere.
    std::set<Prefix> dead_around;
};

class RouteHealth {
public:
    // Of `wanted`, by the best foreign route for the prefix; without one, by the longest around it that is
    // neither a default route nor the kernel's own of a connected network. Leads nowhere: unreachable,
    // blackholed, prohibited; its device gone, down or without carrier, or a tunnel over such a device; its
    // next hop not answering; the entries that a program kept for its next hop in the neighbour or forwarding
    // table taken away; a device that only programs lead on from, without the programs that it had. One of
    // several next hops that works is enough. What was never there is no sign. A next hop that failed stays
    // so until the kernel has found it again: a missing entry says nothing. At the first look the halves by
    // which a predecessor overrode a route say that its next hops had failed.
    RouteVerdicts judge(const std::set<Prefix>& wanted, const RouteFacts& facts);

    // Next hops of the routes looked at: news of them matter.
    const std::set<NextHop>& watched() const { return watched_; }
    // Those that failed. Nothing is sent there while the route is overridden, so somebody has to ask.
    const std::set<NextHop>& failed() const { return failed_; }
    // Devices of the routes looked at: all; those with forwarding tables; those that only programs lead on
    // from, of which no event tells.
    const std::set<int>& devices() const { return devices_; }
    const std::set<int>& tunnels() const { return tunnels_; }
    const std::set<int>& programmed() const { return programmed_; }

private:
    void remember(const std::map<Prefix, std::vector<const Route*>>& used, const RouteFacts& facts);
    void learn_from_predecessor(const std::map<Prefix, std::vector<const Route*>>& used,
                                const RouteFacts& facts);
    std::string fault_of(const Route& route, const RouteFacts& facts) const;
    std::string fault_of_device(const Link& link, const RouteFacts& facts) const;
    std::string fault_of_hop(const NextHop& hop, const Link& link, const RouteFacts& facts) const;

    std::map<int, const Link*> links_;                // of the look at hand
    std::map<NextHop, const Neighbour*> neighbours_;  // likewise, of those watched
    std::set<NextHop> watched_, failed_;
    std::set<NextHop> kept_;               // had a permanent neighbour entry
    std::set<ForwardingEntry> forwarded_;  // were there, for next hops that are watched
    std::set<int> devices_, tunnels_, programmed_;
    std::set<int> had_programs_;
    bool looked_ = false;
};

}  // namespace wglan
