// SPDX-License-Identifier: Apache-2.0
// A discovery source: tells what it knows of other nodes, and publishes our own record where it can.
// All callbacks come on the event loop, never from inside a call into the source.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/http/http.h"
#include "agent/model/record.h"

namespace wglan {

// Verified news only: signature, seal, freshness and size are checked before.
struct SourceUpdate {
    enum class Kind {
        snapshot,      // `records` is all the source knows (complete)
        put,           // one new or changed record (records[0])
        gone,          // the source no longer names `identity` (expired or dropped): absence only
        tombstone,     // signed withdrawal (tombstone)
        refused,       // something unacceptable came of `refused_peer`: `refused_reason`
        forgiven,      // what was refused of `refused_peer` is no more
        own_sequence,  // our own record was seen with `sequence`: the next one must be above
        own_pods,      // the cluster gave `pod_prefixes` to this node
        api_servers,   // where the cluster's API servers are: `api_servers`
    };
    Kind kind = Kind::snapshot;
    std::string source;  // status().name
    std::vector<SourcedRecord> records;
    IdentityKey identity;
    Tombstone tombstone;
    std::vector<Tombstone> tombstones;  // with a snapshot: those that it carried
    std::string refused_peer, refused_reason;
    std::uint64_t sequence = 0;
    std::vector<Prefix> pod_prefixes;
    std::vector<HostPort> api_servers;
    bool api_servers_complete = false;  // false: there may be others that the source can't tell of yet
};

// What this node says of itself where the cluster's people look.
struct NodeCondition {
    bool ready = false;
    std::string reason;  // one word in CamelCase
    std::string message;
    bool operator==(const NodeCondition&) const = default;
};
struct NodeEvent {
    bool warning = false;
    std::string reason;  // one word in CamelCase
    std::string note;
};

// Our record as it is to be published; the source signs and seals it. The identity seed and the
// cluster keys were given to the source when it was made.
struct OwnRecord {
    Record record;  // sequence and issued set
};

class Source {
public:
    using Callback = std::function<void(SourceUpdate)>;
    virtual ~Source() = default;
    virtual void start(Callback on_update) = 0;
    virtual void stop() = 0;  // no callback after it
    virtual SourceStatus status() const = 0;
    virtual bool publishes() const { return false; }
    // Queues; the source retries for ever until it is stored or a newer one is queued.
    virtual void publish(OwnRecord) {}
    // Shown where the source has a place for it. Cheap where nothing changed.
    virtual void tell_condition(const NodeCondition&) {}
    virtual void tell_event(const NodeEvent&) {}
    // This host's addresses or routes are others: connections from before may be dead without a sign.
    virtual void network_changed() {}
    // True where what we said goes by itself in time, if nobody takes it away.
    virtual bool forgets() const { return true; }
    // Signed withdrawal of our record with this sequence; bounded by `limit`.
    virtual Task<Result<>> withdraw(std::uint64_t sequence, std::chrono::milliseconds limit);
};

}  // namespace wglan
