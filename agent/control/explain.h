// SPDX-License-Identifier: Apache-2.0
// What the data path does with a packet, worked out from the tables that it reads. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/control/explanation.h"
#include "agent/model/network.h"
#include "agent/model/steering.h"

namespace wglan {

// The maps as dumped, and what the kernel says of the packet's route.
struct ExplainState {
    std::map<Prefix, SteerRoute> routes;
    std::map<PeerId, SteerPeer> peers;
    std::vector<SteerEndpoint> endpoints;
    std::vector<ApiServer> api_servers;  // those among `endpoints`, and those that are not for a peer is up
    SteerConfig config;
    std::vector<Attachment> attachments;
    std::string interface;                   // wglan0's name
    std::vector<IpAddress> local_addresses;  // of every interface of this host
    std::optional<Route> kernel_route;       // RTM_GETROUTE for destination and mark; none = no route
    std::string kernel_device;               // name of kernel_route->ifindex
    // With steering.pods: cniDown, peers' pods: the CNI's way of those left to it, else why they are steered.
    std::map<Prefix, std::string> left_to_cni, taken_from_cni;
};

// Steps in the packet's order: routing first, then those of the program at the uplink's egress
// (bpf/steer.bpf.c). Every step up to the deciding one is listed.
Explanation explain(const ExplainRequest& request, const ExplainState& state);

}  // namespace wglan
