// SPDX-License-Identifier: Apache-2.0
#include "agent/peers/peer_manager.h"

#include <algorithm>

namespace wglan {
namespace {

constexpr Milliseconds kMostPatience{3000};  // with half-open handshakes, before a new beginning
constexpr Seconds kSilent{5};
constexpr Milliseconds kPathStep{50};
constexpr Milliseconds kCalmStep{250};
constexpr char kReplaced[] = "another key answers at its endpoint";

// At an IPv4 address that it doesn't announce.
bool seen_by_others(const PeerCandidate& candidate) {
    return candidate.endpoint.address.is_v4() &&
           (candidate.source == CandidateSource::peers || candidate.source == CandidateSource::observed);
}

bool behind_nat(const PeerInput& peer) {
    return std::any_of(peer.candidates.begin(), peer.candidates.end(), seen_by_others);
}

const char* why_unknown(const PeerInput& peer) {
    return !peer.candidates.empty() ? "no handshake yet"
           : peer.unresolved        ? "no address of its endpoints is known: waiting for it to call"
                                    : "no endpoint known: waiting for it to call";
}

bool names(const PeerInput& peer, const Endpoint& endpoint) {
    return std::any_of(peer.candidates.begin(), peer.candidates.end(),
                       [&](const PeerCandidate& candidate) { return candidate.endpoint == endpoint; });
}

}  // namespace

PeerManager::PeerManager(Backoff::Random random, PeerTimes times)
    : random_(std::move(random)), times_(times) {}

LivenessTraits PeerManager::traits_of(const PeerInput& input) const {
    return {probing_ && !input.agentless && !input.address.is_unspecified(), input.agentless,
            input.keepalive_s};
}

void PeerManager::set_probing(bool possible) {
    probing_ = possible;
    for (auto& [key, entry] : peers_) {
        entry.life.set_traits(traits_of(entry.input));
        entry.due = {};
    }
}

PeerManager::Entry PeerManager::make_entry(const PeerInput& input, SteadyTime now) {
    Entry entry(input,
                Search(Backoff(times_.search.round_first, times_.search.round_most, random_), times_.search),
                PeerLiveness(traits_of(input), input.was_up, random_(), now));
    entry.search.set_candidates(input.candidates);
    if (!input.was_up) entry.life.set_reason(why_unknown(input));
    if (!input.candidates.empty()) entry.hold_until = hold_of(input, now);
    entry.last_afresh = now;  // the device makes it now
    begin_search(entry, now);
    return entry;
}

void PeerManager::renew(Entry& entry, const PeerInput& input, SteadyTime now) {
    const bool was_up = entry.input.was_up;
    const bool news = entry.input.version != input.version;
    const bool changed = entry.search.set_candidates(input.candidates);
    if (!(entry.input == input)) entry.life.set_traits(traits_of(input));
    if (changed && entry.life.alive())
        for (const PeerCandidate& candidate : input.candidates)
            if (seen_by_others(candidate) && !names(entry.input, candidate.endpoint))
                new_places_.push_back(candidate.endpoint);
    entry.input = input;
    entry.input.was_up = was_up;
    if (!changed && !news) return;
    entry.due = {};
    if (entry.life.alive()) {
        if (changed) entry.life.check_soon();
        if (changed) entry.next_look = {};
        if (changed && entry.stranded && entry.status.endpoint) {
            const auto others = entry.search.others(*entry.status.endpoint);
            entry.stranded = others.empty();
            if (!others.empty()) move(entry, others.front(), "there is no way to the other one", now);
        }
        return;
    }
    if (entry.life.state() == PeerState::unknown) entry.life.set_reason(why_unknown(input));
    begin_search(entry, now);
    entry.wants_afresh = now;
}

void PeerManager::set_peers(const std::vector<PeerInput>& peers, SteadyTime now) {
    std::map<PublicKey, Entry> next;
    for (const PeerInput& input : peers) {
        auto node = peers_.extract(input.key);
        if (node.empty()) {
            next.emplace(input.key, make_entry(input, now));
            continue;
        }
        renew(node.mapped(), input, now);
        next.insert(std::move(node));
    }
    for (const auto& [key, entry] : peers_) add(gone_, entry);
    peers_ = std::move(next);
    if (trying_ && !peers_.contains(*trying_)) trying_.reset();
    searching_ =
        std::any_of(peers_.begin(), peers_.end(), [](const auto& item) { return !item.second.life.alive(); });
    next_tick_ = now;
}

void PeerManager::set_peer(const PeerInput& peer, SteadyTime now) {
    if (const auto it = peers_.find(peer.key); it != peers_.end())
        renew(it->second, peer, now);
    else
        peers_.emplace(peer.key, make_entry(peer, now));
    searching_ = searching_ || !alive(peer.key);
    next_tick_ = now;
}

void PeerManager::begin_search(Entry& entry, SteadyTime now) {
    entry.search.start(entry.status.endpoint, now);
    entry.due = {};
    last_change_ = now;
}

void PeerManager::restart_searches(SteadyTime now, const Reachable& reachable) {
    for (auto& [key, entry] : peers_) {
        entry.due = {};
        entry.search.forget_trials();
        entry.next_look = {};
        if (entry.life.alive()) {
            entry.life.check_now();
            entry.shaken = now;
            entry.moved_in_need = false;
            if (reachable) flee(entry, reachable, now);
            continue;
        }
        begin_search(entry, now);
        entry.wants_afresh = now;
    }
    next_tick_ = now;
}

bool PeerManager::try_at_once(const PublicKey& key, const Endpoint& candidate, SteadyTime now) {
    const auto it = peers_.find(key);
    if (it == peers_.end()) return false;
    Entry& entry = it->second;
    const bool half_open = entry.rx_at && now - *entry.rx_at < times_.search.half_open;
    if (entry.life.alive() || entry.hold_until || !entry.in_device || entry.search.empty() || half_open)
        return false;
    if (!entry.search.go_to(candidate, now)) return false;
    begin_afresh(entry, now);
    entry.hold_until.reset();
    entry.changed = true;
    entry.due = {};
    next_tick_ = now;
    return true;
}

void PeerManager::begin_afresh(Entry& entry, SteadyTime now) {
    entry.wants_afresh.reset();
    entry.last_afresh = now;
    entry.life.session_dropped();
    ++entry.status.new_beginnings;
    if (const auto hold = hold_of(entry.input, now)) entry.hold_until = hold;
    afresh_.push_back(entry.input.key);
    last_change_ = now;
}

// Both initiate at once when news come, and what comes first to a NAT that wasn't opened yet may shut it
// (agent/probe/opening.h). Each opens its own at once; the other needs as long as news take to get around.
std::optional<SteadyTime> PeerManager::hold_of(const PeerInput& input, SteadyTime now) const {
    Milliseconds wait{0};
    if (input.yields) wait += times_.search.yield_time;
    if (behind_nat(input)) wait += times_.search.opening_time;
    return wait > Milliseconds(0) && input.keepalive_s > 0 ? std::optional(now + wait) : std::nullopt;
}

// True if its state or endpoint changed.
bool PeerManager::step(Entry& entry, SteadyTime now, UnixTime unix_now) {
    bool changed = std::exchange(entry.changed, false);
    if (entry.hold_until && now >= *entry.hold_until) {
        entry.hold_until.reset();
        changed = true;
    }
    PeerLiveness& life = entry.life;
    const PeerState before = life.state();
    const bool was_alive = life.alive();
    const auto wanted_before = entry.search.wanted();
    life.judge(now, unix_now, times_.liveness);
    const Seconds missed_keepalive(entry.input.keepalive_s + 5);
    if (life.alive() && entry.input.keepalive_s > 0 && replaced_at_endpoint(entry, now, missed_keepalive))
        life.declare_down(kReplaced, now);
    else if (was_alive && !life.alive() && replaced_at_endpoint(entry, now, kSilent))
        life.set_reason(kReplaced);
    if (life.alive()) {
        if (!was_alive) {
            entry.search.stop();
            ask_who_else_is_at(entry);
        }
        // Where we sent it ourselves it hasn't answered yet.
        const bool proven = life.state() == PeerState::up && !entry.move && !entry.trial;
        if (entry.status.endpoint && proven && (changed || before != life.state()))
            entry.search.worked(*entry.status.endpoint);
        entry.wants_afresh.reset();
    } else if (was_alive) {
        begin_search(entry, now);
        entry.wants_afresh = now;
    } else if (entry.search.advance(now)) {
        entry.wants_afresh = now;
    }
    note_in_vain(entry, now);
    // It was heard, and no session came of that: both began at once, and each waits for the other's 5 s.
    if (entry.heard_at && (life.alive() || now - *entry.heard_at >= times_.search.half_open)) {
        if (!life.alive()) entry.wants_afresh = now;
        entry.heard_at.reset();
    }
    if (entry.wants_afresh && entry.in_device && (!entry.search.empty() || life.ever_up())) {
        const bool rested = !entry.last_afresh || now - *entry.last_afresh >= times_.search.afresh_interval;
        // What it has begun may be about to succeed.
        const bool half_open = !was_alive && entry.rx_at && now - *entry.rx_at < times_.search.half_open &&
                               now - *entry.wants_afresh < kMostPatience;
        if (rested && !half_open) begin_afresh(entry, now);
    }
    if (life.alive())
        tend_path(entry, now);
    else
        leave_path(entry);
    if (life.probe_due(now, times_.liveness)) send_probe(entry, now);
    const auto wanted = entry.search.wanted();
    if (before != life.state()) last_change_ = now;
    return changed || before != life.state() || (wanted && wanted != wanted_before);
}

void PeerManager::note_in_vain(Entry& entry, SteadyTime now) {
    if (entry.life.alive() || entry.search.empty()) {
        entry.looked_for_since.reset();
        entry.in_vain = entry.records_tell = false;
        return;
    }
    if (!entry.looked_for_since) {
        entry.looked_for_since = now;
        entry.rounds_before = entry.search.rounds();
    }
    const bool whole_round = entry.search.rounds() != entry.rounds_before;
    if (!whole_round && now - *entry.looked_for_since < times_.search.in_vain) return;
    entry.in_vain = true;
    // One that was up just now may have died since its agent's last word.
    entry.records_tell =
        !entry.life.ever_up() || now - *entry.looked_for_since >= times_.search.record_lifetime;
    if (entry.life.state() == PeerState::unknown) entry.life.declare_down(no_path(entry).reason, now);
}

std::vector<PublicKey> PeerManager::tick(SteadyTime now, UnixTime unix_now) {
    note_stall(now);
    forget_probes(now);
    std::vector<PublicKey> changed;
    searching_ = suspecting_ = false;
    standing_.reset();
    next_tick_ = SteadyTime::max();
    for (auto& [key, entry] : peers_) {
        if (now >= entry.due) {
            if (step(entry, now, unix_now)) changed.push_back(key);
            // All but probed peers move with the dumps: their times are seconds.
            entry.due = entry.life.next_due(times_.liveness);
            if (entry.due == SteadyTime::max()) entry.due = {};
            if (entry.trial || entry.move || entry.shaken) entry.due = std::min(entry.due, now + kPathStep);
        }
        searching_ = searching_ || !entry.life.alive() || entry.trial.has_value() || entry.move.has_value();
        suspecting_ = suspecting_ || entry.life.suspected();
        if (entry.due != SteadyTime{}) next_tick_ = std::min(next_tick_, entry.due);
        if (entry.hold_until) next_tick_ = std::min(next_tick_, *entry.hold_until);
    }
    standing_.reset();
    // A hundred peers that are up would have it wake for each one's probe: those of a quarter of a second go
    // together, and keep together from then on.
    if (!searching_ && !suspecting_ && next_tick_ != SteadyTime::max())
        next_tick_ = std::max(next_tick_, now + kCalmStep);
    return changed;
}

}  // namespace wglan
