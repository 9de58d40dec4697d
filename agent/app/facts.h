// SPDX-License-Identifier: Apache-2.0
// What this host looks like: links, addresses, default routes, as far as decisions need it.
#pragma once

#include <set>
#include <vector>

#include "agent/base/result.h"
#include "agent/netlink/netlink.h"
#include "agent/netlink/pod_devices.h"
#include "agent/reconcile/state.h"
#include "config/config.h"

namespace wglan {

struct HostFacts {
    std::vector<Uplink> uplinks;
    std::set<int> physical_uplinks;         // ifindexes
    std::set<int> carriers;                 // of the uplinks, those whose cable leads somewhere
    std::uint32_t underlay_mtu = 1500;      // see underlay_mtu()
    std::vector<IpAddress> node_addresses;  // published: global ones on uplinks, best first
    std::vector<IpAddress> all_addresses;   // every address of the host but wglan0's
    std::vector<IpAddress> gateways;
    bool default6 = false;  // there is an IPv6 default route
    // How a CNI's tunnels look from outside, by protocol and port (0 = it has none), as far as devices of
    // their kind are here.
    std::set<std::pair<std::uint8_t, std::uint16_t>> tunnel_flows;
    std::vector<Prefix> networks;  // on-link networks of uplinks
    std::optional<std::array<std::uint8_t, 6>> mac;
    PodDevices pods;                          // with podDatapath direct
    bool forwards4 = true, forwards6 = true;  // the host as a whole forwards (sysctl)
    bool operator==(const HostFacts&) const = default;
};

// `ways`: devices that routes to peers' pods leave by (RouteHealth::devices()). Among the uplinks that are
// found by themselves they count too: what a CNI's programs would take from such a device meets ours first.
Result<HostFacts> read_facts(Netlink& netlink, const Config& config, const std::set<int>& ways = {});

}  // namespace wglan
