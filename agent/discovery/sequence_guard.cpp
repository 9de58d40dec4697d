// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/sequence_guard.h"

#include <algorithm>

#include <fmt/format.h>

namespace wglan {

Result<> SequenceGuard::check(const IdentityKey& node, std::uint64_t sequence, EnvelopeKind kind) const {
    const auto it = seen_.find(node);
    if (it == seen_.end()) return {};
    const Seen& seen = it->second;
    if (sequence < seen.sequence)
        return fail(ErrorKind::conflict,
                    fmt::format("rolled back: sequence {}, but {} was seen", sequence, seen.sequence));
    if (sequence == seen.sequence && seen.withdrawn && kind == EnvelopeKind::put)
        return fail(ErrorKind::conflict, fmt::format("sequence {} was withdrawn by its node", sequence));
    return {};
}

Result<> SequenceGuard::admit(const NodeEntry& entry) {
    const auto kind = entry.envelope.kind();
    if (auto done = check(entry.node, entry.envelope.sequence, kind); !done) return done;
    if (knows(entry)) return {};
    if (!seen_.contains(entry.node)) make_room();
    Seen& seen = seen_[entry.node];
    const auto sequence = std::exchange(seen.sequence, entry.envelope.sequence);
    seen.issued = entry.envelope.issued;
    seen.withdrawn = kind == EnvelopeKind::remove;
    if (seen.withdrawn || sequence != seen.sequence) seen.node.reset();
    seen.entry = seen.withdrawn ? nullptr : std::make_shared<const NodeEntry>(entry);
    return {};
}

Result<> SequenceGuard::admit(const IdentityKey& node, std::uint64_t sequence, UnixTime issued,
                              std::shared_ptr<const std::string> text) {
    if (auto done = check(node, sequence, EnvelopeKind::put); !done) return done;
    if (!seen_.contains(node)) make_room();
    Seen& seen = seen_[node];
    if (sequence > seen.sequence) seen = {sequence, issued, false, nullptr, nullptr};
    if (text) seen.node = std::move(text);
    return {};
}

Result<> SequenceGuard::admit(const Tombstone& tombstone) {
    if (auto done = check(tombstone.identity, tombstone.sequence, EnvelopeKind::remove); !done) return done;
    if (!seen_.contains(tombstone.identity)) make_room();
    seen_[tombstone.identity] = {tombstone.sequence, tombstone.issued, true, nullptr, nullptr};
    return {};
}

bool SequenceGuard::knows(const NodeEntry& entry) const {
    const auto it = seen_.find(entry.node);
    if (it == seen_.end() || !it->second.entry) return false;
    const Envelope &have = it->second.entry->envelope, &come = entry.envelope;
    return have.sequence == come.sequence && have.issued == come.issued &&
           have.ttl_seconds == come.ttl_seconds && have.signature == come.signature &&
           have.member == come.member && have.payload == come.payload;
}

void SequenceGuard::restore(const IdentityKey& node, Seen seen) {
    const auto it = seen_.find(node);
    if (it == seen_.end()) {
        make_room();
        seen_.emplace(node, std::move(seen));
    } else if (it->second.sequence < seen.sequence) {
        it->second = std::move(seen);
    }
}

void SequenceGuard::forget(const IdentityKey& node) {
    const auto it = seen_.find(node);
    if (it == seen_.end()) return;
    it->second.entry.reset();
    it->second.node.reset();
}

std::vector<Tombstone> SequenceGuard::tombstones() const {
    std::vector<Tombstone> out;
    for (const auto& [node, seen] : seen_)
        if (seen.withdrawn) out.push_back({node, seen.sequence, seen.issued});
    std::ranges::sort(out, {}, &Tombstone::identity);
    return out;
}

void SequenceGuard::make_room() {
    if (seen_.size() < kMaxIdentities) return;
    // Drops a sixteenth at once, so that the scan is paid for rarely.
    std::vector<std::pair<UnixTime, IdentityKey>> ages;
    ages.reserve(seen_.size());
    for (const auto& [node, seen] : seen_) ages.emplace_back(seen.issued, node);
    const auto middle = ages.begin() + kMaxIdentities / 16;
    std::nth_element(ages.begin(), middle, ages.end());
    for (auto it = ages.begin(); it != middle; ++it) seen_.erase(it->second);
}

}  // namespace wglan
