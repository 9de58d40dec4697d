// SPDX-License-Identifier: Apache-2.0
// What the API says of Nodes, judged: verified news out. No sockets.
#pragma once

#include <array>
#include <map>
#include <set>

#include "agent/discovery/kubernetes/node_annotations.h"
#include "agent/discovery/refusals.h"
#include "agent/discovery/source_context.h"

namespace wglan {

// What came of our own Node.
struct OwnNode {
    bool known = false;            // false = this input says nothing of us
    std::optional<KubeNode> node;  // none = there is no such Node
};

class NodeView {
public:
    // `own_name`: of our Node.
    NodeView(SourceContext context, std::string source, std::string own_name);

    // A complete list comes page by page.
    void begin_list();
    void add_listed(const KubeNode& node);
    void add_refused(const RefusedNode& node);
    // What is refused of the list's Nodes and what no longer is, then the snapshot.
    std::vector<SourceUpdate> end_list(OwnNode& own);

    std::vector<SourceUpdate> apply(const KubeEvent& event, OwnNode& own);

    std::size_t size() const { return known_.size(); }
    // Names of Nodes without our annotations, or with a withdrawal.
    const std::set<std::string>& agentless() const { return agentless_; }

private:
    using Digest = std::array<std::uint8_t, 32>;
    struct Known {
        IdentityKey identity;
        Digest digest{};  // of all that a record is read from
    };
    using KnownNodes = std::map<std::string, Known>;  // by Node name

    static Digest digest_of(const KubeNode& node);
    Result<SourcedRecord> judge(const KubeNode& node) const;
    Result<Tombstone> judge_withdrawal(const KubeNode& node) const;
    void put(const KubeNode& node, std::vector<SourceUpdate>& updates);
    void withdraw(const KubeNode& node, std::vector<SourceUpdate>& updates);
    void remove(const std::string& name, std::vector<SourceUpdate>& updates);
    void refuse(const std::string& peer, const std::string& reason, std::vector<SourceUpdate>& updates);
    SourceUpdate update(SourceUpdate::Kind kind) const;

    SourceContext context_;
    std::string source_, own_name_;
    KnownNodes known_;
    std::set<std::string> agentless_;
    Refusals refusals_;
    // The list being built.
    KnownNodes listed_;
    std::set<std::string> listed_agentless_;
    std::vector<SourceUpdate> list_updates_;
    std::vector<SourcedRecord> list_records_;
    std::vector<Tombstone> list_tombstones_;
    OwnNode list_own_;
};

}  // namespace wglan
