// SPDX-License-Identifier: Apache-2.0
// Turns settings into what the pure modules take. Pure but for looking up names.
#pragma once

#include "agent/app/facts.h"
#include "agent/app/names.h"
#include "agent/app/state_dir.h"
#include "agent/peers/peer_manager.h"
#include "agent/registry/registry.h"
#include "config/config.h"

namespace wglan {

Prefix overlay_network_of(const Config& config);
PeerTimes times_of(const Config& config);
RegistryPolicy policy_of(const Config& config, const Prefix& overlay_network);
OwnClaims own_claims_of(const Config& config, const HostFacts& facts, const Identity& identity,
                        const IpAddress& overlay);
// Where the discovery services are, as far as their names are known now.
std::vector<IpAddress> service_addresses(const Config& config, NameCache& names);
// EUI-64 of the host's MAC, or the key's hash on a host without one.
IpAddress derive_overlay_address(const Prefix& network, const HostFacts& facts, const PublicKey& key);

}  // namespace wglan
