// SPDX-License-Identifier: Apache-2.0
// Merges what the sources say into peers, and decides who owns which name, key, address and prefix.
// Pure: time and liveness are arguments; the same calls give the same answers.
//
// Rules of ownership (INTERFACES.md, "Who owns what"):
//  1. Static and Kubernetes assignments come first.
//  2. Otherwise the incumbent keeps a claim while it is up; a challenger gets it once the incumbent
//     isn't up and the challenger's own handshake has succeeded.
//  3. Without an incumbent: who is up, then the lower public key.
//  4. A private node address with two live claimants goes to neither.
//  5. Nothing inside a pod or extra prefix of somebody else or an on-link network of this node, nothing
//     of this node's own, no pod prefix around somebody's endpoint, no default route (nor what is as
//     wide as one) without leave, nothing outside acceptPrefixes but a peer's own addresses.
// Absence alone never removes a peer that is up, and no other before `forget_after`.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/clock.h"
#include "agent/model/peer.h"
#include "agent/registry/index.h"

namespace wglan {

struct RegistryPolicy {
    Prefix overlay;                                      // overlay addresses must lie in it
    bool automatic_nodes = true;                         // false: static peers alone
    bool pod_networking = true;                          // false: pod prefixes are ignored
    std::optional<std::vector<Prefix>> accept_prefixes;  // nullopt = any
    std::set<std::string> accept_default_route_from;
    Seconds forget_after{1800};
};

// This node, whose things nobody else may take.
struct OwnClaims {
    std::string name;
    PublicKey public_key;
    IdentityKey identity;
    IpAddress address;                      // overlay
    std::vector<IpAddress> node_addresses;  // all addresses of this host
    std::vector<IpAddress> gateways;        // next hops of its default routes
    std::vector<Prefix> prefixes;           // own pod and extra prefixes
    std::vector<Prefix> networks;           // on-link networks of its uplinks
    // Addresses that this node itself depends on, such as its discovery services': a peer gets one only
    // if it is reached exactly there.
    std::vector<IpAddress> depended_on;
    std::function<std::optional<IpAddress>(const PublicKey&)> reached_at;  // null = nobody is

    // All but `reached_at`.
    bool same_as(const OwnClaims& other) const;
};

// The peer itself says that it is there.
bool named_by_itself(CandidateSource source);
// A packet to it may come to one peer: not to nobody, to many, or to a link that isn't named.
bool usable_place(const IpAddress& address);

// Endpoints of peers as other members see them.
using SeenByPeers = std::map<PublicKey, std::vector<Endpoint>>;

// How a key is doing, from the peer manager.
using Liveness = std::function<PeerState(const PublicKey&)>;

struct MergeResult {
    std::vector<Peer> peers;                // sorted by name
    std::vector<Refusal> refused;           // sorted
    std::vector<Endpoint> seen_of_us;       // where other members say that they reach this node
    bool own_address_taken = false;         // a lower key holds our overlay address: derive another
    std::optional<SteadyTime> next_expiry;  // when a merge would forget somebody
};

// Incumbents, kept over restarts by the cache.
struct Ownership {
    std::map<Prefix, PublicKey> prefixes;
    std::map<std::string, PublicKey> names;
    std::map<PublicKey, IdentityKey> keys;  // which identity a WireGuard key belongs to
    bool operator==(const Ownership&) const = default;
};

class Registry {
public:
    explicit Registry(RegistryPolicy policy) : policy_(std::move(policy)) {}
    void set_policy(RegistryPolicy policy) {
        policy_ = std::move(policy);
        whole_ = true;
    }

    // `records` is all that the source knows; those it named before and no longer does are absent.
    void snapshot(const std::string& source, std::vector<SourcedRecord> records, SteadyTime now);
    void put(SourcedRecord record, SteadyTime now);
    void gone(const std::string& source, const IdentityKey& identity, SteadyTime now);
    // Removes at once what it withdraws; remembered, so that older records stay out.
    void tombstone(const Tombstone& tombstone);

    MergeResult merge(const OwnClaims& own, const Liveness& liveness, SteadyTime now);
    // A merge at a cost that doesn't grow with the mesh, for the commonest news: since the last one nothing
    // came but one `put`, `own` and everybody's liveness are the same, and what the record says, and said
    // before, can matter to nobody else. Brings `last`, that merge's result, up to date; nullopt (and `last`
    // untouched) where only merge() can tell.
    struct Touched {
        PublicKey key;
        std::optional<Peer> before;  // nullopt = the peer is new
    };
    std::optional<Touched> merge_one(const OwnClaims& own, MergeResult& last);

    // Which members' records say that they see this key, and where.
    std::vector<std::pair<PublicKey, Endpoint>> who_sees(const PublicKey& key) const;

    const Ownership& ownership() const { return ownership_; }
    void restore(Ownership ownership) {
        ownership_ = std::move(ownership);
        whole_ = true;
    }
    std::size_t records_of(const std::string& source) const;

private:
    struct Entry {
        SourcedRecord said;
        std::optional<SteadyTime> absent_since;  // the source no longer names it
    };
    using NodeKey = std::array<std::uint8_t, 33>;
    using Node = std::map<std::string, Entry>;  // by source

    static NodeKey key_of(const Record& record);  // its identity, or a static peer's public key
    static const Record& newest(const Node& node);
    static void add_node(struct Draft& draft, const Node& node);
    const Node* lone_put() const;
    bool withdrawn(const Record& record) const;
    void gather_seen_by_peers(const OwnClaims& own);
    const std::vector<Endpoint>& seen_by_peers(const PublicKey& key) const;
    void forget(const Liveness& liveness, SteadyTime now, MergeResult& result);
    std::vector<struct Draft> drafts(const OwnClaims& own, MergeResult& result);

    RegistryPolicy policy_;
    std::map<NodeKey, Node> nodes_;
    std::map<IdentityKey, Tombstone> tombstones_;
    Ownership ownership_;

    // What merge_one builds on: the last merge's inputs, and what came since.
    ClaimIndex index_;
    OwnClaims merged_own_;
    std::map<NodeKey, PublicKey> merged_nodes_;  // zero = it was left out
    SeenByPeers seen_by_peers_;
    std::map<NodeKey, std::map<std::string, Endpoint>> merged_observed_;  // of nodes that see something
    bool whole_ = true;                                                   // something but puts came
    std::set<NodeKey> put_;
};

}  // namespace wglan
