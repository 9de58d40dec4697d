// SPDX-License-Identifier: Apache-2.0
#include "agent/peers/no_path.h"

#include <algorithm>

namespace wglan {
namespace {

// One address seen with several ports: its NAT chooses them by destination, so that nobody can tell which one
// is meant for him (RFC 4787 section 4.1).
bool maps_by_destination(const std::vector<Endpoint>& seen) {
    return std::any_of(seen.begin(), seen.end(), [&](const Endpoint& one) {
        return std::any_of(seen.begin(), seen.end(), [&](const Endpoint& other) {
            return one.address == other.address && one.port != other.port;
        });
    });
}

bool share_an_address(const std::vector<Endpoint>& own, const std::vector<Endpoint>& peer) {
    return std::any_of(own.begin(), own.end(), [&](const Endpoint& one) {
        return std::any_of(peer.begin(), peer.end(),
                           [&](const Endpoint& other) { return one.address == other.address; });
    });
}

std::string between_nats(const NoPathFacts& facts) {
    if (share_an_address(facts.own_seen, facts.peer_seen))
        return "both nodes are behind one NAT, which leads nothing back inside";
    const bool own = maps_by_destination(facts.own_seen), peer = maps_by_destination(facts.peer_seen);
    if (!own && !peer) return "both nodes are behind NATs or firewalls that keep the other out";
    if (own && peer) return "both nodes are behind NATs that use another port for each destination";
    return "both nodes are behind NATs, and " + std::string(own ? "this node's" : "the peer's") +
           " uses another port for each destination";
}

// Empty: nothing shows that it lives.
std::string cause(const NoPathFacts& facts) {
    if (!facts.announced) return "";
    if (!facts.own_seen.empty() && !facts.peer_seen.empty()) return between_nats(facts);
    if (!facts.peer_seen.empty())
        return "others reach it at " + facts.peer_seen.front().to_string() +
               ", but UDP between it and this node seems to be blocked";
    return std::string("its agent runs, but UDP between it and this node") +
           (facts.own_seen.empty() ? "" : ", which is behind a NAT,") + " seems to be blocked";
}

}  // namespace

NoPath explain_no_path(const NoPathFacts& facts) {
    NoPath path;
    path.reason = facts.endpoints == 1
                      ? "no answer from its only endpoint"
                      : "no answer from any of " + std::to_string(facts.endpoints) + " endpoints";
    if (const std::string known = cause(facts); !known.empty()) {
        path.reason += "; " + known + ": a relay is needed";
        path.needs_relay = true;
    }
    return path;
}

}  // namespace wglan
