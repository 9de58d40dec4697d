// SPDX-License-Identifier: Apache-2.0
// What the data path does with a packet, worked out from the tables that it reads. Pure.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/control/explanation.h"
#include "agent/model/network.h"
#include "agent/model/pods.h"
#include "agent/model/steering.h"

namespace wglan {

// What the program at pods' devices said of such a packet.
struct PodProgramSaid {
    Verdict verdict = Verdict::pass;  // pass: to the host's stack
    bool known = false;               // since conntrack knows the flow
};

// podDatapath: direct is in force, and the source is no address of this host.
struct PodSide {
    std::set<Prefix> own;            // this node's pods, as the programs know them
    std::string device;              // towards the source; "" = the kernel has no route there
    std::optional<PodDevice> entry;  // the programs' of that device; of a bridge, that of the port below
    std::string port;                // where `device` is a bridge: by which its pods send
    std::optional<PodProgramSaid> said;
    std::string not_replayed;  // why nothing was said
};

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
    // RTM_GETROUTE for destination and mark; for source and device, too, where it is a pod's that the
    // programs know. None = no route.
    std::optional<Route> kernel_route;
    std::string route_refused;            // the kernel's words where it is more than that there is none
    std::string kernel_device;            // name of kernel_route->ifindex
    std::optional<IpAddress> silent_hop;  // where it leads next, if that didn't answer when it was last asked
    // With steering.pods: cniDown, peers' pods: the CNI's way of those left to it, else why they are steered.
    std::map<Prefix, std::string> left_to_cni, taken_from_cni;
    std::optional<PodSide> pod_side;
    // Whose addresses these are, for WireGuard: peers' prefixes by name and state, steered or not.
    std::map<Prefix, std::pair<std::string, PeerState>> claims;
};

// Steps in the packet's order: with podDatapath: direct those of the program at a pod's device, then routing,
// then those of the program at the uplink's egress (bpf/steer.bpf.c). Every step up to the deciding one is
// listed.
Explanation explain(const ExplainRequest& request, const ExplainState& state);

}  // namespace wglan
