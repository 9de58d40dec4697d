// SPDX-License-Identifier: Apache-2.0
// Which news of this node's mesh are worth an Event, in which words, and who of a cluster's nodes tells them.
// Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/discovery/source.h"
#include "agent/model/peer.h"

namespace wglan {

struct PeerChange {
    std::string name;
    PeerState before = PeerState::unknown, after = PeerState::unknown;
    std::string reason;
};

// True if `own` is to tell what all nodes see of `subject`: in a small cluster everybody does, in a large one
// some ten nodes, always the same for one subject. A node that dies must not make its peers flood the API.
bool is_witness(std::string_view own, std::string_view subject, std::size_t nodes);

// Of peers that went down after they had been up, and of those that came back: one each, however many peers.
// `nodes`: of the mesh, this one included.
std::vector<NodeEvent> events_of(const std::vector<PeerChange>& changes, std::string_view own,
                                 std::size_t nodes);

inline constexpr const char* kMeshReady = "MeshReady";

// `unready`: why this node's own part doesn't work; "" = it does. `alive` of `peers` are up.
NodeCondition condition_of(std::string_view unready, std::size_t peers, std::size_t alive);

}  // namespace wglan
