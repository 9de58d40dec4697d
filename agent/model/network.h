// SPDX-License-Identifier: Apache-2.0
// Links, addresses and routes as values (rtnetlink(7)).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/ip.h"

namespace wglan {

// Marks our routes (rtm_protocol); see docs/decisions.md. Not used in iproute2's rt_protos.
inline constexpr std::uint8_t kRouteProtocol = 119;
// Worst metric: any other route of the same prefix wins. The unreachable twin is worse by one.
inline constexpr std::uint32_t kBackupMetric = 0x7ffffff0;
// Stands in IFLA_IFALIAS of the interface that the agent made.
inline constexpr char kInterfaceAlias[] = "wglan-agent";

struct Link {
    int ifindex = 0;
    std::string name;
    std::string kind;  // IFLA_INFO_KIND: "wireguard", "tun", "veth", "bridge", "" for physical
    std::string alias;
    std::uint32_t mtu = 0;
    std::array<std::uint8_t, 6> mac{};
    bool has_mac = false;     // ARPHRD_ETHER with a 6-byte address that isn't zero
    bool mac_stable = false;  // addr_assign_type NET_ADDR_PERM or NET_ADDR_SET: not random per boot
    bool physical = false;    // has a parent device (IFLA_PARENT_DEV_NAME or /sys/class/net/X/device)
    bool up = false;          // IFF_UP
    bool running = false;     // IFF_RUNNING (carrier)
    bool loopback = false;
    int master = 0;                    // ifindex of the bridge or bond, 0 = none
    std::string master_kind;           // kind of the master
    int peer_ifindex = 0;              // IFLA_LINK; with peer_in_other_netns = veth into a namespace
    bool peer_in_other_netns = false;  // IFLA_LINK_NETNSID present
    bool operator==(const Link&) const = default;
};

struct InterfaceAddress {
    int ifindex = 0;
    IpAddress address;
    std::uint8_t prefix_length = 0;
    std::uint8_t scope = 0;   // RT_SCOPE_*
    std::uint32_t flags = 0;  // IFA_F_*
    bool operator==(const InterfaceAddress&) const = default;
};

// An entry of the neighbour tables (ARP, neighbour discovery).
struct Neighbour {
    int ifindex = 0;
    IpAddress address;
    bool failed = false;     // NUD_FAILED: it was asked for and didn't answer
    bool valid = false;      // NUD_VALID: packets can be sent; neither = being asked for
    bool permanent = false;  // NUD_PERMANENT: somebody's program keeps it
    std::optional<std::array<std::uint8_t, 6>> mac;  // where it is known
    bool operator==(const Neighbour&) const = default;
};

// An entry of a tunnel device's forwarding table that names a remote end.
struct ForwardingEntry {
    int ifindex = 0;
    std::array<std::uint8_t, 6> mac{};
    auto operator<=>(const ForwardingEntry&) const = default;
};

enum class RouteType : std::uint8_t { unicast, unreachable, blackhole, local, other };

struct Route {
    Prefix prefix;
    RouteType type = RouteType::unicast;
    int ifindex = 0;  // 0 for unreachable and blackhole
    std::optional<IpAddress> gateway;
    std::optional<IpAddress> preferred_source;
    std::uint32_t metric = 0;
    std::uint32_t mtu = 0;  // RTAX_MTU, 0 = the device's
    std::uint8_t protocol = 0;
    std::uint32_t table = 254;     // RT_TABLE_MAIN
    bool source_specific = false;  // for packets from some addresses alone (RTA_SRC)
    bool operator==(const Route&) const = default;
};

// A packet that another host sent, as a device of this one takes it in.
struct ArrivingPacket {
    IpAddress source, destination;  // of one family
    int ifindex = 0;
    std::uint32_t mark = 0;
};

}  // namespace wglan
