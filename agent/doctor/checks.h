// SPDX-License-Identifier: Apache-2.0
// Facts in, findings out. Pure. Each check says at least one line.
#pragma once

#include <vector>

#include "agent/doctor/facts.h"
#include "agent/doctor/finding.h"

namespace wglan {

// `agent` null: none answers.
Findings check_kernel(const HostView& host, const AgentView* agent);
Findings check_permissions(const HostView& host, const AgentView* agent);
Findings check_interface(const HostView& host, const AgentView* agent);
Findings check_hooks(const HostView& host, const AgentView* agent);
Findings check_rp_filter(const HostView& host, const AgentView* agent);
Findings check_forwarding(const HostView& host, const AgentView* agent);
Findings check_mtu(const HostView& host, const AgentView* agent);
Findings check_clock(const HostView& host, const std::vector<ClockOffset>& offsets);

Findings check_agent(const AgentView& agent);
Findings check_sources(const AgentView& agent);
Findings check_peers(const AgentView& agent);

// All of them in the order in which they are shown.
Findings check_all(const HostView& host, const AgentView* agent, const std::vector<ClockOffset>& offsets);

}  // namespace wglan
