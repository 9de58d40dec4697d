// SPDX-License-Identifier: Apache-2.0
// Why a peer that was looked for in vain isn't reached, as far as that is known. Pure.
//
// A node can't see the NATs on its way; what other members see of both ends tells of them. A relay would help
// only where the peer lives, so it is called for on a sign of that alone: its record, which a discovery
// service forgets two minutes after its agent's last word. What members saw may be long ago.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "agent/base/ip.h"

namespace wglan {

struct NoPathFacts {
    std::size_t endpoints = 0;        // that were tried
    std::vector<Endpoint> own_seen;   // where other members reach this node, and it has no such address
    std::vector<Endpoint> peer_seen;  // where other members reach the peer, and it announces no such endpoint
    bool announced = false;           // a discovery service named it all the time
};

struct NoPath {
    std::string reason;  // one phrase
    bool needs_relay = false;
};

NoPath explain_no_path(const NoPathFacts& facts);

}  // namespace wglan
