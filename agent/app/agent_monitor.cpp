// SPDX-License-Identifier: Apache-2.0
// Live events of packets for those who ask.
#include <algorithm>

#include "agent/app/agent.h"

namespace wglan {

std::optional<PacketMonitor::Peer> Agent::find_peer(PeerId id) const {
    const auto steered = observed_.steer_peers.find(id);
    if (steered == observed_.steer_peers.end()) return std::nullopt;
    const PublicKey& key = steered->second.key;
    const auto known = std::find_if(merged_.peers.begin(), merged_.peers.end(),
                                    [&](const Peer& peer) { return peer.public_key == key; });
    // The name in the map is cut at 31 bytes.
    return PacketMonitor::Peer{key, known == merged_.peers.end() ? steered->second.name : known->name};
}

Result<std::shared_ptr<MonitorFeed>> Agent::monitor(const MonitorRequest& request) {
    if (!dataplane_ || !first_reconcile_done_ || stopped_)
        return fail(ErrorKind::unsupported, "the agent is starting; ask again in a moment");
    MonitorFilter filter{request.drops, {}};
    for (const Peer& peer : merged_.peers)
        if (peer.name == request.peer || to_string(peer.public_key) == request.peer)
            filter.peer = peer.public_key;
    if (!request.peer.empty() && !filter.peer)
        return fail(ErrorKind::not_found, "no peer named " + request.peer);
    return packet_monitor_.open(*dataplane_, filter);
}

}  // namespace wglan
