// SPDX-License-Identifier: Apache-2.0
#include "agent/control/explain_tables.h"

#include <algorithm>

namespace wglan {

const SteerRoute* longest_match(const ExplainState& state, const IpAddress& address) {
    for (int length = address.bit_length(); length >= 0; --length) {
        const auto prefix = Prefix::make(address, static_cast<unsigned>(length));
        const auto found = state.routes.find(*prefix);
        if (found != state.routes.end()) return &found->second;
    }
    return nullptr;
}

const SteerPeer* peer_of(const ExplainState& state, const SteerRoute& route) {
    const auto peer = state.peers.find(route.peer);
    return peer == state.peers.end() ? nullptr : &peer->second;
}

IpAddress source_of(const ExplainRequest& request, const ExplainState& state) {
    if (request.source) return *request.source;
    if (state.kernel_route && state.kernel_route->preferred_source)
        return *state.kernel_route->preferred_source;
    for (const IpAddress& address : state.local_addresses)
        if (address.family() == request.destination.family() && !address.is_loopback()) return address;
    return request.destination;
}

bool is_reachable(const SteerPeer& peer) {
    return peer.state == PeerState::up || peer.state == PeerState::degraded;
}

const char* link_scope_of(const IpAddress& address) {
    if (address.is_multicast()) return "multicast";
    if (address.is_broadcast()) return "broadcast";
    if (address.is_link_local()) return "link-local";
    // 0.0.0.0/8 and 240.0.0.0/4; ::/96.
    const auto bytes = address.bytes();
    const bool reserved =
        address.is_v4() ? bytes[0] == 0 || bytes[0] >= 224
                        : std::all_of(bytes.begin(), bytes.begin() + 12, [](auto byte) { return byte == 0; });
    return reserved ? "reserved" : nullptr;
}

}  // namespace wglan
