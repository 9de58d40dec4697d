// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/service_view.h"

#include <utility>

namespace wglan {
void ServiceView::begin_list() {
    listed_.clear();
    list_updates_.clear();
    list_records_.clear();
    list_own_ = {.known = true, .envelope = std::nullopt};
    refusals_.begin_list();
}

void ServiceView::add_listed(const NodeEntry& entry) {
    if (is_own(entry.node)) {
        see_own(entry, list_own_, list_updates_);
        return;
    }
    if (listed_.contains(entry.node)) {
        refuse(to_string(entry.node), "listed twice", list_updates_);
        return;
    }
    auto record = judge(entry);
    if (!record) {
        refuse(to_string(entry.node), record.error().message(), list_updates_);
        return;
    }
    listed_[entry.node] = {entry.envelope.signature, entry.observed_address};
    list_records_.push_back(std::move(*record));
}

std::vector<SourceUpdate> ServiceView::end_list(const NodeList& list, OwnSight& own) {
    auto updates = std::move(list_updates_);
    for (const auto& reason : list.bad) refuse("an entry", reason, updates);
    auto snapshot = update(SourceUpdate::Kind::snapshot);
    for (const auto& entry : list.tombstones) {
        if (is_own(entry.node)) {
            if (!list_own_.envelope) see_own(entry, list_own_, updates);
            continue;
        }
        if (auto tombstone = judge_tombstone(entry))
            snapshot.tombstones.push_back(*tombstone);
        else
            refuse(to_string(entry.node), tombstone.error().message(), updates);
    }
    snapshot.records = std::move(list_records_);
    refusals_.end_list(updates);
    updates.push_back(std::move(snapshot));
    known_ = std::move(listed_);
    own = std::move(list_own_);
    return updates;
}

std::vector<SourceUpdate> ServiceView::apply(const WatchEvent& event, OwnSight& own) {
    std::vector<SourceUpdate> updates;
    if (event.type == WatchEvent::Type::bookmark) return updates;
    if (is_own(event.entry.node)) {
        if (event.expired)
            own = {.known = true, .envelope = std::nullopt};
        else
            see_own(event.entry, own, updates);
    } else if (event.type == WatchEvent::Type::put) {
        apply_put(event.entry, updates);
    } else {
        apply_remove(event, updates);
    }
    return updates;
}

void ServiceView::apply_put(const NodeEntry& entry, std::vector<SourceUpdate>& updates) {
    const Known known{entry.envelope.signature, entry.observed_address};
    const auto it = known_.find(entry.node);
    if (it != known_.end() && it->second == known && context_.guard->knows(entry)) {
        refusals_.forgive(to_string(entry.node), updates);
        return;
    }
    auto record = judge(entry);
    if (!record) {
        refuse(to_string(entry.node), record.error().message(), updates);
        return;
    }
    refusals_.forgive(to_string(entry.node), updates);
    known_[entry.node] = known;
    auto put = update(SourceUpdate::Kind::put);
    put.identity = entry.node;
    put.records.push_back(std::move(*record));
    updates.push_back(std::move(put));
}

void ServiceView::apply_remove(const WatchEvent& event, std::vector<SourceUpdate>& updates) {
    const auto& node = event.entry.node;
    if (event.expired) {
        refusals_.forgive(to_string(node), updates);
        if (known_.erase(node) == 0) return;
        auto gone = update(SourceUpdate::Kind::gone);
        gone.identity = node;
        updates.push_back(std::move(gone));
        return;
    }
    auto tombstone = judge_tombstone(event.entry);
    if (!tombstone) {
        refuse(to_string(node), tombstone.error().message(), updates);
        return;
    }
    refusals_.forgive(to_string(node), updates);
    known_.erase(node);
    auto news = update(SourceUpdate::Kind::tombstone);
    news.identity = node;
    news.tombstone = *tombstone;
    updates.push_back(std::move(news));
}

Result<SourcedRecord> ServiceView::judge(const NodeEntry& entry) {
    const auto& envelope = entry.envelope;
    auto& guard = *context_.guard;
    if (auto fresh =
            check_freshness(envelope.issued, context_.clock->unix_now(), context_.clock_synchronised());
        !fresh)
        return Failure(fresh.error());
    if (auto newest = guard.check(entry.node, envelope.sequence, EnvelopeKind::put); !newest)
        return Failure(newest.error());
    auto record = guard.knows(entry) ? open_verified_envelope(*context_.keys, entry.node, envelope)
                                     : open_envelope(*context_.keys, entry.node, envelope);
    if (!record) return Failure(record.error());
    if (auto admitted = guard.admit(entry); !admitted) return Failure(admitted.error());
    SourcedRecord out;
    out.record = std::move(*record);
    out.kind = SourceKind::service;
    out.source = source_;
    out.observed_address = entry.observed_address;
    return out;
}

Result<Tombstone> ServiceView::judge_tombstone(const NodeEntry& entry) {
    // An old tombstone is as final as a new one: its age isn't judged, only its place in the sequence.
    if (auto newest = context_.guard->check(entry.node, entry.envelope.sequence, EnvelopeKind::remove);
        !newest)
        return Failure(newest.error());
    auto tombstone = open_tombstone(*context_.keys, entry.node, entry.envelope);
    if (!tombstone) return tombstone;
    if (auto admitted = context_.guard->admit(entry); !admitted) return Failure(admitted.error());
    return tombstone;
}

void ServiceView::see_own(const NodeEntry& entry, OwnSight& own, std::vector<SourceUpdate>& updates) {
    auto verified =
        verify_envelope(context_.keys->cluster(), entry.node, entry.envelope, context_.keys->member_key());
    if (!verified) {
        refuse(to_string(entry.node), "our own record: " + verified.error().message(), updates);
        return;
    }
    refusals_.forgive(to_string(entry.node), updates);
    own = {.known = true, .envelope = entry.envelope};
}

void ServiceView::refuse(const std::string& peer, const std::string& reason,
                         std::vector<SourceUpdate>& updates) {
    refusals_.tell(peer, reason, context_.clock->now(), updates);
}

SourceUpdate ServiceView::update(SourceUpdate::Kind kind) const {
    SourceUpdate out;
    out.kind = kind;
    out.source = source_;
    return out;
}

}  // namespace wglan
