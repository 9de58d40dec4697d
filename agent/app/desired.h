// SPDX-License-Identifier: Apache-2.0
// Turns peers, their states and this host's facts into the state the kernel shall have. Pure.
#pragma once

#include <functional>

#include "agent/app/facts.h"
#include "agent/peers/peer_manager.h"
#include "agent/reconcile/state.h"
#include "agent/registry/registry.h"
#include "config/config.h"

namespace wglan {

// Peer ids of the data plane: stable while the peer lives and over restarts; a freed one is handed
// out last, long after its map entries are gone.
class PeerIds {
public:
    void adopt(const std::map<PeerId, SteerPeer>& found);
    // exhausted = 0 (more than kMaxPeers peers).
    PeerId id_of(const PublicKey& key);
    void keep_only(const std::vector<Peer>& peers);

private:
    std::map<PublicKey, PeerId> ids_;
    std::set<PeerId> used_;
    PeerId next_ = 1;
};

// What is left to the CNI of a prefix of pods (steering.pods: cniDown).
enum class CniShare {
    none,            // it is steered
    by_own_route,    // all, by a route for the prefix
    by_wider_route,  // all, by one around it: which a route of ours for the prefix would take it from
};

// Of a prefix with holes, what others' routes make of it.
struct Holed {
    bool routed_by_others = false;  // as a whole
    std::vector<Prefix> holes;      // those, or the routes of others around them that are inside the prefix
    bool operator==(const Holed&) const = default;
};

struct DesiredInput {
    const Config& config;
    const HostFacts& facts;
    const PublicKey& public_key;
    const IpAddress& overlay;  // own overlay address
    const Prefix& overlay_network;
    const std::vector<Peer>& peers;  // merged
    const PeerManager& manager;
    PeerIds& ids;
    // Fingerprint of the preshared key a peer shall have (zero = none).
    std::function<SecretFingerprint(const Peer&)> preshared;
    // Resolved endpoints of all candidates, for the loop guard.
    std::function<std::vector<Endpoint>(const Peer&)> endpoints;
    const std::vector<IpAddress>& depended_on;  // see OwnClaims
    // Prefixes whose route by somebody else leads nowhere; see RouteHealth.
    std::function<bool(const Prefix&)> overridden;
    std::function<CniShare(const Prefix&)> left_to_cni = {};
    std::vector<ApiServer> api_servers = {};
    // nullptr: nothing is known of others' routes there.
    std::function<const Holed*(const Prefix&)> holed = {};
    // IPv6 pods that get to an uplink, and so to its program, by the default route.
    std::function<bool(const Prefix&)> spared = {};
};

// Parts of others' prefixes that our kernel routes keep out of: what is excluded, and addresses of which some
// ports never enter the tunnel, since a route can't look at ports. Sorted, each once.
std::vector<Prefix> route_holes(const Config& config, const std::vector<ApiServer>& api_servers);

// Whether the prefix has a kernel route of ours as well.
inline bool is_routed(const OwnedPrefix& owned) {
    return owned.cls == PrefixClass::pod || owned.cls == PrefixClass::extra;
}

std::uint32_t interface_mtu(const Config& config, const HostFacts& facts);
// Tables that are nearly full, or were too small for `wanted`: "" where there is nothing to say.
std::vector<std::string> capacity_warnings(const Desired& wanted, const Config& config);
// Filled to where capacity_warnings() begins, or more.
bool nearly_full(std::size_t entries, std::size_t room);
Desired build_desired(const DesiredInput& input);

}  // namespace wglan
