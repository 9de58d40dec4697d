// SPDX-License-Identifier: Apache-2.0
#include "agent/netlink/uplinks.h"

#include <fnmatch.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <limits>
#include <set>
#include <string_view>
#include <tuple>

namespace wglan {
namespace {

constexpr std::uint32_t kNoDefault = std::numeric_limits<std::uint32_t>::max();

bool in_any(const std::vector<Prefix>& prefixes, const IpAddress& address) {
    return std::ranges::any_of(prefixes, [&](const Prefix& prefix) { return prefix.contains(address); });
}

bool is_global(const InterfaceAddress& address) {
    return address.scope < RT_SCOPE_LINK && address.address.is_global_unicast() &&
           (address.flags & IFA_F_DADFAILED) == 0;
}

bool is_host_prefix(const InterfaceAddress& address) {
    return address.prefix_length == address.address.bit_length();
}

// Metric of the best unicast default route by that device; kNoDefault = none.
std::uint32_t default_metric(const std::vector<Route>& routes, int ifindex, Family family) {
    std::uint32_t best = kNoDefault;
    for (const Route& route : routes) {
        const bool leaves_here = route.prefix.is_default() && route.prefix.family() == family &&
                                 route.ifindex == ifindex && route.type == RouteType::unicast &&
                                 route.table == RT_TABLE_MAIN && route.protocol != kRouteProtocol;
        if (leaves_here) best = std::min(best, route.metric);
    }
    return best;
}

bool has_default(const std::vector<Route>& routes, int ifindex) {
    return default_metric(routes, ifindex, Family::v4) != kNoDefault ||
           default_metric(routes, ifindex, Family::v6) != kNoDefault;
}

bool has_only_guests(const Link& bridge, const std::vector<Link>& links) {
    return bridge.kind == "bridge" && std::ranges::all_of(links, [&](const Link& port) {
               return port.master != bridge.ifindex || port.kind == "veth" || port.kind == "tun";
           });
}

// nullopt: there is none but the address itself.
std::optional<Prefix> network_of(const InterfaceAddress& address) {
    if (!is_global(address) || is_host_prefix(address)) return std::nullopt;
    const auto network = Prefix::make(address.address, address.prefix_length);
    return network ? std::optional(*network) : std::nullopt;
}

class Classifier {
public:
    Classifier(const std::vector<Link>& links, const std::vector<InterfaceAddress>& addresses,
               const std::vector<Route>& routes, const std::vector<Prefix>& own_pod_prefixes,
               const std::function<bool(const GuestNetwork&)>& somebody_in)
        : links_(links),
          addresses_(addresses),
          routes_(routes),
          own_pod_prefixes_(own_pod_prefixes),
          somebody_in_(somebody_in) {}

    bool is_uplink(const Link& link) const {
        if (has_default(routes_, link.ifindex) || is_tunnel(link)) return true;
        if (link.kind == "dummy" || (has_only_guests(link, links_) && !leads_to_somebody(link))) return false;
        return std::ranges::any_of(addresses_, [&](const InterfaceAddress& address) {
            return address.ifindex == link.ifindex && is_global(address) && !faces_pods(link, address);
        });
    }

private:
    static bool leads_elsewhere(const Link& link) {
        return link.kind == "netkit" || (link.kind == "veth" && link.peer_in_other_netns);
    }

    bool faces_pods(const Link& link, const InterfaceAddress& address) const {
        const bool pod_side = leads_elsewhere(link) || link.kind == "bridge";
        return (pod_side && in_any(own_pod_prefixes_, address.address)) ||
               (leads_elsewhere(link) && is_host_prefix(address));
    }

    bool leads_to_somebody(const Link& bridge) const {
        return somebody_in_ && std::ranges::any_of(addresses_, [&](const InterfaceAddress& address) {
                   const auto network =
                       address.ifindex == bridge.ifindex ? network_of(address) : std::nullopt;
                   return network && somebody_in_({bridge.ifindex, *network});
               });
    }

    const std::vector<Link>& links_;
    const std::vector<InterfaceAddress>& addresses_;
    const std::vector<Route>& routes_;
    const std::vector<Prefix>& own_pod_prefixes_;
    const std::function<bool(const GuestNetwork&)>& somebody_in_;
};

bool matches(const std::string& name, const std::vector<std::string>& globs) {
    return std::ranges::any_of(
        globs, [&](const std::string& glob) { return ::fnmatch(glob.c_str(), name.c_str(), 0) == 0; });
}

bool is_settled(const InterfaceAddress& address) {
    constexpr std::uint32_t kUnfit = IFA_F_TENTATIVE | IFA_F_DEPRECATED;
    // To IPv4 the bit of IFA_F_TEMPORARY means IFA_F_SECONDARY.
    const bool temporary = address.address.is_v6() && (address.flags & IFA_F_TEMPORARY) != 0;
    return is_global(address) && (address.flags & kUnfit) == 0 && !temporary;
}

}  // namespace

bool is_tunnel(const Link& link) {
    static constexpr std::array<std::string_view, 12> kKinds = {
        "vxlan",  "geneve", "ipip",   "sit",       "gre",       "gretap",
        "erspan", "ip6gre", "ip6tnl", "ip6gretap", "ip6erspan", "bareudp"};
    return std::ranges::find(kKinds, link.kind) != kKinds.end();
}

std::vector<int> select_uplinks(const std::vector<Link>& links,
                                const std::vector<InterfaceAddress>& addresses,
                                const std::vector<Route>& routes,
                                const std::optional<std::vector<std::string>>& configured_globs,
                                const std::string& own_interface, const std::vector<Prefix>& own_pod_prefixes,
                                const std::function<bool(const GuestNetwork&)>& somebody_in) {
    const Classifier classifier(links, addresses, routes, own_pod_prefixes, somebody_in);
    std::vector<int> uplinks;
    for (const Link& link : links) {
        if (link.loopback || link.name == own_interface) continue;
        const bool chosen =
            configured_globs ? matches(link.name, *configured_globs) : classifier.is_uplink(link);
        if (chosen) uplinks.push_back(link.ifindex);
    }
    std::ranges::sort(uplinks);
    return uplinks;
}

std::vector<GuestNetwork> guest_networks(const std::vector<Link>& links,
                                         const std::vector<InterfaceAddress>& addresses) {
    std::set<GuestNetwork> networks;
    for (const Link& link : links) {
        if (!has_only_guests(link, links)) continue;
        for (const InterfaceAddress& address : addresses)
            if (address.ifindex == link.ifindex)
                if (const auto network = network_of(address)) networks.insert({link.ifindex, *network});
    }
    return {networks.begin(), networks.end()};
}

std::vector<IpAddress> node_addresses(const std::vector<Link>& links,
                                      const std::vector<InterfaceAddress>& addresses,
                                      const std::vector<Route>& routes, const std::vector<int>& uplinks,
                                      const std::string& own_interface,
                                      const std::vector<Prefix>& own_pod_prefixes) {
    std::set<int> devices;
    for (const Link& link : links) {
        const bool counts = std::ranges::find(uplinks, link.ifindex) != uplinks.end() &&
                            link.name != own_interface &&
                            (!is_tunnel(link) || has_default(routes, link.ifindex));
        if (counts) devices.insert(link.ifindex);
    }
    // Rank; the place in the dump comes last, so that a device's first address stays its first.
    using Ranked = std::tuple<bool, Family, std::uint32_t, bool, std::size_t, IpAddress>;
    std::vector<Ranked> ranked;
    for (std::size_t i = 0; i < addresses.size(); ++i) {
        const InterfaceAddress& address = addresses[i];
        const bool fits = devices.contains(address.ifindex) && is_settled(address) &&
                          !in_any(own_pod_prefixes, address.address);
        if (!fits) continue;
        const Family family = address.address.family();
        const std::uint32_t metric = default_metric(routes, address.ifindex, family);
        ranked.emplace_back(metric == kNoDefault, family, metric, is_host_prefix(address), i,
                            address.address);
    }
    std::ranges::sort(ranked);
    std::vector<IpAddress> result;
    for (const Ranked& entry : ranked) {
        const IpAddress& address = std::get<IpAddress>(entry);
        if (std::ranges::find(result, address) == result.end()) result.push_back(address);
    }
    return result;
}

std::optional<std::uint32_t> underlay_mtu(const std::vector<Link>& links,
                                          const std::vector<InterfaceAddress>& addresses,
                                          const std::vector<Route>& routes, const std::vector<int>& uplinks,
                                          const std::vector<Prefix>& own_pod_prefixes) {
    const auto carries_ours = [&](const Link& link) {
        if (has_default(routes, link.ifindex)) return true;
        bool any = false, network = false;
        for (const InterfaceAddress& address : addresses) {
            if (address.ifindex != link.ifindex || !is_global(address)) continue;
            any = true;
            network |=
                !in_any(own_pod_prefixes, address.address) && (!is_tunnel(link) || !is_host_prefix(address));
        }
        return network || (!any && !is_tunnel(link));
    };
    std::optional<std::uint32_t> ours, all;
    for (const Link& link : links) {
        if (std::ranges::find(uplinks, link.ifindex) == uplinks.end() || link.mtu == 0) continue;
        all = std::min(all.value_or(link.mtu), link.mtu);
        if (carries_ours(link)) ours = std::min(ours.value_or(link.mtu), link.mtu);
    }
    return ours ? ours : all;
}

std::vector<IpAddress> gateways(const std::vector<Route>& routes) {
    std::set<IpAddress> unique;
    for (const Route& route : routes) {
        if (route.gateway && route.protocol != kRouteProtocol) unique.insert(*route.gateway);
    }
    return {unique.begin(), unique.end()};
}

}  // namespace wglan
