// SPDX-License-Identifier: Apache-2.0
// The paths of peers that are alive: others are looked for when the one in use may be lost, and better ones
// are tried beside it. The session stays what it is: of what is sent to several places the peer takes what
// comes first, and replies to where it came from.
#include <algorithm>

#include "agent/peers/peer_manager.h"

namespace wglan {
namespace {

constexpr Milliseconds kFirstEcho{200};  // after a change, before the other candidates are asked too
constexpr Milliseconds kShaken{3000};    // then it is for the liveness to say
constexpr Milliseconds kOwnFamily{500};  // in doubt, before the other one is tried
constexpr Milliseconds kTrialEcho{150};  // and three round trips: who trades answers for a trial ends it
constexpr int kRoundTrips = 3;
constexpr std::uint64_t kCalm = 10'000'000;  // bytes a second: above that nothing is sent twice
constexpr std::uint64_t kQuiet = 2'000;      // ... above that somebody would miss what a move loses

constexpr char kBetter[] = "a better path", kNoBetter[] = "no better path after all";
constexpr char kNoWay[] = "there is no way to the other one";

bool same_family(const Endpoint& a, const Endpoint& b) { return a.address.is_v4() == b.address.is_v4(); }

}  // namespace

std::optional<PathCopies> PeerManager::copies(const PublicKey& key) const {
    const auto it = peers_.find(key);
    return it == peers_.end() ? std::nullopt : it->second.copies;
}

void PeerManager::told_deaf(const IpAddress& address, SteadyTime now) {
    for (auto& [key, entry] : peers_) {
        if (entry.input.address != address) continue;
        entry.life.told_deaf(now);
        entry.due = {};
        next_tick_ = now;
    }
}

const char* PeerManager::why_at(const Entry& entry, const Endpoint& endpoint) {
    if (entry.trial && entry.trial->candidate == endpoint) return kBetter;
    if (entry.trial && entry.trial->used == endpoint) return kNoBetter;
    if (entry.move && entry.move->to == endpoint) return entry.move->why;
    return entry.search.wanted() == endpoint ? "the next candidate" : "its packets come from there";
}

void PeerManager::set_copies(Entry& entry, std::optional<PathCopies> copies) {
    if (copies && copies->others.empty()) copies.reset();
    if (entry.copies == copies) return;
    entry.copies = std::move(copies);
    copy_changes_.push_back(entry.input.key);
}

void PeerManager::move(Entry& entry, const Endpoint& to, const char* why, SteadyTime now) {
    entry.move = {to, why, now};
    entry.changed = true;
    entry.due = {};
    next_tick_ = std::min(next_tick_, now);
    last_change_ = now;
}

// Nothing can be sent to where it is: not even a doubt.
void PeerManager::flee(Entry& entry, const Reachable& reachable, SteadyTime now) {
    entry.stranded = false;
    if (!entry.status.endpoint || entry.input.agentless || reachable(entry.status.endpoint->address)) return;
    entry.stranded = true;
    for (const Endpoint& other : entry.search.others(*entry.status.endpoint)) {
        if (!reachable(other.address)) continue;
        entry.stranded = false;
        move(entry, other, kNoWay, now);
        return;
    }
}

void PeerManager::leave_path(Entry& entry) {
    if (entry.trial && trying_ == entry.input.key) trying_.reset();
    entry.trial.reset();
    entry.move.reset();
    entry.shaken.reset();
    entry.moved_in_need = entry.stranded = false;
    set_copies(entry, std::nullopt);
}

// A host has one WireGuard port: who was at the place of a peer that just came up may have a new key.
void PeerManager::ask_who_else_is_at(const Entry& entry) {
    if (!entry.status.endpoint) return;
    for (Entry* other : standing_at(*entry.status.endpoint)) {
        if (other == &entry || other->status.endpoint != entry.status.endpoint || !other->life.alive())
            continue;
        other->life.check_now();
        other->due = {};
    }
}

void PeerManager::tend_path(Entry& entry, SteadyTime now) {
    if (!entry.status.endpoint) return leave_path(entry);
    if (entry.move && !entry.trial) {
        const bool there = entry.status.endpoint == entry.move->to;
        if (there || now - entry.move->since >= times_.trial.move_most) {
            entry.move.reset();
            entry.changed = entry.changed || there;
            entry.life.check_now();
        }
    }
    if (!traits_of(entry.input).probed) return;
    if (entry.shaken && now - *entry.shaken >= kShaken) entry.shaken.reset();
    const bool lost = entry.life.state() == PeerState::degraded;
    if (lost || (entry.shaken && now - *entry.shaken >= kFirstEcho)) {
        look_elsewhere(entry, now);
        return;
    }
    entry.moved_in_need = entry.moved_in_need && entry.life.waiting();
    if (entry.trial)
        go_on_with_trial(entry, now);
    else
        look_for_better(entry, now);
}

// The path in use may be lost: its probes go to all other candidates of the family, then the endpoint to one
// of the other family.
void PeerManager::look_elsewhere(Entry& entry, SteadyTime now) {
    if (entry.trial) end_trial(entry, false, now);
    const Endpoint used = *entry.status.endpoint;
    const std::vector<Endpoint> others = entry.search.others(used);
    PathCopies wanted{used, {}, false};
    for (const Endpoint& other : others)
        if (same_family(other, used) && wanted.others.size() < kMaxCloneTargets)
            wanted.others.push_back(other);
    const bool alone = wanted.others.empty();
    const bool fresh = !entry.copies || entry.copies->data;
    set_copies(entry, std::move(wanted));
    if (fresh && !alone) {
        entry.doubted = now;
        entry.life.hurry();
    }
    if (entry.shaken) entry.life.hurry();
    if (entry.life.probe_due(now, times_.liveness)) silent_.push_back(entry.input.key);
    if (entry.moved_in_need || entry.move || (!alone && now - entry.doubted < kOwnFamily)) return;
    const auto other = std::find_if(others.begin(), others.end(),
                                    [&](const Endpoint& one) { return !same_family(one, used); });
    if (other == others.end() || entry.life.state() != PeerState::degraded) return;
    entry.moved_in_need = true;
    move(entry, *other, "no answer at the other one", now);
}

void PeerManager::look_for_better(Entry& entry, SteadyTime now) {
    set_copies(entry, std::nullopt);
    if (entry.life.state() != PeerState::up || entry.life.suspected() || entry.move ||
        now < entry.next_look || now - entry.settled < times_.trial.settle || !entry.life.last_echo() ||
        entry.shaken)
        return;
    const Endpoint used = *entry.status.endpoint;
    auto found = entry.search.better_than(used, true, now, times_.trial);
    const bool moves = !found;
    // What is lost while the endpoint itself is tried must be missed by nobody.
    if (moves && entry.bytes_a_second <= kQuiet)
        found = entry.search.better_than(used, false, now, times_.trial);
    if (!found || entry.bytes_a_second > kCalm) {
        entry.next_look = now + times_.trial.look;
        return;
    }
    if (trying_) return;
    trying_ = entry.input.key;
    entry.trial = {used, *found, moves, now, SteadyTime::max(), now, false};
    last_change_ = now;
    if (moves)
        move(entry, *found, kBetter, now);
    else
        set_copies(entry, PathCopies{used, {*found}, true});
    go_on_with_trial(entry, now);
}

void PeerManager::go_on_with_trial(Entry& entry, SteadyTime now) {
    Trial& trial = *entry.trial;
    const auto rtt = std::chrono::duration_cast<SteadyTime::duration>(
        std::chrono::duration<double, std::milli>(entry.status.path.rtt_ms().value_or(0) * kRoundTrips));
    const bool echoed = entry.life.last_echo() && *entry.life.last_echo() > trial.began;
    if (trial.moves && trial.end == SteadyTime::max()) {
        // It begins once the device has the endpoint.
        if (entry.status.endpoint != trial.candidate) {
            if (now - trial.began >= times_.trial.move_most) end_trial(entry, false, now);
            return;
        }
        trial.began = now;
    }
    if (trial.end == SteadyTime::max())
        trial.end = now + std::min<SteadyTime::duration>(times_.trial.length + rtt, times_.trial.most);
    // What was sent last is given its time; then the device is looked at once more.
    if (trial.over) {
        if (trial.seen) end_trial(entry, echoed && entry.status.endpoint == trial.candidate, now);
        return;
    }
    if (!echoed && now - trial.began >= kTrialEcho + rtt) return end_trial(entry, false, now);
    if (now >= trial.end) {
        trial.over = true;
        set_copies(entry, std::nullopt);
        last_change_ = now;
        return;
    }
    if (now < trial.next_probe) return;
    trial.next_probe = now + times_.trial.interval;
    send_probe(entry, now);
}

void PeerManager::end_trial(Entry& entry, bool won, SteadyTime now) {
    const Trial trial = *entry.trial;
    if (trying_ == entry.input.key) trying_.reset();
    entry.search.trial_over(trial.candidate, won, now, times_.trial);
    ++(won ? entry.status.trials_won : entry.status.trials_lost);
    if (won) {
        entry.search.worked(trial.candidate);
        entry.search.trial_over(trial.used, false, now, times_.trial);
    }
    entry.trial.reset();
    entry.move.reset();
    entry.settled = now;
    set_copies(entry, std::nullopt);
    if (!won && trial.moves && entry.status.endpoint != trial.used) move(entry, trial.used, kNoBetter, now);
    entry.changed = true;
}

}  // namespace wglan
