// SPDX-License-Identifier: Apache-2.0
// The model's steering values from and to the structs of maps/wglan_maps.h. Pure. What a map holds
// that this version doesn't know reads as what the programs make of it.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "agent/dataplane/dataplane.h"
#include "agent/model/steering.h"
#include "maps/wglan_maps.h"

namespace wglan {

wglan_route encode_route(const SteerRoute& route);
SteerRoute decode_route(const Prefix& prefix, const wglan_route& route);

wglan_peer encode_peer(const SteerPeer& peer);
SteerPeer decode_peer(PeerId id, const wglan_peer& peer);

struct EndpointKeys {
    wglan_endpoint_key whole;
    // By which later fragments are known, where they are let pass.
    std::optional<wglan_endpoint_key> fragment;
};
// WireGuard's own packets are known by their mark, and so are their fragments.
EndpointKeys encode_endpoint(const SteerEndpoint& endpoint);
// False: a fragment entry or one of an unknown kind.
bool decode_endpoint(const wglan_endpoint_key& key, SteerEndpoint& endpoint);

wglan_place encode_place(const Endpoint& endpoint);
wglan_places encode_clones(const CloneList& list);

// Leaves layout version and heartbeat to the caller.
void encode_config(const SteerConfig& config, wglan_config& to);
SteerConfig decode_config(const wglan_config& config);

// Sums of all CPUs.
DataplaneCounters decode_counters(std::span<const wglan_stats> cpus);
PeerCounters decode_peer_counters(std::span<const wglan_peer_stats> cpus);

}  // namespace wglan
