// SPDX-License-Identifier: Apache-2.0
// Liveness of all peers and the choice of their endpoints: pure, time and randomness are arguments.
//
// The caller dumps the device now and then (observe), says what time it is (tick), sends the probes that
// tick asks for and tells of the echoes. While a peer is alive its endpoint is left to WireGuard, which
// roams by itself; a path that may be lost, or a better one, is looked for beside it (peer_paths.cpp).
// peer_manager.cpp holds the set of peers and the search for those that aren't alive, peer_signs.cpp what is
// heard, peer_answers.cpp what can be asked.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/backoff.h"
#include "agent/base/clock.h"
#include "agent/model/peer.h"
#include "agent/model/wireguard.h"
#include "agent/peers/liveness.h"
#include "agent/peers/no_path.h"
#include "agent/peers/search.h"

namespace wglan {

struct PeerTimes {
    LivenessTimes liveness;
    SearchTimes search;
    TrialTimes trial;
};

struct PeerInput {
    PublicKey key;
    std::vector<PeerCandidate> candidates;  // resolved; equals in the order of preference
    IpAddress address;                      // overlay, where it answers probes; unspecified = it isn't probed
    std::uint64_t version = 0;              // of what it says of itself: news of it restart its search
    std::uint16_t keepalive_s = 25;         // ours; the same is assumed of an agent
    bool agentless = false;                 // judged by handshakes alone
    // Two that initiate at once both end as responders, and try again 5 s later: the one with the higher
    // key gives the other a moment.
    bool yields = false;
    bool was_up = false;      // a predecessor saw it up: not `unknown` any more
    bool unresolved = false;  // it has endpoints, and no address of them is known
    bool announced = false;   // a discovery service names it, so its agent was heard of in the last minutes
    bool operator==(const PeerInput&) const = default;
};

struct PeerStatus {
    PeerState state = PeerState::unknown;
    std::string reason;
    bool needs_relay = false;          // it lives, and no direct path was found
    std::optional<Endpoint> endpoint;  // the one WireGuard uses
    UnixTime last_handshake = 0;       // of all time: the device forgets it with the session
    std::uint64_t rx_bytes = 0, tx_bytes = 0;
    std::vector<CandidateStatus> candidates;  // filled by status(); in the order in which they are tried
    std::optional<SteadyTime> next_try;       // when another candidate is tried
    std::uint64_t endpoint_changes = 0;
    PathStats path;
    std::uint64_t sweep_tries = 0, sweep_rounds = 0;  // fruitless ones
    std::uint64_t trials_won = 0, trials_lost = 0;    // of better paths, beside the one in use
    std::uint64_t new_beginnings = 0;                 // it was made anew in the device
};

// What was done since this manager was made.
struct PeerTotals {
    std::uint64_t probes_sent = 0, probes_lost = 0;
    std::uint64_t sweep_tries = 0, sweep_rounds = 0;  // fruitless ones
    std::uint64_t trials_won = 0, trials_lost = 0;    // of better paths
    std::uint64_t new_beginnings = 0;
};

// An ICMPv6 echo request to send.
struct Probe {
    PublicKey key;
    IpAddress address;
    std::uint64_t number = 0;  // unique in this process; the echo brings it back
    bool deaf = false;         // nothing is heard from it: it shall know
};

// What is sent to the endpoint in use goes to other places of the peer, too.
struct PathCopies {
    Endpoint used;
    std::vector<Endpoint> others;  // at most kMaxCloneTargets
    bool data = false;             // all of it, not only what is as long as a probe
    bool operator==(const PathCopies&) const = default;
};

struct EndpointChange {
    PublicKey key;
    Endpoint before, after;
    std::string reason;
};

class PeerManager {
public:
    explicit PeerManager(Backoff::Random random, PeerTimes times = {});
    void set_times(const PeerTimes& times) { times_ = times; }
    // How often the device wants to be dumped while all is well.
    Milliseconds dump_interval() const {
        return probing_ ? times_.liveness.dump_interval() : Milliseconds::max();
    }
    // False where no probe can be sent: handshakes and keepalives have to do.
    void set_probing(bool possible);

    // Parts of why a peer isn't reached: where other members reach this node, if it is behind a NAT, and
    // whether what services say of peers is what they say now.
    void set_own_seen(std::vector<Endpoint> seen) { own_seen_ = std::move(seen); }
    void set_services_heard(bool heard) { services_heard_ = heard; }

    // The whole set. A peer whose candidates changed starts over with them, unless it is alive.
    void set_peers(const std::vector<PeerInput>& peers, SteadyTime now);
    // One peer of the set, or one more.
    void set_peer(const PeerInput& peer, SteadyTime now);
    // What a dump of the device says of one peer (zeros: the device has no such peer). Unknown keys are
    // ignored.
    void observe(const WgObservedPeer& seen, SteadyTime now, UnixTime unix_now);
    // A probe came back.
    void echoed(std::uint64_t number, SteadyTime now);
    // The peer of that overlay address says that it doesn't hear us.
    void told_deaf(const IpAddress& address, SteadyTime now);
    // Works out states and endpoints; returns the keys whose state or endpoint, wanted or in use, changed.
    std::vector<PublicKey> tick(SteadyTime now, UnixTime unix_now);
    // When the next tick may do something without news; max() = when there is news.
    SteadyTime next_tick() const { return next_tick_; }
    // Has the device initiate at once at this candidate, unless the peer is alive: what was sent may have
    // gone nowhere yet. False: nothing to do.
    bool try_at_once(const PublicKey& key, const Endpoint& candidate, SteadyTime now);
    // Something in the world changed (own address, route): back-offs are forgotten, live peers looked at.
    // Those at endpoints to which there is no way are sent to another candidate.
    using Reachable = std::function<bool(const IpAddress&)>;
    void restart_searches(SteadyTime now, const Reachable& reachable = {});

    // Each once: probes to send; peers whose session is dead and which the device shall forget and have
    // made anew, so that it initiates at once; endpoints that changed.
    std::vector<Probe> take_probes() { return std::exchange(probes_, {}); }
    std::vector<PublicKey> take_new_beginnings() { return std::exchange(afresh_, {}); }
    std::vector<EndpointChange> take_endpoint_changes() { return std::exchange(endpoint_changes_, {}); }
    // Peers whose copies() changed: to be known where packets leave before the next probe is sent.
    std::vector<PublicKey> take_copy_changes() { return std::exchange(copy_changes_, {}); }
    // A way there should be open before it is needed: where others have just seen a peer that is alive, or
    // one that will be looked for in a moment.
    std::vector<Endpoint> take_new_places() { return std::exchange(new_places_, {}); }
    // Peers in doubt that are about to be probed: what the device holds on to besides their endpoints, such
    // as our address at which they last spoke to us, may be what is wrong.
    std::vector<PublicKey> take_silent() { return std::exchange(silent_, {}); }

    std::vector<PublicKey> keys() const;
    PeerState state(const PublicKey& key) const;  // unknown for strangers
    bool alive(const PublicKey& key) const;       // up or degraded
    // What decides about packets for it: one that never was up stays `unknown`, however long it is looked
    // for.
    PeerState steering_state(const PublicKey& key) const;
    // Another number when its search starts over, or a round of it.
    std::uint64_t search_number(const PublicKey& key) const;
    // Until when this side shall not initiate (see PeerInput::yields): no keepalive yet.
    std::optional<SteadyTime> held_until(const PublicKey& key) const;
    bool holding(const PublicKey& key) const { return held_until(key).has_value(); }
    // The endpoint to set now; nullopt = leave WireGuard's.
    std::optional<Endpoint> wanted_endpoint(const PublicKey& key) const;
    // Further candidates, best first, to which each handshake initiation may be cloned: at most
    // kMaxCloneTargets, none for a peer that is alive, never the wanted endpoint itself.
    std::vector<Endpoint> clone_targets(const PublicKey& key) const;
    // For a peer that is alive.
    std::optional<PathCopies> copies(const PublicKey& key) const;
    // The endpoint WireGuard uses, as the last dump had it.
    std::optional<Endpoint> endpoint_in_use(const PublicKey& key) const;
    // True if WireGuard reaches another peer than `key` at this address.
    bool other_at(const IpAddress& address, const PublicKey& key) const;
    std::optional<PeerStatus> status(const PublicKey& key) const;
    PeerTotals totals() const;
    // True while some peer isn't alive: the device wants to be looked at often.
    bool searching() const { return searching_; }
    // True while the next bytes received may save a peer from being called down.
    bool suspecting() const { return suspecting_; }
    // When a peer began to be searched or changed last: looks are frequent right after.
    SteadyTime last_change() const { return last_change_; }

private:
    // A better path is tried.
    struct Trial {
        Endpoint used, candidate;
        bool moves = false;  // by the endpoint itself: of another family, where there are no copies
        SteadyTime began{}, end{};
        SteadyTime next_probe{};
        bool over = false;  // the next dump shows how it went
        bool seen = false;  // that dump was made
    };
    // The device is to have this endpoint, though the peer is alive.
    struct Move {
        Endpoint to;
        const char* why = "";
        SteadyTime since{};
    };
    struct Entry {
        Entry(PeerInput wanted_peer, Search its_search, PeerLiveness its_life)
            : input(std::move(wanted_peer)), search(std::move(its_search)), life(std::move(its_life)) {}
        PeerInput input;
        PeerStatus status;
        Search search;
        PeerLiveness life;
        std::optional<Endpoint> shown;  // the last that the device had
        std::optional<SteadyTime> hold_until;
        std::optional<SteadyTime> wants_afresh;  // since when
        std::optional<SteadyTime> last_afresh, rx_at;
        std::optional<SteadyTime> heard_at;          // it isn't alive, and something came from it then
        std::uint64_t rx_before = 0, tx_before = 0;  // of the device's counters before they were reset
        std::uint64_t rx_seen = 0, tx_seen = 0;
        std::optional<SteadyTime> looked_for_since;
        std::uint64_t rounds_before = 0;  // of its search, then
        bool in_vain = false;             // a whole round went by without an answer
        bool records_tell = false;        // its record would be gone by now if it had died
        SteadyTime due{};                 // nothing to do before
        std::optional<PathCopies> copies;
        std::optional<Trial> trial;
        std::optional<Move> move;
        std::optional<SteadyTime> shaken;  // the world changed then, and no echo came since
        bool moved_in_need = false;        // in this doubt
        bool stranded = false;             // there is no way to its endpoint, nor to another candidate
        SteadyTime doubted{};
        SteadyTime settled{}, next_look{};
        std::uint64_t bytes_a_second = 0, bytes_then = 0;  // both ways, as of the last dump
        SteadyTime dumped{};
        bool in_device = false;
        bool changed = false;  // since the last tick
    };
    struct Sent {
        PublicKey key;
        std::optional<Endpoint> endpoint;
        SteadyTime at{};
        bool counted = false;
    };

    LivenessTraits traits_of(const PeerInput& input) const;
    Entry make_entry(const PeerInput& input, SteadyTime now);
    void renew(Entry& entry, const PeerInput& input, SteadyTime now);
    void begin_search(Entry& entry, SteadyTime now);
    void begin_afresh(Entry& entry, SteadyTime now);
    std::optional<SteadyTime> hold_of(const PeerInput& input, SteadyTime now) const;
    bool step(Entry& entry, SteadyTime now, UnixTime unix_now);
    void note_in_vain(Entry& entry, SteadyTime now);
    // peer_signs.cpp
    void take_stats(Entry& entry, const WgObservedPeer& seen, SteadyTime now);
    bool replaced_at_endpoint(const Entry& entry, SteadyTime now, Seconds silence);
    const std::vector<Entry*>& standing_at(const Endpoint& where);
    void note_stall(SteadyTime now);
    void send_probe(Entry& entry, SteadyTime now);
    void forget_probes(SteadyTime now);
    // peer_answers.cpp
    NoPath no_path(const Entry& entry) const;
    static void add(PeerTotals& totals, const Entry& entry);
    // peer_paths.cpp
    void tend_path(Entry& entry, SteadyTime now);
    void leave_path(Entry& entry);
    void look_elsewhere(Entry& entry, SteadyTime now);
    void look_for_better(Entry& entry, SteadyTime now);
    void go_on_with_trial(Entry& entry, SteadyTime now);
    void end_trial(Entry& entry, bool won, SteadyTime now);
    void set_copies(Entry& entry, std::optional<PathCopies> copies);
    void move(Entry& entry, const Endpoint& to, const char* why, SteadyTime now);
    void flee(Entry& entry, const Reachable& reachable, SteadyTime now);
    void ask_who_else_is_at(const Entry& entry);
    static const char* why_at(const Entry& entry, const Endpoint& endpoint);

    Backoff::Random random_;
    PeerTimes times_;
    bool probing_ = false;
    std::map<PublicKey, Entry> peers_;
    // By where the device has them; made when it is asked for, and valid for one tick.
    std::optional<std::map<Endpoint, std::vector<Entry*>>> standing_;
    std::vector<Endpoint> own_seen_;
    bool services_heard_ = false;
    PeerTotals gone_;  // of peers that are no longer there
    std::vector<Probe> probes_;
    std::vector<PublicKey> afresh_;
    std::vector<EndpointChange> endpoint_changes_;
    std::vector<PublicKey> copy_changes_, silent_;
    std::vector<Endpoint> new_places_;
    std::optional<PublicKey> trying_;  // one trial at a time
    std::deque<Sent> sent_;            // probes that may still come back, by number
    std::uint64_t first_sent_ = 1;
    std::optional<SteadyTime> last_tick_;
    SteadyTime next_tick_ = SteadyTime::max();
    SteadyTime last_change_{};
    bool searching_ = false, suspecting_ = false;
};

}  // namespace wglan
