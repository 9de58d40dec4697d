// SPDX-License-Identifier: Apache-2.0
// What this host looks like: links, addresses, default routes, as far as decisions need it.
#pragma once

#include <functional>
#include <set>
#include <vector>

#include "agent/base/result.h"
#include "agent/netlink/netlink.h"
#include "agent/netlink/pod_devices.h"
#include "agent/netlink/uplinks.h"
#include "agent/reconcile/state.h"
#include "config/config.h"

namespace wglan {

struct HostFacts {
    std::vector<Uplink> uplinks;
    std::vector<std::string> unhooked;      // devices that would be uplinks, but no program can stand there
    std::set<int> physical_uplinks;         // ifindexes
    std::set<int> carriers;                 // of the uplinks, those whose cable leads somewhere
    std::uint32_t underlay_mtu = 1500;      // see underlay_mtu()
    std::vector<IpAddress> node_addresses;  // published: global ones on uplinks, best first
    std::vector<IpAddress> all_addresses;   // every address of the host but wglan0's
    std::vector<IpAddress> gateways;
    // How a CNI's tunnels look from outside, by protocol and port (0 = it has none), as far as devices of
    // their kind are here.
    std::set<std::pair<std::uint8_t, std::uint16_t>> tunnel_flows;
    std::vector<Prefix> networks;  // on-link networks of uplinks
    // Those of bridges that may be none: whether somebody is in there counts.
    std::vector<GuestNetwork> guest_networks;
    std::optional<std::array<std::uint8_t, 6>> mac;
    PodDevices pods;                          // with podDatapath direct
    bool forwards4 = true, forwards6 = true;  // the host as a whole forwards (sysctl)
    bool operator==(const HostFacts&) const = default;
};

// What is known of the other nodes, as far as it tells uplinks from other devices.
struct KnownWays {
    // Devices that routes to peers' pods leave by (RouteHealth::devices()). Among the uplinks that are found
    // by themselves they count too: what a CNI's programs would take from such a device meets ours first.
    std::set<int> devices;
    // See select_uplinks().
    std::function<bool(const GuestNetwork&)> somebody_in;
};
Result<HostFacts> read_facts(Netlink& netlink, const Config& config, const KnownWays& ways = {});

}  // namespace wglan
