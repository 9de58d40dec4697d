// SPDX-License-Identifier: Apache-2.0
// What the discovery service knows: clusters, their nodes' envelopes, and what changed lately. Pure:
// no sockets, no clock. In memory; docs/discovery-service.md tells what a restart means.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/base/clock.h"
#include "agent/discovery/wire.h"

namespace wglan::discovery_service {

struct StoreLimits {
    std::size_t clusters = 10000;
    std::size_t nodes = 10000;           // a cluster; as many tombstones besides
    std::size_t history = 4096;          // events a cluster that a watcher may lag behind
    std::size_t total_history = 262144;  // events of all clusters
    std::size_t bytes = 512U << 20;      // all envelopes and events, overhead estimated
    Seconds tombstone_ttl{24 * 3600};
    Seconds idle_cluster_ttl{7 * 24 * 3600};  // how long an empty cluster's member key stays pinned
};

struct PutOutcome {
    enum class Status {
        stored,          // watchers have news
        refreshed,       // the same bytes again: only the expiry moved
        conflict,        // `sequence` is stored, and not older
        bad_signature,   // `message` says which
        unknown_member,  // the cluster has no member key yet and the envelope brings none
        cluster_full,
        service_full,
    };
    Status status = Status::stored;
    std::uint64_t revision = 0;
    std::uint64_t sequence = 0;
    std::string message;
};

using EntryJson = std::shared_ptr<const std::string>;

struct Event {
    std::uint64_t revision = 0;
    WatchEvent::Type type = WatchEvent::Type::put;
    bool expired = false;
    EntryJson entry;  // as node_entry_json; {"node":ID} if expired
};

struct Snapshot {
    std::uint64_t revision = 0;
    std::vector<EntryJson> nodes, tombstones;
};

struct StoreStats {
    std::size_t clusters = 0, nodes = 0, tombstones = 0, bytes = 0;
};

class Store {
public:
    // `epoch`: letters and digits, another at each start.
    Store(StoreLimits limits, std::string epoch) : limits_(limits), epoch_(std::move(epoch)) {}
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    // An envelope with a payload is a put, without one a withdrawal. Freshness was judged before.
    PutOutcome put(const std::string& cluster, const NodeEntry& entry, SteadyTime now);
    // Drops what has expired, tells the clusters that have news. `next_expiry` says when to call.
    std::vector<std::string> expire(SteadyTime now);
    std::optional<SteadyTime> next_expiry() const;

    Snapshot snapshot(const std::string& cluster) const;
    // Up to `most` events after `revision`, oldest first; nullopt where some of them are forgotten.
    std::optional<std::vector<Event>> since(const std::string& cluster, std::uint64_t revision,
                                            std::size_t most) const;

    // One count for all clusters: an empty `since` means nothing happened up to it.
    std::uint64_t revision() const { return revision_; }
    std::string revision_text(std::uint64_t revision) const {
        return epoch_ + "-" + std::to_string(revision);
    }
    // Kinds: invalid (not a revision), not_found (of another epoch, or yet to come).
    Result<std::uint64_t> parse_revision(std::string_view text) const;
    StoreStats stats() const;

private:
    struct Cluster;
    struct ExpiryKey {
        Cluster* cluster = nullptr;
        IdentityKey node;
    };
    using Expiries = std::multimap<SteadyTime, ExpiryKey>;
    using Idle = std::multimap<SteadyTime, Cluster*>;

    struct Node {
        std::uint64_t sequence = 0;
        std::array<std::uint8_t, 32> digest{};  // of the signed bytes
        bool tombstone = false;
        std::optional<IpAddress> observed;
        EntryJson entry;
        Expiries::iterator expiry;
    };
    struct Cluster {
        std::string id;
        MemberKey member;
        std::unordered_map<IdentityKey, Node> nodes;
        std::size_t tombstones = 0;
        std::deque<Event> history;
        std::uint64_t forgotten = 0;  // events up to this revision are no longer in `history`
        std::optional<Idle::iterator> idle;
    };

    Cluster* find(const std::string& id) const;
    Cluster* make_cluster(const std::string& id, const MemberKey& member);
    // Frees history, tombstones or idle clusters where that helps; nullopt = there is room.
    std::optional<PutOutcome::Status> make_room(Cluster* cluster, const NodeEntry& entry, std::size_t size);
    void replace(Cluster& cluster, const NodeEntry& entry, Node node, SteadyTime expiry);
    void refresh(Cluster& cluster, Node& node, const NodeEntry& entry, SteadyTime now);
    SteadyTime expiry_of(const Envelope& envelope, SteadyTime now) const;
    void record(Cluster& cluster, WatchEvent::Type type, bool expired, EntryJson entry);
    void forget_oldest(Cluster& cluster);
    void trim_history();
    void erase(Cluster& cluster, const IdentityKey& node);
    void expire_node(const ExpiryKey& key, SteadyTime now, std::set<std::string>& changed);
    void drop_cluster(Cluster& cluster);

    StoreLimits limits_;
    std::string epoch_;
    std::uint64_t revision_ = 0;
    std::uint64_t dropped_floor_ = 0;  // newest event among the clusters that were dropped
    std::size_t nodes_ = 0, tombstones_ = 0, bytes_ = 0;
    std::unordered_map<std::string, std::unique_ptr<Cluster>> clusters_;
    Expiries expiries_;
    Idle idle_;
    std::deque<std::pair<std::uint64_t, std::string>> order_;  // all events by age: revision, cluster
};

// One line of a watch stream, with its end.
std::string event_line(const Event& event, const std::string& revision);
std::string bookmark_line(const std::string& revision);

}  // namespace wglan::discovery_service
