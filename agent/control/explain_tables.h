// SPDX-License-Identifier: Apache-2.0
// Questions that explain() and explain_from_pod() ask the tables alike.
#pragma once

#include "agent/control/explain.h"

namespace wglan {

const SteerRoute* longest_match(const ExplainState& state, const IpAddress& address);  // nullptr: none
const SteerPeer* peer_of(const ExplainState& state, const SteerRoute& route);          // nullptr: none
// What isn't given the kernel chooses: the route's, else an address of this host.
IpAddress source_of(const ExplainRequest& request, const ExplainState& state);
bool is_reachable(const SteerPeer& peer);
// "multicast", "reserved" ...; nullptr: unicast of more than link scope.
const char* link_scope_of(const IpAddress& address);

}  // namespace wglan
