// SPDX-License-Identifier: Apache-2.0
// The cluster's Nodes as a source: follows their annotations and keeps our own there.
#pragma once

#include "agent/discovery/kubernetes/api.h"
#include "agent/discovery/source_context.h"

namespace wglan {

struct NodeSourceOptions {
    ReadAccess access;  // read again after each failure
    std::string annotation_prefix = "wglan.dev";
    std::string node_name;
    std::uint32_t socket_mark = 0;  // SO_MARK of its connections: steering lets them pass
    bool publish_status = true;     // Events and the Node's condition, where there are rights for them
    KubeTimes times;
};

// status().name is "kubernetes". States: connecting until the first answer, synced while a watch is open and
// our record is on our Node, degraded when the API server answers but not as it should, down when it can't be
// reached, or nothing tells how. What was told stays told while it is away. `seed`: of the identity that
// signs.
std::unique_ptr<Source> make_node_source(const SourceContext& context, std::shared_ptr<const Secret> seed,
                                         const NodeSourceOptions& options);

}  // namespace wglan
