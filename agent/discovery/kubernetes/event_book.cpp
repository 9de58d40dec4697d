// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/kubernetes/event_book.h"

#include <algorithm>

namespace wglan {

void EventBook::take(const NodeEvent& event, SteadyTime now, UnixTime date) {
    std::erase_if(entries_, [&](const Entry& entry) {
        return entry.seen == entry.told && now - entry.last_seen >= kSame;
    });
    auto it = std::ranges::find_if(entries_, [&](const Entry& entry) {
        return entry.event.reason == event.reason && entry.event.note == event.note;
    });
    if (it == entries_.end()) {
        if (entries_.size() >= kMost) return;
        entries_.emplace_back();
        it = std::prev(entries_.end());
        it->event = event;
        it->first_at = date;
    }
    ++it->seen;
    it->last_seen = now;
    it->last_at = date;
}

// The generic cell rate algorithm, over all of them.
std::optional<SteadyTime> EventBook::due(const Entry& entry) const {
    if (entry.seen == entry.told) return std::nullopt;
    const SteadyTime rate = whole_ - (kAtOnce - 1) * kInterval;
    return entry.told == 0 ? rate : std::max(rate, entry.last_told + kAgain);
}

std::optional<SteadyTime> EventBook::due() const {
    std::optional<SteadyTime> first;
    for (const Entry& entry : entries_)
        if (const auto when = due(entry); when && (!first || *when < *first)) first = when;
    return first;
}

const EventBook::Entry* EventBook::next(SteadyTime now) const {
    for (const Entry& entry : entries_)
        if (const auto when = due(entry); when && *when <= now) return &entry;
    return nullptr;
}

const EventBook::Entry* EventBook::find(const Entry& copy) const {
    for (const Entry& entry : entries_)
        if (entry.event.reason == copy.event.reason && entry.event.note == copy.event.note) return &entry;
    return nullptr;
}

void EventBook::told(const Entry& entry, const std::string& name, unsigned seen, SteadyTime now) {
    Entry& kept = entries_[index_of(entry)];
    kept.name = name;
    whole_ = std::max(whole_, now) + kInterval;
    kept.last_told = now;
    if (name.empty()) {
        // What is seen from here on is counted anew.
        kept.first_at = kept.last_at;
        kept.seen = 1;
        kept.told = 0;
    } else {
        kept.told = seen;
    }
}

void EventBook::drop(const Entry& entry) {
    entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(index_of(entry)));
}

std::size_t EventBook::index_of(const Entry& entry) const {
    return static_cast<std::size_t>(&entry - entries_.data());
}

}  // namespace wglan
