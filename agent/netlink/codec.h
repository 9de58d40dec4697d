// SPDX-License-Identifier: Apache-2.0
// Links, addresses and routes as rtnetlink messages and back (rtnetlink(7), linux/rtnetlink.h,
// linux/if_link.h). Pure. Parsing refuses malformed messages with `protocol`.
#pragma once

#include <optional>
#include <vector>

#include "agent/model/network.h"
#include "agent/netlink/message.h"

namespace wglan::rtnl {

// One RTM_NEWLINK or RTM_DELLINK. Per-device settings stand in IFLA_AF_SPEC, where the message
// carries it and the family is enabled on the device.
struct LinkMessage {
    Link link;                // mac_stable as far as IFLA_PERM_ADDRESS tells
    std::uint8_t family = 0;  // AF_UNSPEC; AF_BRIDGE = a port's settings, not the link's life
    std::optional<int> rp_filter;
    std::optional<bool> forwarding_v4;
    std::optional<bool> forwarding_v6;
};
Result<LinkMessage> parse_link(Bytes message);

// nullopt = neither IPv4 nor IPv6.
Result<std::optional<InterfaceAddress>> parse_address(Bytes message);

// One RTM_NEWNEIGH or RTM_DELNEIGH. nullopt = neither IPv4 nor IPv6 (a bridge's table).
Result<std::optional<Neighbour>> parse_neighbour(Bytes message);
// The same messages of AF_BRIDGE. nullopt = another family, or an entry without a remote end.
Result<std::optional<ForwardingEntry>> parse_forwarding(Bytes message);
// Device of a message of AF_BRIDGE; 0 = another family.
int forwarding_device(Bytes message);

// One RTM_NEWROUTE or RTM_DELROUTE, or the answer to RTM_GETROUTE.
struct RouteMessage {
    // One for each next hop, all alike but for device and gateway; empty = neither IPv4 nor IPv6.
    std::vector<Route> routes;
    bool cloned = false;  // an exception (path MTU, redirect), not a route of the table
    std::uint8_t tos = 0;
};
Result<RouteMessage> parse_route(Bytes message);
// By its header alone; what is cut off counts as one, so that parse_route() says what is wrong.
bool is_default_route(Bytes message);

Request links_request();
Request link_request(const std::string& name);
Request link_request(int ifindex);
Request create_link_request(const std::string& name, const std::string& kind);
Request remove_link_request(const std::string& name);
Request alias_request(int ifindex, const std::string& alias);
Request mtu_request(int ifindex, std::uint32_t mtu);
Request up_request(int ifindex, bool up);
// One IPv4 setting: IFLA_AF_SPEC / AF_INET / IFLA_INET_CONF / id (IPV4_DEVCONF_*, from 1).
Request inet_conf_request(int ifindex, int id, std::uint32_t value);
// IFLA_AF_SPEC / AF_INET6 / IFLA_INET6_ADDR_GEN_MODE.
Request addr_gen_mode_request(int ifindex, std::uint8_t mode);

Request addresses_request();
Request add_address_request(const InterfaceAddress& address);
Request remove_address_request(const InterfaceAddress& address);

Request neighbours_request();
Request forwarding_request(int ifindex);
Request probe_neighbour_request(int ifindex, const IpAddress& address);

// The kernel filters by table and protocol (0 = all) where it checks requests strictly.
Request routes_request(Family family, std::uint32_t table, std::uint8_t protocol);
Request route_to_request(const IpAddress& destination, std::uint32_t mark);
Request route_of_request(const ArrivingPacket& packet);
enum class AddMode { exclusive, replace };
Request add_route_request(const Route& route, AddMode mode);
Request remove_route_request(const Route& route);
// `invalid` for a route that the kernel would refuse or read back otherwise.
Result<> check_route(const Route& route);

}  // namespace wglan::rtnl
