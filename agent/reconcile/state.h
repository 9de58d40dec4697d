// SPDX-License-Identifier: Apache-2.0
// What shall be (Desired) and what is (Observed) in the kernel. Plain values; secrets never.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/model/network.h"
#include "agent/model/pods.h"
#include "agent/model/steering.h"
#include "agent/model/wireguard.h"

namespace wglan {

// A route's identity within the main table.
struct RouteKey {
    Prefix prefix;
    RouteType type = RouteType::unicast;
    auto operator<=>(const RouteKey&) const = default;
};

struct DesiredAddress {
    IpAddress address;
    std::uint8_t prefix_length = 0;
    std::uint8_t scope = 0;
    auto operator<=>(const DesiredAddress&) const = default;
};

struct Uplink {
    int ifindex = 0;
    std::string name;
    auto operator<=>(const Uplink&) const = default;
};

struct Desired {
    std::string interface;
    std::uint32_t mtu = 0;
    PublicKey public_key;
    std::uint16_t listen_port = 0;  // 0 = whatever the kernel chose
    std::uint32_t firewall_mark = 0;
    std::set<DesiredAddress> addresses;  // noprefixroute; the overlay's route is among `routes`
    std::map<PublicKey, WgPeer> peers;   // endpoint nullopt = leave WireGuard's
    std::map<RouteKey, Route> routes;    // ifindex 0 of a unicast route = the interface's
    std::set<Uplink> uplinks;
    std::map<Prefix, SteerRoute> steer_routes;
    std::map<PeerId, SteerPeer> steer_peers;
    std::set<SteerEndpoint> steer_endpoints;
    SteerConfig steer_config;  // interface_ifindex and listen_port are filled from Observed
    std::size_t left_out = 0;  // prefixes that the tables have no room for
    std::size_t endpoints_left_out = 0;
    PodSteering pods;
};

struct Observed {
    struct Interface {
        Link link;
        int rp_filter = 0;
        bool forwarding4 = false, forwarding6 = false;
        std::set<DesiredAddress> addresses;  // ours and strangers' on that device
    };
    std::optional<Interface> interface;
    std::optional<WgDevice> wireguard;
    std::map<RouteKey, Route> routes;  // of our protocol, main table
    std::map<Prefix, SteerRoute> steer_routes;
    std::map<PeerId, SteerPeer> steer_peers;
    std::set<SteerEndpoint> steer_endpoints;
    SteerConfig steer_config;
    std::vector<Attachment> attachments;  // sorted
    PodSteering pods;
};

// What an adapter will find after a plan for `desired` was applied whole to `before`.
Observed assume_applied(const Desired& desired, Observed before);

}  // namespace wglan
