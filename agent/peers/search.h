// SPDX-License-Identifier: Apache-2.0
// The search for a path to one peer: which of its candidate endpoints comes first, and when the next is
// tried. Pure.
//
// WireGuard starts at most one handshake a peer in 5 s (REKEY_TIMEOUT), so a candidate is given a little
// longer than that; a whole round without success is followed by a pause (back-off with jitter), and the
// next round begins afresh: a peer that is made anew in the device initiates at once, and has forgotten
// the newest timestamp of the other side, whose clock may have been set back since (whitepaper section
// 5.1: an initiation that isn't newer than the last one is refused).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/backoff.h"
#include "agent/base/clock.h"
#include "agent/model/peer.h"
#include "agent/peers/path_stats.h"

namespace wglan {

// WireGuard's initiations are cloned to so many candidates of a peer at most.
inline constexpr std::size_t kMaxCloneTargets = 8;

struct SearchTimes {
    Milliseconds candidate_time{5600};     // REKEY_TIMEOUT + its jitter of 333 ms, and a round trip
    Milliseconds yield_time{400};          // what the higher key waits before it initiates
    Milliseconds opening_time{200};        // ... and both, for their NATs to be opened; see hold_of()
    Milliseconds round_first{1000};        // pause after the first fruitless round ...
    Milliseconds round_most{30000};        // ... and at most
    Milliseconds afresh_interval{2000};    // between two new beginnings with one peer
    Milliseconds half_open{1500};          // a handshake that the peer began is given so long
    Milliseconds record_lifetime{130000};  // after an agent's last word, and some
    Milliseconds in_vain{30000};           // a search that news start over again and again is fruitless then
};

// A better path is tried beside the one in use.
struct TrialTimes {
    Milliseconds settle{3000};  // a path is left alone so long after anything changed
    Milliseconds length{300};   // both are used for so long, and for three round trips more
    Milliseconds most{1500};
    Milliseconds interval{100};       // between the probes of a trial
    Milliseconds move_most{2000};     // for the device to take another endpoint
    Milliseconds rest_first{60000};   // after the first trial in vain of a candidate ...
    Milliseconds rest_most{1800000};  // ... and at most
    Milliseconds look{10000};         // between two looks for something better
    double margin = 3;                // of worth: less isn't worth the change
};

struct PeerCandidate {
    PeerCandidate() = default;
    PeerCandidate(const Endpoint& at) : endpoint(at) {}  // NOLINT(google-explicit-constructor)
    PeerCandidate(const Endpoint& at, CandidateSource from, int worth)
        : endpoint(at), source(from), base(worth) {}

    Endpoint endpoint;
    CandidateSource source = CandidateSource::announced;
    int base = 0;   // what its source and place make it worth; see Candidate::base
    int bonus = 0;  // for the first try alone: what somebody remembers of it
    bool operator==(const PeerCandidate&) const = default;
};

struct CandidateHistory {
    PathStats path;
    unsigned fruitless = 0;  // tries since it last worked
    unsigned tries = 0;      // of all time
    bool worked = false;     // a session was held there
    bool withdrawn = false;  // it worked, but the peer no longer names it
    unsigned trials = 0;     // beside a path that works, in vain
    SteadyTime trial_after{};
};

// The higher the sooner it is tried. Past success counts most, the less the oftener it failed since; then
// the kind of the path; then losses and round-trip time.
double score(const PeerCandidate& candidate, const CandidateHistory& history);

struct CandidateStatus {
    Endpoint endpoint;
    CandidateSource source = CandidateSource::announced;
    std::string result;  // "in use", "no answer (3 tries)", "not tried" ...
    double score = 0;
    std::optional<double> rtt_ms;
    std::optional<SteadyTime> next_try;
};

class Search {
public:
    Search(Backoff rounds, const SearchTimes& times) : times_(times), rounds_(std::move(rounds)) {}

    // True if the endpoints are others than before.
    bool set_candidates(const std::vector<PeerCandidate>& candidates);
    bool empty() const { return order_.empty(); }
    std::size_t size() const { return order_.size(); }
    // Begins with the best; `in_use`: what WireGuard has, to be kept and tried too.
    void start(const std::optional<Endpoint>& in_use, SteadyTime now);
    // True if a new round began.
    bool advance(SteadyTime now);
    // Goes on with this candidate, and then with the one that it interrupts; false: it is none.
    bool go_to(const Endpoint& endpoint, SteadyTime now);
    void stop() { running_ = false; }
    void worked(const Endpoint& endpoint);
    // The best one that promises to be clearly better than the endpoint in use, and may be tried now;
    // `same_family` or of the other one.
    std::optional<Endpoint> better_than(const Endpoint& in_use, bool same_family, SteadyTime now,
                                        const TrialTimes& times) const;
    void trial_over(const Endpoint& endpoint, bool won, SteadyTime now, const TrialTimes& times);
    void forget_trials();
    // All but this one and those of a family that isn't here, best first.
    std::vector<Endpoint> others(const Endpoint& than) const;
    CandidateHistory& history(const Endpoint& endpoint) { return history_[endpoint]; }

    // The one to set now; nullopt = leave WireGuard's.
    std::optional<Endpoint> wanted() const;
    std::optional<SteadyTime> next_try() const;
    std::vector<Endpoint> clone_targets() const;
    // `in_use`: the endpoint of a peer that is alive.
    std::vector<CandidateStatus> describe(const std::optional<Endpoint>& in_use) const;
    std::uint64_t rounds() const { return rounds_done_; }
    std::uint64_t tries() const { return tries_; }
    std::uint64_t number() const { return number_; }  // of the beginnings of searches and rounds

private:
    void order();
    const CandidateHistory& known(const Endpoint& endpoint) const;

    SearchTimes times_;
    Backoff rounds_;
    std::vector<PeerCandidate> named_;  // as the registry has them
    std::vector<PeerCandidate> order_;  // with what is known besides, best first
    std::map<Endpoint, CandidateHistory> history_;
    std::optional<Endpoint> last_good_, extra_;
    bool running_ = false;
    std::size_t current_ = 0;
    SteadyTime since_{};
    std::optional<SteadyTime> pause_until_;
    std::uint64_t rounds_done_ = 0, tries_ = 0, number_ = 0;
};

}  // namespace wglan
