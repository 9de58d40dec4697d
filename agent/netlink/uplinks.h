// SPDX-License-Identifier: Apache-2.0
// Which devices are uplinks and which addresses are the node's: decisions over dumps. Pure.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/model/network.h"

namespace wglan {

// An on-link network of a bridge of guests.
struct GuestNetwork {
    int ifindex = 0;
    Prefix prefix;
    auto operator<=>(const GuestNetwork&) const = default;
};

// The devices (sorted ifindexes) whose egress carries what must be steered.
// Configured: those whose name matches one of the globs (fnmatch(3)). Otherwise: those that a
// unicast default route leaves by; tunnels (vxlan, geneve, ipip, gre and kin) whatever they hold;
// and those that hold a global address, unless they face pods or other guests:
//  - a veth or netkit device whose peer is in another namespace, when its addresses are host
//    prefixes (a CNI's point-to-point gateway) or lie in own_pod_prefixes;
//  - a bridge whose addresses lie in own_pod_prefixes, or that has no port but veths and taps (a
//    CNI's or a container engine's) and nobody in its networks: somebody_in tells whether a peer, or what
//    this node depends on, is reached there;
//  - a dummy device (kube-proxy keeps every Service's address on one).
// Never the loopback device nor own_interface.
std::vector<int> select_uplinks(const std::vector<Link>& links,
                                const std::vector<InterfaceAddress>& addresses,
                                const std::vector<Route>& routes,
                                const std::optional<std::vector<std::string>>& configured_globs,
                                const std::string& own_interface,
                                const std::vector<Prefix>& own_pod_prefixes = {},
                                const std::function<bool(const GuestNetwork&)>& somebody_in = {});

// Those of such bridges, sorted.
std::vector<GuestNetwork> guest_networks(const std::vector<Link>& links,
                                         const std::vector<InterfaceAddress>& addresses);

// The node's own global unicast addresses on its uplinks, best first, each once: IPv4 of the device
// with the best IPv4 default route, then IPv6 of the one with the best IPv6 default route, then
// those of other devices; host prefixes (often addresses that move between nodes) last within each.
// Left out: deprecated, tentative, duplicate and temporary ones; those in own_pod_prefixes; those
// on tunnels that hold no default route; those on own_interface.
std::vector<IpAddress> node_addresses(const std::vector<Link>& links,
                                      const std::vector<InterfaceAddress>& addresses,
                                      const std::vector<Route>& routes, const std::vector<int>& uplinks,
                                      const std::string& own_interface,
                                      const std::vector<Prefix>& own_pod_prefixes = {});

// vxlan, geneve, ipip, gre and kin: a CNI's, an operator's, or one of those that a kernel with such
// tunnels makes in every namespace (tunl0, gre0, sit0, ip6tnl0, ...).
bool is_tunnel(const Link& link);

// The smallest MTU among the uplinks that WireGuard's own packets may leave by; nullopt = none is known. A
// CNI's device (a tunnel that holds no network but host prefixes, or what holds addresses in own_pod_prefixes
// alone) is none of them without a default route: what goes out by it is a CNI's packet, not one of ours.
std::optional<std::uint32_t> underlay_mtu(const std::vector<Link>& links,
                                          const std::vector<InterfaceAddress>& addresses,
                                          const std::vector<Route>& routes, const std::vector<int>& uplinks,
                                          const std::vector<Prefix>& own_pod_prefixes = {});

// Next hops of all routes but our own, sorted, each once: they must never be steered.
std::vector<IpAddress> gateways(const std::vector<Route>& routes);

}  // namespace wglan
