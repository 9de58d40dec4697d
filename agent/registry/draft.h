// SPDX-License-Identifier: Apache-2.0
// Internal to the registry: a peer on its way through the merge.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/registry/registry.h"

namespace wglan {

struct Claim {
    Prefix prefix;
    PrefixClass cls = PrefixClass::extra;
    std::string source;
    bool authoritative = false;  // static or Kubernetes
};

struct Draft {
    Peer peer;
    std::vector<Claim> claims;
    std::vector<IpAddress> observed;  // what services saw as its address
    bool authoritative = false;
};

// Who of several claimants gets one thing; see the rules in registry.h. Not empty.
struct Claimant {
    std::size_t draft = 0;
    PublicKey key;
    bool authoritative = false;
    bool up = false;
};
std::size_t pick_owner(const std::vector<Claimant>& claimants, const std::optional<PublicKey>& incumbent);

// Gives each draft its prefixes and address; the rest becomes refusals. Updates the incumbents.
void settle_prefixes(std::vector<Draft>& drafts, const RegistryPolicy& policy, const OwnClaims& own,
                     const Liveness& liveness, std::map<Prefix, PublicKey>& incumbents, MergeResult& result);

// Orders a draft's candidates and drops duplicates: configured, same network, public, other private;
// then what other members see, then the address that services saw with the announced ports. Gives each its
// base worth.
std::vector<Candidate> order_candidates(const std::vector<Candidate>& found,
                                        const std::vector<IpAddress>& observed,
                                        const std::vector<Endpoint>& seen_by_peers, const OwnClaims& own);

// Where members say that they reach others; those named by most first, four a peer.
SeenByPeers gather_seen(const std::vector<const Record*>& records);

// Refuses candidates that are nobody's place, and those that lead into a tunnel: in the overlay network,
// inside a pod or extra prefix of the peer itself, or one that was assigned; what a peer names itself also
// inside others' pod prefixes. (Those that are around somebody's only place were refused before: what another
// member claims takes that away from nobody.)
void refuse_candidates(std::vector<Draft>& drafts, const Prefix& overlay, const OwnClaims& own,
                       MergeResult& result);

}  // namespace wglan
