// SPDX-License-Identifier: Apache-2.0
#include "agent/app/facts.h"

#include <linux/if_addr.h>

#include <algorithm>

#include "agent/base/file.h"
#include "agent/model/overlay_address.h"
#include "agent/netlink/uplinks.h"

namespace wglan {

namespace {

// Where the file can't be read nothing is known, and nothing is said.
bool forwards(const char* file) {
    const auto text = read_file(file, 16);
    return !text || text->empty() || text->front() != '0';
}

}  // namespace

Result<HostFacts> read_facts(Netlink& netlink, const Config& config) {
    auto links = netlink.links();
    if (!links) return fail_with(links, "list links");
    auto addresses = netlink.addresses();
    if (!addresses) return fail_with(addresses, "list addresses");
    // Those alone: with host-gw CNIs there are thousands, and the next hop of a pod route is a peer's
    // address.
    const auto routes = netlink.default_routes();
    if (!routes) return fail_with(routes, "list routes");

    HostFacts facts;
    const std::string& own = config.interface.name;
    const std::vector<Prefix> pods = config.node.pod_prefixes.value_or(std::vector<Prefix>{});
    const std::vector<int> uplinks =
        select_uplinks(*links, *addresses, *routes, config.steering.uplinks, own, pods);
    const auto is_uplink = [&](int ifindex) {
        return std::find(uplinks.begin(), uplinks.end(), ifindex) != uplinks.end();
    };
    int own_ifindex = 0;
    bool first = true;
    for (const Link& link : *links) {
        if (link.name == own) own_ifindex = link.ifindex;
        if (!is_uplink(link.ifindex)) continue;
        facts.uplinks.push_back({link.ifindex, link.name});
        if (link.physical) facts.physical_uplinks.insert(link.ifindex);
        if (link.running) facts.carriers.insert(link.ifindex);
        if (link.mtu == 0) continue;
        facts.underlay_mtu = first ? link.mtu : std::min(facts.underlay_mtu, link.mtu);
        first = false;
    }
    std::sort(facts.uplinks.begin(), facts.uplinks.end());
    facts.node_addresses = node_addresses(*links, *addresses, *routes, uplinks, own, pods);
    for (const InterfaceAddress& address : *addresses) {
        if (address.ifindex == own_ifindex) continue;
        facts.all_addresses.push_back(address.address);
        if (!is_uplink(address.ifindex) || !address.address.is_global_unicast()) continue;
        if (auto network = Prefix::make(address.address, address.prefix_length))
            facts.networks.push_back(*network);
    }
    std::sort(facts.all_addresses.begin(), facts.all_addresses.end());
    std::sort(facts.networks.begin(), facts.networks.end());
    facts.gateways = gateways(*routes);
    if (config.steering.direct)
        facts.pods =
            select_pod_devices(*links, *addresses, uplinks, config.steering.pod_interfaces, own, pods);
    facts.mac = host_mac(*links, own);
    facts.forwards4 = forwards("/proc/sys/net/ipv4/ip_forward");
    facts.forwards6 = forwards("/proc/sys/net/ipv6/conf/all/forwarding");
    return facts;
}

}  // namespace wglan
