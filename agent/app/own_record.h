// SPDX-License-Identifier: Apache-2.0
// What this node publishes about itself. Pure.
#pragma once

#include <string>
#include <vector>

#include "agent/app/facts.h"
#include "agent/model/record.h"
#include "config/config.h"

namespace wglan {

// Sequence and issued are left at 0: they belong to the act of publishing. `listen_port` is the port
// in use (the kernel may have chosen it).
Record build_own_record(const Config& config, const HostFacts& facts, const PublicKey& public_key,
                        const IdentityKey& identity, const IpAddress& overlay, std::uint16_t listen_port);

// What the operator has to mend: forwarding that is off although this node announces what it would have
// to forward, and no uplink at all; empty = nothing.
std::vector<std::string> host_warnings(const Config& config, const Record& own, const HostFacts& facts);

// True if a filter list lets the address be announced: the last matching filter decides; none = no.
bool endpoint_allowed(const std::vector<EndpointFilter>& filters, const IpAddress& address);

}  // namespace wglan
