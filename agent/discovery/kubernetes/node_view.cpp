// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/kubernetes/node_view.h"

#include <fmt/format.h>

#include "agent/discovery/kubernetes/node_cache.h"

namespace wglan {

NodeView::NodeView(SourceContext context, std::string source, std::string own_name)
    : context_(std::move(context)),
      source_(std::move(source)),
      own_name_(std::move(own_name)),
      refusals_(source_) {}

void NodeView::begin_list() {
    listed_.clear();
    listed_agentless_.clear();
    list_updates_.clear();
    list_records_.clear();
    list_tombstones_.clear();
    list_own_ = {.known = true, .node = std::nullopt};
    refusals_.begin_list();
}

void NodeView::add_listed(const KubeNode& node) {
    if (node.name == own_name_) {
        list_own_.node = node;
        return;
    }
    if (is_withdrawal(node.annotations)) {
        listed_agentless_.insert(node.name);
        if (auto tombstone = judge_withdrawal(node))
            list_tombstones_.push_back(*tombstone);
        else
            refuse(node.name, tombstone.error().message(), list_updates_);
        return;
    }
    auto record = judge(node);
    if (!record) {
        if (record.error().kind() == ErrorKind::not_found)
            listed_agentless_.insert(node.name);
        else
            refuse(node.name, record.error().message(), list_updates_);
        return;
    }
    listed_[node.name] = {record->record.identity, digest_of(node)};
    list_records_.push_back(std::move(*record));
}

void NodeView::add_refused(const RefusedNode& node) {
    refuse(node.name.empty() ? "a Node" : node.name, node.why, list_updates_);
}

std::vector<SourceUpdate> NodeView::end_list(OwnNode& own) {
    auto updates = std::move(list_updates_);
    auto snapshot = update(SourceUpdate::Kind::snapshot);
    snapshot.records = std::move(list_records_);
    snapshot.tombstones = std::move(list_tombstones_);
    refusals_.end_list(updates);
    updates.push_back(std::move(snapshot));
    known_ = std::move(listed_);
    agentless_ = std::move(listed_agentless_);
    own = std::move(list_own_);
    return updates;
}

std::vector<SourceUpdate> NodeView::apply(const KubeEvent& event, OwnNode& own) {
    std::vector<SourceUpdate> updates;
    if (event.kind == KubeEvent::Kind::bookmark || event.kind == KubeEvent::Kind::error) return updates;
    const bool gone = event.kind == KubeEvent::Kind::removed;
    if (!gone && !event.refused.empty()) {
        refuse(event.node.name, event.refused, updates);
        return updates;
    }
    if (event.node.name == own_name_) {
        own = {.known = true, .node = gone ? std::nullopt : std::optional(event.node)};
    } else if (!gone) {
        put(event.node, updates);
        return updates;
    } else {
        agentless_.erase(event.node.name);
        remove(event.node.name, updates);
    }
    refusals_.forgive(event.node.name, updates);
    return updates;
}

// Kubelets write their Nodes every few minutes at least, and hardly ever anything that matters here.
void NodeView::put(const KubeNode& node, std::vector<SourceUpdate>& updates) {
    const auto digest = digest_of(node);
    const auto it = known_.find(node.name);
    if (it != known_.end() && it->second.digest == digest) {
        refusals_.forgive(node.name, updates);
        return;
    }
    if (is_withdrawal(node.annotations)) {
        withdraw(node, updates);
        return;
    }
    auto record = judge(node);
    agentless_.erase(node.name);
    if (!record) {
        // Without annotations no agent speaks for it; spoilt ones are no reason to forget what it said.
        if (record.error().kind() == ErrorKind::not_found) {
            agentless_.insert(node.name);
            refusals_.forgive(node.name, updates);
            remove(node.name, updates);
        } else {
            refuse(node.name, record.error().message(), updates);
        }
        return;
    }
    refusals_.forgive(node.name, updates);
    const auto identity = record->record.identity;
    if (it != known_.end() && it->second.identity != identity) remove(node.name, updates);
    known_[node.name] = {identity, digest};
    auto news = update(SourceUpdate::Kind::put);
    news.identity = identity;
    news.records.push_back(std::move(*record));
    updates.push_back(std::move(news));
}

// One that can't be believed is no reason to forget what the Node said before.
void NodeView::withdraw(const KubeNode& node, std::vector<SourceUpdate>& updates) {
    auto tombstone = judge_withdrawal(node);
    if (!tombstone) {
        refuse(node.name, tombstone.error().message(), updates);
        return;
    }
    refusals_.forgive(node.name, updates);
    const auto it = known_.find(node.name);
    if (it != known_.end() && it->second.identity == tombstone->identity) known_.erase(it);
    agentless_.insert(node.name);
    auto news = update(SourceUpdate::Kind::tombstone);
    news.identity = tombstone->identity;
    news.tombstone = *tombstone;
    updates.push_back(std::move(news));
    remove(node.name, updates);
}

void NodeView::remove(const std::string& name, std::vector<SourceUpdate>& updates) {
    const auto it = known_.find(name);
    if (it == known_.end()) return;
    auto gone = update(SourceUpdate::Kind::gone);
    gone.identity = it->second.identity;
    updates.push_back(std::move(gone));
    known_.erase(it);
}

Result<SourcedRecord> NodeView::judge(const KubeNode& node) const {
    auto record = read_annotations(*context_.keys, node);
    if (!record) return Failure(record.error());
    if (record->identity == context_.sealer->identity())
        return fail(ErrorKind::permission,
                    "it has this node's identity: was its state directory copied from here?");
    if (auto fresh =
            check_freshness(record->issued, context_.clock->unix_now(), context_.clock_synchronised());
        !fresh)
        return Failure(fresh.error());
    auto text = std::make_shared<const std::string>(cached_node(*context_.keys, node));
    if (auto admitted = context_.guard->admit(record->identity, record->sequence, record->issued, text);
        !admitted)
        return Failure(admitted.error());
    SourcedRecord out;
    out.record = std::move(*record);
    out.kind = SourceKind::kubernetes;
    out.source = source_;
    return out;
}

// Its age counts too, unlike that of a service's: whoever may patch Nodes can put an old one back.
Result<Tombstone> NodeView::judge_withdrawal(const KubeNode& node) const {
    auto tombstone = read_withdrawal(*context_.keys, node);
    if (!tombstone) return tombstone;
    if (tombstone->identity == context_.sealer->identity())
        return fail(ErrorKind::permission, "it withdraws this node's identity from another Node");
    if (auto fresh =
            check_freshness(tombstone->issued, context_.clock->unix_now(), context_.clock_synchronised());
        !fresh)
        return Failure(fresh.error());
    if (auto admitted = context_.guard->admit(*tombstone); !admitted) return Failure(admitted.error());
    return tombstone;
}

NodeView::Digest NodeView::digest_of(const KubeNode& node) {
    std::string all = node.uid;
    const auto add = [&all](std::string_view text) { all += fmt::format("\n{}:{}", text.size(), text); };
    for (const Prefix& prefix : node.pod_cidrs) add(prefix.to_string());
    add("addresses");
    for (const IpAddress& address : node.addresses) add(address.to_string());
    for (const auto* map : {&node.labels, &node.annotations}) {
        add("map");
        for (const auto& [key, value] : *map) {
            add(key);
            add(value);
        }
    }
    return sha256(as_bytes(all));
}

void NodeView::refuse(const std::string& peer, const std::string& reason,
                      std::vector<SourceUpdate>& updates) {
    refusals_.tell(peer, reason, context_.clock->now(), updates);
}

SourceUpdate NodeView::update(SourceUpdate::Kind kind) const {
    SourceUpdate out;
    out.kind = kind;
    out.source = source_;
    return out;
}

}  // namespace wglan
