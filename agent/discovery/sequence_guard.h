// SPDX-License-Identifier: Apache-2.0
// The newest statement seen of each identity, over all sources and (through the cache) restarts: what
// stops a source from showing an older record, or a record that its node has withdrawn.
#pragma once

#include <memory>
#include <unordered_map>

#include "agent/discovery/wire.h"
#include "agent/model/record.h"

namespace wglan {

class SequenceGuard {
public:
    struct Seen {
        std::uint64_t sequence = 0;
        UnixTime issued = 0;
        bool withdrawn = false;  // the newest statement is a tombstone
        // The verified envelope of the newest record, for the cache; null after a withdrawal or forget().
        std::shared_ptr<const NodeEntry> entry;
        // The same as a Kubernetes Node says it (kubernetes/node_cache.h); null where none does.
        std::shared_ptr<const std::string> node = nullptr;
    };
    // Past this many identities the ones issued longest ago are dropped: their records are stale.
    static constexpr std::size_t kMaxIdentities = 32768;

    // A verified statement: remembered if it is the newest. conflict when a newer one was seen, or
    // a record meets a tombstone of its own sequence. The same statement again is fine.
    Result<> admit(const NodeEntry& entry);
    // A verified record without an envelope, as Node annotations hold it; `text` for the cache.
    Result<> admit(const IdentityKey& node, std::uint64_t sequence, UnixTime issued,
                   std::shared_ptr<const std::string> text = nullptr);
    // A verified withdrawal without an envelope.
    Result<> admit(const Tombstone& tombstone);
    // The same judgement without remembering.
    Result<> check(const IdentityKey& node, std::uint64_t sequence, EnvelopeKind kind) const;
    // True if exactly these signed bytes were admitted last: no need to verify them again.
    bool knows(const NodeEntry& entry) const;
    // Puts back what a cache stored; keeps the higher sequence.
    void restore(const IdentityKey& node, Seen seen);
    // Drops what the cache would tell of it (the peer is forgotten), keeps the sequence.
    void forget(const IdentityKey& node);

    const std::unordered_map<IdentityKey, Seen>& all() const { return seen_; }
    std::vector<Tombstone> tombstones() const;

private:
    void make_room();

    std::unordered_map<IdentityKey, Seen> seen_;
};

}  // namespace wglan
