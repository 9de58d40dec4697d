// SPDX-License-Identifier: Apache-2.0
// One peer's part of an observation, so that a change of it alone can be diffed and applied at a cost that
// doesn't grow with the mesh.
#pragma once

#include "agent/reconcile/state.h"

namespace wglan {

// `before` and `after` are desired states built for the one peer, at two times: what the device itself needs
// and what the peer needs. The caller vouches that no other peer needs anything in which they differ.

// Takes out of both tables what they agree on.
void keep_differences(Desired& before, Desired& after);

// What `observed` holds of either.
Observed part_of(const Observed& observed, const Desired& before, const Desired& after);

// Puts `part`, that part after the plan was applied, back into `observed`.
void put_back(Observed& observed, const Desired& before, const Desired& after, Observed part);

}  // namespace wglan
