// SPDX-License-Identifier: Apache-2.0
// Liveness of peers and the choice of their endpoints: pure, time and randomness are arguments.
//
// WireGuard starts at most one handshake a peer in 5 s (REKEY_TIMEOUT), so a candidate is given a
// little longer than that; after a whole round without success the next round waits (back-off with
// jitter). While a peer is up its endpoint is left to WireGuard, which roams by itself.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/backoff.h"
#include "agent/base/clock.h"
#include "agent/model/peer.h"
#include "agent/model/wireguard.h"

namespace wglan {

// Time constants of WireGuard (whitepaper, section 6.1) and ours.
struct LivenessTimes {
    Seconds handshake_lifetime{275};    // REJECT_AFTER_TIME + REKEY_TIMEOUT + REKEY_ATTEMPT_TIME, as KubeSpan
    unsigned missed_keepalives = 3;     // silent for so many intervals (+ 10 s) = down
    Milliseconds candidate_time{5600};  // REKEY_TIMEOUT + its jitter of 333 ms, and a round trip
    Milliseconds yield_time{400};       // what the higher key waits before it initiates
    Milliseconds round_first{1000};     // pause after the first fruitless round ...
    Milliseconds round_most{30000};     // ... and at most
};

struct PeerInput {
    PublicKey key;
    std::vector<Endpoint> candidates;  // resolved, best first
    std::uint16_t keepalive_s = 25;    // ours; the same is assumed of an agent
    bool agentless = false;            // judged by handshakes alone
    // Two that initiate at once both end as responders, and try again 5 s later: the one with the higher
    // key gives the other a moment.
    bool yields = false;
    bool was_up = false;  // a predecessor saw it up: not `unknown` any more
};

struct CandidateStatus {
    Endpoint endpoint;
    std::string result;  // "in use", "no answer 3 times", "not tried yet" ...
};

struct PeerStatus {
    PeerState state = PeerState::unknown;
    std::string reason;
    std::optional<Endpoint> endpoint;  // the one WireGuard uses
    UnixTime last_handshake = 0;
    std::uint64_t rx_bytes = 0, tx_bytes = 0;
    std::vector<CandidateStatus> candidates;  // filled by status()
    std::optional<SteadyTime> next_try;       // when another candidate is tried
    std::uint64_t endpoint_changes = 0;
};

class PeerManager {
public:
    explicit PeerManager(Backoff::Random random, LivenessTimes times = {});

    // The whole set. A peer whose candidates changed starts over with them, unless it is up.
    void set_peers(const std::vector<PeerInput>& peers, SteadyTime now);
    // One peer of the set, or one more.
    void set_peer(const PeerInput& peer, SteadyTime now);
    // What a dump of the device says of one peer (zeros: the device has no such peer). Unknown keys are
    // ignored.
    void observe(const WgObservedPeer& seen, SteadyTime now, UnixTime unix_now);
    // Works out states and endpoints; returns the keys whose state or wanted endpoint changed.
    std::vector<PublicKey> tick(SteadyTime now, UnixTime unix_now);
    // Something in the world changed (own address, route): back-offs are forgotten.
    void restart_searches(SteadyTime now);

    std::vector<PublicKey> keys() const;
    PeerState state(const PublicKey& key) const;  // unknown for strangers
    // True while this side shall not initiate (see PeerInput::yields): no keepalive yet.
    bool holding(const PublicKey& key) const;
    // The endpoint to set now; nullopt = leave WireGuard's.
    std::optional<Endpoint> wanted_endpoint(const PublicKey& key) const;
    // The endpoint WireGuard uses, as the last dump had it.
    std::optional<Endpoint> endpoint_in_use(const PublicKey& key) const;
    // True if WireGuard reaches another peer than `key` at this address.
    bool other_at(const IpAddress& address, const PublicKey& key) const;
    std::optional<PeerStatus> status(const PublicKey& key) const;
    // True while some peer isn't up: the device wants to be looked at often.
    bool searching() const;
    // When a peer began to be searched or changed last: looks are frequent right after.
    SteadyTime last_change() const { return last_change_; }

private:
    struct Tried {
        Endpoint endpoint;
        unsigned times = 0;
    };
    struct Entry {
        Entry(PeerInput wanted_peer, Backoff backoff)
            : input(std::move(wanted_peer)), rounds(std::move(backoff)) {}
        PeerInput input;
        PeerStatus status;
        std::vector<Tried> tried;
        std::size_t current = 0;
        std::optional<Endpoint> wanted;
        std::optional<Endpoint> last_good;  // where it answered last
        SteadyTime candidate_since{};
        std::optional<SteadyTime> pause_until;
        std::optional<SteadyTime> hold_until;
        Backoff rounds;
        bool ever_up = false;
        SteadyTime last_rx{};
        SteadyTime last_tx_change{};
        bool seen = false;
    };

    Entry make_entry(const PeerInput& input, SteadyTime now);
    void renew(Entry& entry, const PeerInput& input, SteadyTime now);
    void start_search(Entry& entry, SteadyTime now);
    void advance_search(Entry& entry, SteadyTime now);
    void judge(Entry& entry, SteadyTime now, UnixTime unix_now);
    bool replaced_at_endpoint(const Entry& entry, SteadyTime now) const;
    static std::vector<CandidateStatus> describe_candidates(const Entry& entry);

    Backoff::Random random_;
    LivenessTimes times_;
    std::map<PublicKey, Entry> peers_;
    SteadyTime last_change_{};
};

}  // namespace wglan
