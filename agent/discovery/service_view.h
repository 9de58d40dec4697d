// SPDX-License-Identifier: Apache-2.0
// What one discovery service says, judged: entries in, verified news out. No sockets.
#pragma once

#include <unordered_map>

#include "agent/discovery/refusals.h"
#include "agent/discovery/source_context.h"

namespace wglan {

// What came of our own node: our envelope as the service holds it, or nothing.
struct OwnSight {
    bool known = false;                // false = this input says nothing of us
    std::optional<Envelope> envelope;  // verified; none = the service doesn't hold our record
};

class ServiceView {
public:
    ServiceView(SourceContext context, std::string source)
        : context_(std::move(context)), source_(std::move(source)), refusals_(source_) {}

    // A complete list comes in three parts, so that the caller can let others run between entries.
    void begin_list();
    void add_listed(const NodeEntry& entry);
    // What is refused of the list's entries and what no longer is, then the snapshot.
    std::vector<SourceUpdate> end_list(const NodeList& list, OwnSight& own);

    std::vector<SourceUpdate> apply(const WatchEvent& event, OwnSight& own);

    std::size_t size() const { return known_.size(); }

private:
    struct Known {
        Signature signature{};  // covers all that is signed
        std::optional<IpAddress> observed_address;
        bool operator==(const Known&) const = default;
    };

    bool is_own(const IdentityKey& node) const { return node == context_.sealer->identity(); }
    Result<SourcedRecord> judge(const NodeEntry& entry);
    Result<Tombstone> judge_tombstone(const NodeEntry& entry);
    void see_own(const NodeEntry& entry, OwnSight& own, std::vector<SourceUpdate>& updates);
    void apply_put(const NodeEntry& entry, std::vector<SourceUpdate>& updates);
    void apply_remove(const WatchEvent& event, std::vector<SourceUpdate>& updates);
    void refuse(const std::string& peer, const std::string& reason, std::vector<SourceUpdate>& updates);
    SourceUpdate update(SourceUpdate::Kind kind) const;

    SourceContext context_;
    std::string source_;
    std::unordered_map<IdentityKey, Known> known_;
    // The list being built.
    std::unordered_map<IdentityKey, Known> listed_;
    std::vector<SourceUpdate> list_updates_;
    std::vector<SourcedRecord> list_records_;
    OwnSight list_own_;
    Refusals refusals_;
};

}  // namespace wglan
