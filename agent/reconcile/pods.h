// SPDX-License-Identifier: Apache-2.0
// The plan's part for podDatapath: direct. Pure.
#pragma once

#include "agent/reconcile/plan.h"

namespace wglan {

// wglan_own switches direct mode as a whole: what leaves it begins there, what enters it ends there, so
// that a flow never goes past the stack in one direction only.
void leave_direct(const Desired& desired, const Observed& observed, Plan& plan);
void enter_direct(const Desired& desired, const Observed& observed, Plan& plan);

// Of a device that shall lead to pods.
bool is_pod_attachment(const Desired& desired, const Attachment& attachment);

// True if wglan0's ingress runs the program that the mode wants.
bool tunnel_program_fits(const Desired& desired, const Observed& observed);

}  // namespace wglan
