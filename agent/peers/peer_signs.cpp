// SPDX-License-Identifier: Apache-2.0
// What PeerManager hears: dumps of the device, echoes of its probes, and how long it heard nothing at all.
#include <algorithm>

#include "agent/peers/peer_manager.h"

namespace wglan {
namespace {

constexpr Milliseconds kProbeLost{3000};  // unanswered so long counts as lost
constexpr Milliseconds kProbeForgotten{10000};
// The caller looks several times in this time; if it hasn't, it stood still.
constexpr Milliseconds kStallProbed{6000};
constexpr Milliseconds kStallOthers{15000};

}  // namespace

// The device's counters start anew with a peer that is made anew; those told to people don't.
void PeerManager::take_stats(Entry& entry, const WgObservedPeer& seen, SteadyTime now) {
    PeerStatus& status = entry.status;
    if (seen.stats.rx_bytes < entry.rx_seen) entry.rx_before += entry.rx_seen;
    if (seen.stats.tx_bytes < entry.tx_seen) entry.tx_before += entry.tx_seen;
    if (seen.stats.rx_bytes != entry.rx_seen && seen.stats.rx_bytes > 0) {
        entry.rx_at = now;
        if (!entry.life.alive() && !entry.heard_at) entry.heard_at = now;
    }
    entry.rx_seen = seen.stats.rx_bytes;
    entry.tx_seen = seen.stats.tx_bytes;
    status.rx_bytes = entry.rx_before + entry.rx_seen;
    status.tx_bytes = entry.tx_before + entry.tx_seen;
    if (seen.stats.last_handshake != 0) status.last_handshake = seen.stats.last_handshake;
    const auto since = std::chrono::duration_cast<Milliseconds>(now - entry.dumped);
    if (since < Milliseconds(200)) return;
    const std::uint64_t bytes = status.rx_bytes + status.tx_bytes - entry.bytes_then;
    entry.bytes_a_second = bytes * 1000 / static_cast<std::uint64_t>(since.count());
    entry.bytes_then = status.rx_bytes + status.tx_bytes;
    entry.dumped = now;
}

void PeerManager::observe(const WgObservedPeer& seen, SteadyTime now, UnixTime unix_now) {
    const auto it = peers_.find(seen.peer.key);
    if (it == peers_.end()) return;
    Entry& entry = it->second;
    PeerStatus& status = entry.status;
    // A predecessor's peer initiates already.
    if (seen.peer.keepalive_s > 0 || seen.stats.last_handshake != 0) entry.hold_until.reset();
    if (seen.peer.endpoint && entry.shown != seen.peer.endpoint) {
        if (entry.shown) {
            ++status.endpoint_changes;
            endpoint_changes_.push_back(
                {seen.peer.key, *entry.shown, *seen.peer.endpoint, why_at(entry, *seen.peer.endpoint)});
        }
        entry.settled = now;
        entry.next_look = {};
        entry.stranded = false;
        entry.shown = seen.peer.endpoint;
        entry.changed = true;
    }
    status.endpoint = seen.peer.endpoint;
    if (entry.trial && entry.trial->over) entry.trial->seen = true;
    entry.in_device = seen.peer.endpoint || seen.peer.keepalive_s > 0 || seen.stats.tx_bytes > 0 ||
                      !seen.peer.allowed_ips.empty();
    take_stats(entry, seen, now);
    entry.life.observe(seen.stats, now, unix_now, times_.liveness);
    entry.due = {};
}

// Another key answers at one of this peer's endpoints with a newer handshake, and this one has been
// silent for so long: the host there has a new key.
bool PeerManager::replaced_at_endpoint(const Entry& entry, SteadyTime now, Seconds silence) {
    if (!entry.status.endpoint || now - entry.life.last_rx() < silence) return false;
    const auto newer_at = [&](const Endpoint& where) {
        const auto& there = standing_at(where);
        return std::any_of(there.begin(), there.end(), [&](const Entry* other) {
            return other != &entry && other->status.endpoint == where &&
                   other->status.last_handshake > entry.status.last_handshake &&
                   other->life.last_rx() > entry.life.last_rx();
        });
    };
    const auto& own = entry.input.candidates;
    return newer_at(*entry.status.endpoint) ||
           std::any_of(own.begin(), own.end(), [&](const PeerCandidate& c) { return newer_at(c.endpoint); });
}

// Of thousands of peers that fall silent together each is asked about: to look through all for each took half
// a second.
const std::vector<PeerManager::Entry*>& PeerManager::standing_at(const Endpoint& where) {
    static const std::vector<Entry*> kNone;
    if (!standing_) {
        standing_.emplace();
        for (auto& [key, entry] : peers_)
            if (entry.status.endpoint) (*standing_)[*entry.status.endpoint].push_back(&entry);
    }
    const auto it = standing_->find(where);
    return it == standing_->end() ? kNone : it->second;
}

// Who was suspended, or stopped, has not seen what came meanwhile.
void PeerManager::note_stall(SteadyTime now) {
    const auto gap = last_tick_ ? now - *last_tick_ : SteadyTime::duration{};
    last_tick_ = now;
    if (gap <= std::min(kStallProbed, kStallOthers)) return;
    for (auto& [key, entry] : peers_) {
        if (gap <= (traits_of(entry.input).probed ? kStallProbed : kStallOthers)) continue;
        entry.life.stood_still(gap, now, times_.liveness);
        entry.due = {};
    }
}

void PeerManager::send_probe(Entry& entry, SteadyTime now) {
    const std::uint64_t number = first_sent_ + sent_.size();
    sent_.push_back({entry.input.key, entry.status.endpoint, now, false});
    probes_.push_back({entry.input.key, entry.input.address, number, entry.life.suspected()});
    entry.life.probe_sent(now);
}

void PeerManager::forget_probes(SteadyTime now) {
    for (Sent& sent : sent_) {
        if (now - sent.at < kProbeLost) break;
        if (std::exchange(sent.counted, true)) continue;
        const auto it = peers_.find(sent.key);
        if (it == peers_.end()) continue;
        it->second.status.path.missed();
        if (sent.endpoint) it->second.search.history(*sent.endpoint).path.missed();
    }
    while (!sent_.empty() && now - sent_.front().at >= kProbeForgotten) {
        sent_.pop_front();
        ++first_sent_;
    }
}

void PeerManager::echoed(std::uint64_t number, SteadyTime now) {
    if (number < first_sent_ || number - first_sent_ >= sent_.size()) return;
    Sent& sent = sent_[static_cast<std::size_t>(number - first_sent_)];
    const auto it = peers_.find(sent.key);
    if (it == peers_.end() || sent.at > now) return;
    Entry& entry = it->second;
    if (!std::exchange(sent.counted, true)) {
        entry.status.path.answered(now - sent.at);
        if (sent.endpoint) entry.search.history(*sent.endpoint).path.answered(now - sent.at);
    }
    entry.life.echoed(now);
    // An echo of what was sent before the change says nothing of the ways there are now.
    if (entry.shaken && sent.at >= *entry.shaken) entry.shaken.reset();
    entry.due = {};
    if (entry.life.state() != PeerState::up) next_tick_ = now;
}

}  // namespace wglan
