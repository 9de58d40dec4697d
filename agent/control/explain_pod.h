// SPDX-License-Identifier: Apache-2.0
// The part of `explain` that is podDatapath: direct: what wglan_pod_in does with a pod's packet before the
// host's stack sees it (bpf/direct.bpf.c). Pure.
#pragma once

#include "agent/control/explain.h"

namespace wglan {

// Adds its steps. True: it decided; false: the host's stack goes on, or got the packet to begin with.
bool explain_from_pod(const ExplainRequest& request, const ExplainState& state, Explanation& out);

}  // namespace wglan
