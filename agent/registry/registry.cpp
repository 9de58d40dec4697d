// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/registry.h"

#include <algorithm>

#include "agent/registry/draft.h"

namespace wglan {
namespace {

bool authoritative(SourceKind kind) {
    return kind == SourceKind::static_entry || kind == SourceKind::kubernetes;
}

template <class T>
void append_unique(std::vector<T>& list, const T& value) {
    if (std::find(list.begin(), list.end(), value) == list.end()) list.push_back(value);
}

void add_claims(Draft& draft, const SourcedRecord& said) {
    const bool first = authoritative(said.kind);
    const auto claim = [&](const Prefix& prefix, PrefixClass cls) {
        for (Claim& known : draft.claims) {
            if (known.prefix != prefix) continue;
            // The configuration goes before the cluster, whichever is looked at first.
            if (first && (!known.authoritative || said.kind == SourceKind::static_entry))
                known = {prefix, cls, said.source, true};
            return;
        }
        draft.claims.push_back({prefix, cls, said.source, first});
    };
    const Record& record = said.record;
    if (!record.address.is_unspecified()) claim(Prefix::host(record.address), PrefixClass::overlay);
    for (const IpAddress& address : record.node_addresses) claim(Prefix::host(address), PrefixClass::node);
    for (const Prefix& prefix : record.pod_prefixes) claim(prefix, PrefixClass::pod);
    for (const Prefix& prefix : record.prefixes) claim(prefix, PrefixClass::extra);
}

void add_source(Draft& draft, const SourcedRecord& said) {
    Peer& peer = draft.peer;
    const bool is_static = said.kind == SourceKind::static_entry;
    append_unique(peer.sources, said.source);
    const auto source = is_static                             ? CandidateSource::configured
                        : said.kind == SourceKind::cache      ? CandidateSource::cached
                        : said.kind == SourceKind::kubernetes ? CandidateSource::kubernetes
                                                              : CandidateSource::announced;
    for (const HostPort& where : said.record.endpoints)
        append_unique(peer.candidates, Candidate{where, source});
    if (said.observed_address) append_unique(draft.observed, *said.observed_address);
    if (said.keepalive_s) peer.keepalive_s = said.keepalive_s;
    if (!said.preshared_key_file.empty()) peer.preshared_key_file = said.preshared_key_file;
    if (authoritative(said.kind)) draft.authoritative = true;
    if (is_static && peer.identity.is_zero()) peer.agentless = true;
    if (!said.record.identity.is_zero()) {
        peer.identity = said.record.identity;
        peer.agentless = false;
    }
    for (const auto& [name, value] : said.record.labels) peer.labels.emplace(name, value);
    add_claims(draft, said);
}

std::string short_key(const Peer& peer) {
    return peer.identity.is_zero() ? to_string(peer.public_key).substr(0, 8)
                                   : to_string(peer.identity).substr(0, 8);
}

void settle_names(std::vector<Draft>& drafts, const OwnClaims& own, const Liveness& liveness,
                  std::map<std::string, PublicKey>& incumbents, MergeResult& result) {
    std::map<std::string, std::vector<Claimant>> wanted;
    for (std::size_t i = 0; i < drafts.size(); ++i) {
        const Peer& peer = drafts[i].peer;
        wanted[peer.name].push_back(
            {i, peer.public_key, drafts[i].authoritative, liveness(peer.public_key) == PeerState::up});
    }
    std::map<std::string, PublicKey> next;
    for (const auto& [name, claimants] : wanted) {
        const bool ours = name == own.name;
        std::optional<PublicKey> incumbent;
        if (const auto it = incumbents.find(name); it != incumbents.end()) incumbent = it->second;
        const std::size_t winner = ours ? claimants.size() : pick_owner(claimants, incumbent);
        if (!ours) next.emplace(name, claimants[winner].key);
        for (std::size_t i = 0; i < claimants.size(); ++i) {
            if (i == winner) continue;
            Peer& peer = drafts[claimants[i].draft].peer;
            peer.name = name + "~" + short_key(peer);
            result.refused.push_back({peer.name, name,
                                      ours ? "the name of this node"
                                           : "the name is held by key " + to_string(claimants[winner].key)});
        }
    }
    incumbents = std::move(next);
}

Statement statement_of(const Draft& draft) {
    Statement said;
    for (const Claim& claim : draft.claims) said.claims.push_back(claim.prefix);
    for (const Candidate& candidate : draft.peer.candidates) {
        if (const auto endpoint = candidate.where.endpoint())
            said.endpoints.push_back(endpoint->address);
        else
            said.names = true;
    }
    return said;
}

// An address that this node depends on changes what others may have, and how they are steered.
bool depends_on(const OwnClaims& own, const Statement& said) {
    return std::any_of(own.depended_on.begin(), own.depended_on.end(), [&](const IpAddress& address) {
        return std::find(said.endpoints.begin(), said.endpoints.end(), address) != said.endpoints.end() ||
               std::any_of(said.claims.begin(), said.claims.end(),
                           [&](const Prefix& prefix) { return prefix.contains(address); });
    });
}

}  // namespace

Registry::NodeKey Registry::key_of(const Record& record) {
    NodeKey key{};
    const bool has_identity = !record.identity.is_zero();
    key[0] = has_identity ? 1 : 0;
    const auto& bytes = has_identity ? record.identity.bytes : record.public_key.bytes;
    std::copy(bytes.begin(), bytes.end(), key.begin() + 1);
    return key;
}

bool Registry::withdrawn(const Record& record) const {
    const auto it = tombstones_.find(record.identity);
    return it != tombstones_.end() && record.sequence <= it->second.sequence;
}

bool OwnClaims::same_as(const OwnClaims& other) const {
    const auto all = [](const OwnClaims& own) {
        return std::tie(own.name, own.public_key, own.identity, own.address, own.node_addresses, own.gateways,
                        own.prefixes, own.networks, own.depended_on);
    };
    return all(*this) == all(other);
}

void Registry::snapshot(const std::string& source, std::vector<SourcedRecord> records, SteadyTime now) {
    whole_ = true;
    std::set<NodeKey> named;
    for (SourcedRecord& said : records) {
        named.insert(key_of(said.record));
        put(std::move(said), now);
    }
    for (auto& [key, node] : nodes_) {
        if (named.contains(key)) continue;
        const auto it = node.find(source);
        if (it == node.end()) continue;
        // Who takes a peer out of the configuration means it.
        if (it->second.said.kind == SourceKind::static_entry)
            node.erase(it);
        else if (!it->second.absent_since)
            it->second.absent_since = now;
    }
    std::erase_if(nodes_, [](const auto& item) { return item.second.empty(); });
}

void Registry::put(SourcedRecord said, SteadyTime now) {
    if (!said.record.identity.is_zero() && withdrawn(said.record)) return;
    const NodeKey key = key_of(said.record);
    put_.insert(key);
    Node& node = nodes_[key];
    // What the cache says is a memory: it keeps nobody alive.
    std::optional<SteadyTime> absent;
    if (said.kind == SourceKind::cache) absent = now;
    if (said.kind != SourceKind::service && said.kind != SourceKind::kubernetes) whole_ = true;
    const std::string source = said.source;
    const auto it = node.find(source);
    if (it != node.end() && it->second.said.record.sequence > said.record.sequence) return;
    node.insert_or_assign(source, Entry{std::move(said), absent});
}

void Registry::gone(const std::string& source, const IdentityKey& identity, SteadyTime now) {
    whole_ = true;
    Record named;
    named.identity = identity;
    const auto node = nodes_.find(key_of(named));
    if (node == nodes_.end()) return;
    const auto it = node->second.find(source);
    if (it != node->second.end() && !it->second.absent_since) it->second.absent_since = now;
}

void Registry::tombstone(const Tombstone& tombstone) {
    whole_ = true;
    Tombstone& kept = tombstones_[tombstone.identity];
    if (tombstone.sequence < kept.sequence) return;
    kept = tombstone;
    Record named;
    named.identity = tombstone.identity;
    const auto node = nodes_.find(key_of(named));
    if (node == nodes_.end()) return;
    std::erase_if(node->second, [&](const auto& entry) { return withdrawn(entry.second.said.record); });
    if (node->second.empty()) nodes_.erase(node);
}

std::size_t Registry::records_of(const std::string& source) const {
    std::size_t count = 0;
    for (const auto& [key, node] : nodes_) {
        const auto it = node.find(source);
        if (it != node.end() && !it->second.absent_since) ++count;
    }
    return count;
}

// Drops nodes that no source has named for long enough and that aren't up.
void Registry::forget(const Liveness& liveness, SteadyTime now, MergeResult& result) {
    std::erase_if(nodes_, [&](const auto& item) {
        SteadyTime last{};
        for (const auto& [source, entry] : item.second) {
            if (!entry.absent_since) return false;
            last = std::max(last, *entry.absent_since);
        }
        const SteadyTime expiry = last + policy_.forget_after;
        const bool up = std::any_of(item.second.begin(), item.second.end(), [&](const auto& entry) {
            return liveness(entry.second.said.record.public_key) == PeerState::up;
        });
        if (expiry <= now && !up) return true;
        // One that is up is looked at again later: it may die.
        const SteadyTime look = up ? now + Seconds(60) : expiry;
        if (!result.next_expiry || look < *result.next_expiry) result.next_expiry = look;
        return false;
    });
}

const Record& Registry::newest(const Node& node) {
    const Entry* best = nullptr;
    for (const auto& [source, entry] : node)
        if (best == nullptr || entry.said.record.sequence > best->said.record.sequence) best = &entry;
    return best->said.record;
}

void Registry::add_node(Draft& draft, const Node& node) {
    const Record& record = newest(node);
    draft.peer.public_key = record.public_key;
    draft.peer.version = std::max(draft.peer.version, record.sequence);
    if (draft.peer.name.empty() || record.identity.is_zero()) draft.peer.name = record.name;
    for (const auto& [source, entry] : node)
        if (entry.said.kind == SourceKind::service && !entry.absent_since) draft.peer.announced = true;
    // What the cache remembers comes last: a claim is named after who confirms it now.
    for (const bool cached : {false, true})
        for (const auto& [source, entry] : node) {
            if ((entry.said.kind == SourceKind::cache) != cached) continue;
            // An older record at another source adds nothing but its name.
            if (entry.said.record.sequence < record.sequence)
                append_unique(draft.peer.sources, entry.said.source);
            else
                add_source(draft, entry.said);
        }
    std::sort(draft.peer.sources.begin(), draft.peer.sources.end());
}

// One draft a WireGuard key, from the freshest record of each node.
std::vector<Draft> Registry::drafts(const OwnClaims& own, MergeResult& result) {
    std::vector<Draft> drafts;
    std::map<PublicKey, std::size_t> by_key;
    std::map<PublicKey, IdentityKey> key_owners;
    const auto refuse = [&](const Record& record, const std::string& reason) {
        result.refused.push_back({record.name, to_string(record.public_key), reason});
    };
    // Incumbents of a key come first, so that a second identity can't take it.
    std::vector<const Node*> order;
    for (const auto& [key, node] : nodes_) order.push_back(&node);
    std::stable_partition(order.begin(), order.end(), [&](const Node* node) {
        const Record& record = newest(*node);
        const auto it = ownership_.keys.find(record.public_key);
        return it != ownership_.keys.end() && it->second == record.identity;
    });
    for (const Node* node : order) {
        const Record& record = newest(*node);
        if (!record.identity.is_zero() && record.identity == own.identity) continue;  // our own, coming back
        const bool is_static = record.identity.is_zero();
        if (!policy_.automatic_nodes && !is_static) continue;
        if (record.public_key == own.public_key) {
            refuse(record, "the public key of this node");
            continue;
        }
        const auto [owner, first] = key_owners.try_emplace(record.public_key, record.identity);
        if (!first && !is_static && !owner->second.is_zero() && owner->second != record.identity) {
            refuse(record, "the public key belongs to identity " + to_string(owner->second));
            continue;
        }
        if (!is_static) owner->second = record.identity;
        const auto [at, fresh] = by_key.try_emplace(record.public_key, drafts.size());
        if (fresh) drafts.emplace_back();
        add_node(drafts[at->second], *node);
        merged_nodes_[key_of(record)] = record.public_key;
    }
    ownership_.keys = std::move(key_owners);
    std::sort(drafts.begin(), drafts.end(),
              [](const Draft& a, const Draft& b) { return a.peer.public_key < b.peer.public_key; });
    return drafts;
}

void Registry::gather_seen_by_peers(const OwnClaims& own) {
    merged_observed_.clear();
    std::vector<const Record*> records;
    for (const auto& [key, node] : nodes_) {
        const Record& record = newest(node);
        if (record.observed.empty() || record.identity == own.identity) continue;
        records.push_back(&record);
        merged_observed_.emplace(key, record.observed);
    }
    seen_by_peers_ = gather_seen(records);
}

std::vector<std::pair<PublicKey, Endpoint>> Registry::who_sees(const PublicKey& key) const {
    std::vector<std::pair<PublicKey, Endpoint>> all;
    const std::string name = to_string(key);
    for (const auto& [id, node] : nodes_) {
        const Record& record = newest(node);
        const auto seen = record.observed.find(name);
        if (seen != record.observed.end() && record.public_key != key)
            all.emplace_back(record.public_key, seen->second);
    }
    return all;
}

const std::vector<Endpoint>& Registry::seen_by_peers(const PublicKey& key) const {
    static const std::vector<Endpoint> none;
    const auto it = seen_by_peers_.find(key);
    return it == seen_by_peers_.end() ? none : it->second;
}

MergeResult Registry::merge(const OwnClaims& own, const Liveness& liveness, SteadyTime now) {
    MergeResult result;
    forget(liveness, now, result);
    merged_nodes_.clear();
    for (const auto& [key, node] : nodes_) merged_nodes_.emplace(key, PublicKey{});
    std::vector<Draft> all = drafts(own, result);
    settle_names(all, own, liveness, ownership_.names, result);
    settle_prefixes(all, policy_, own, liveness, ownership_.prefixes, result);
    gather_seen_by_peers(own);
    result.seen_of_us = seen_by_peers(own.public_key);
    for (Draft& draft : all)
        draft.peer.candidates = order_candidates(draft.peer.candidates, draft.observed,
                                                 seen_by_peers(draft.peer.public_key), own);
    index_.clear();
    for (const Draft& draft : all) index_.set(draft.peer.public_key, statement_of(draft));
    refuse_candidates(all, policy_.overlay, own, result);
    for (Draft& draft : all) result.peers.push_back(std::move(draft.peer));
    std::sort(result.peers.begin(), result.peers.end(), [](const Peer& a, const Peer& b) {
        return std::tie(a.name, a.public_key) < std::tie(b.name, b.public_key);
    });
    std::sort(result.refused.begin(), result.refused.end());
    result.refused.erase(std::unique(result.refused.begin(), result.refused.end()), result.refused.end());
    merged_own_ = own;
    merged_own_.reached_at = nullptr;
    whole_ = false;
    put_.clear();
    return result;
}

// The node that one put was about, if a merge of it alone may do.
const Registry::Node* Registry::lone_put() const {
    if (whole_ || put_.size() != 1 || !policy_.automatic_nodes) return nullptr;
    const Node& node = nodes_.at(*put_.begin());
    const bool plain = std::all_of(node.begin(), node.end(), [](const auto& entry) {
        return entry.second.said.kind != SourceKind::static_entry;
    });
    // A static entry of the same key would be merged into it.
    Record configured;
    configured.public_key = newest(node).public_key;
    return plain && !nodes_.contains(key_of(configured)) ? &node : nullptr;
}

std::optional<Registry::Touched> Registry::merge_one(const OwnClaims& own, MergeResult& last) {
    const Node* node = lone_put();
    if (node == nullptr || !own.same_as(merged_own_)) return std::nullopt;
    const Record& record = newest(*node);
    const PublicKey& key = record.public_key;
    if (record.identity == own.identity || key == own.public_key || record.name == own.name)
        return std::nullopt;
    // What it sees of others matters to them.
    const auto saw = merged_observed_.find(*put_.begin());
    if (saw == merged_observed_.end() ? !record.observed.empty() : saw->second != record.observed)
        return std::nullopt;
    // The same node as before under the same key and name, or one that nobody has heard of.
    const auto by_name = [](const Peer& peer, const std::string& name) { return peer.name < name; };
    const auto at = std::lower_bound(last.peers.begin(), last.peers.end(), record.name, by_name);
    const bool named = at != last.peers.end() && at->name == record.name;
    const auto merged = merged_nodes_.find(*put_.begin());
    const bool known = merged != merged_nodes_.end();
    if (known != named || (known && (merged->second != key || at->public_key != key))) return std::nullopt;
    if (!known &&
        (index_.has(key) || ownership_.keys.contains(key) || ownership_.names.contains(record.name)))
        return std::nullopt;
    if (known && ownership_.keys.at(key) != record.identity) return std::nullopt;
    // Nor may it be refused something, or have a name that others want: a Node's comes first.
    if (std::any_of(last.refused.begin(), last.refused.end(), [&](const Refusal& refusal) {
            return refusal.peer == record.name || refusal.prefix == record.name;
        }))
        return std::nullopt;

    std::vector<Draft> drafts(1);
    Draft& draft = drafts.front();
    add_node(draft, *node);
    MergeResult result;
    std::map<Prefix, PublicKey> owned;
    const auto unknown = [](const PublicKey&) { return PeerState::unknown; };
    settle_prefixes(drafts, policy_, own, unknown, owned, result);
    draft.peer.candidates = order_candidates(draft.peer.candidates, draft.observed, seen_by_peers(key), own);
    const Statement says = statement_of(draft);
    refuse_candidates(drafts, policy_.overlay, own, result);
    if (!result.refused.empty() || depends_on(own, says)) return std::nullopt;
    if (says.names || !index_.concerns_only(key, says)) return std::nullopt;
    Touched touched{key, std::nullopt};
    if (known) {
        const Statement& said = index_.said(key);
        if (said.names || !index_.concerns_only(key, said)) return std::nullopt;
        for (const Prefix& prefix : said.claims) ownership_.prefixes.erase(prefix);
        touched.before = std::exchange(*at, std::move(draft.peer));
    } else {
        last.peers.insert(at, std::move(draft.peer));
    }
    ownership_.prefixes.merge(owned);
    ownership_.names[record.name] = key;
    ownership_.keys[key] = record.identity;
    index_.set(key, says);
    merged_nodes_[*put_.begin()] = key;
    put_.clear();
    return touched;
}

}  // namespace wglan
