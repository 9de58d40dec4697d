// SPDX-License-Identifier: Apache-2.0
#include "agent/app/facts.h"

#include <linux/if_addr.h>
#include <netinet/in.h>

#include <algorithm>
#include <map>

#include "agent/base/file.h"
#include "agent/dataplane/device.h"
#include "agent/model/overlay_address.h"
#include "agent/netlink/uplinks.h"

namespace wglan {

namespace {

// Where the file can't be read nothing is known, and nothing is said.
bool forwards(const char* file) {
    const auto text = read_file(file, 16);
    return !text || text->empty() || text->front() != '0';
}

// flannel's and Cilium's port beside the registered ones.
const std::multimap<std::string, std::pair<std::uint8_t, std::uint16_t>> kTunnelFlows = {
    {"vxlan", {IPPROTO_UDP, 4789}}, {"vxlan", {IPPROTO_UDP, 8472}}, {"geneve", {IPPROTO_UDP, 6081}},
    {"ipip", {IPPROTO_IPIP, 0}},    {"sit", {IPPROTO_IPV6, 0}},     {"gre", {IPPROTO_GRE, 0}},
    {"ip6tnl", {IPPROTO_IPIP, 0}},  {"ip6tnl", {IPPROTO_IPV6, 0}},  {"ip6gre", {IPPROTO_GRE, 0}}};

// Not a bridge or a pair into another namespace: local pods may be behind it.
bool leads_to_peers(const Link& link, const std::string& own) {
    return !link.loopback && link.name != own && link.kind != "bridge" && !link.peer_in_other_netns;
}

void add_uplink(HostFacts& facts, const Link& link) {
    const auto type = hardware_type(link.ifindex);
    if (type && packets_of(*type) == PacketKind::unknown)
        facts.unhooked.push_back(link.name);
    else
        facts.uplinks.push_back({link.ifindex, link.name});
}

}  // namespace

Result<HostFacts> read_facts(Netlink& netlink, const Config& config, const KnownWays& ways) {
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
        select_uplinks(*links, *addresses, *routes, config.steering.uplinks, own, pods, ways.somebody_in);
    const auto is_uplink = [&](int ifindex) {
        return std::find(uplinks.begin(), uplinks.end(), ifindex) != uplinks.end();
    };
    int own_ifindex = 0;
    for (const Link& link : *links) {
        if (link.name == own) own_ifindex = link.ifindex;
        const auto [flow, end] = kTunnelFlows.equal_range(link.kind);
        std::for_each(flow, end, [&](const auto& one) { facts.tunnel_flows.insert(one.second); });
        if (!is_uplink(link.ifindex)) continue;
        add_uplink(facts, link);
        if (link.physical) facts.physical_uplinks.insert(link.ifindex);
        if (link.running) facts.carriers.insert(link.ifindex);
    }
    facts.underlay_mtu =
        underlay_mtu(*links, *addresses, *routes, uplinks, pods).value_or(facts.underlay_mtu);
    if (!config.steering.uplinks)
        for (const Link& link : *links)
            if (ways.devices.contains(link.ifindex) && !is_uplink(link.ifindex) && leads_to_peers(link, own))
                add_uplink(facts, link);
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
    if (!config.steering.uplinks) facts.guest_networks = guest_networks(*links, *addresses);
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
