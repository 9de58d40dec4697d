// SPDX-License-Identifier: Apache-2.0
// Whether one peer lives: a state machine over what WireGuard's counters and our probes tell. Pure.
//
// Proof of life is an echo that came back, a handshake, or bytes received other than a peer's own
// handshake initiations (148 bytes each: they come, and say nothing of the way back). Where there has been
// none for `quiet`, one probe is sent; unanswered for `first_wait` it is followed by a burst, and silence
// to the end of the burst means down. A peer that never answered an echo (a firewall there) is given the
// time in which WireGuard itself answers what it receives (KEEPALIVE_TIMEOUT, whitepaper section 6.1).
// Peers that aren't probed are judged by the age of their handshake and, unless they run no agent, by
// missing keepalives.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/base/clock.h"
#include "agent/model/peer.h"
#include "agent/model/wireguard.h"

namespace wglan {

struct LivenessTimes {
    // Probed peers. quiet + quiet_jitter + first_wait + burst is less than the time to detect a dead path.
    Milliseconds down_after{10000};
    Milliseconds quiet{5000};
    Milliseconds quiet_jitter{300};
    Milliseconds first_wait{750};
    Milliseconds burst{3000};
    Milliseconds burst_interval{250};
    Milliseconds soon{1000};             // between probes that some news asked for
    Milliseconds keepalive_wait{12500};  // KEEPALIVE_TIMEOUT (10 s), a round trip, and the time between dumps
    // All others.
    Seconds handshake_lifetime{275};  // REJECT_AFTER_TIME + REKEY_TIMEOUT + REKEY_ATTEMPT_TIME, as KubeSpan
    unsigned missed_keepalives = 3;   // silent for so many intervals (+ 10 s) = down

    // A dead path is detected within this time (at least 5 s).
    static LivenessTimes within(Milliseconds down_after);
    // How often the device must be dumped so that bytes received spare probes.
    Milliseconds dump_interval() const;
};

struct LivenessTraits {
    bool probed = false;     // there is an address and a socket to send probes with
    bool agentless = false;  // judged by handshakes alone
    std::uint16_t keepalive_s = 25;
    bool operator==(const LivenessTraits&) const = default;
};

class PeerLiveness {
public:
    // `jitter`: uniform in [0, 1). `was_up`: a predecessor saw it up.
    PeerLiveness(const LivenessTraits& traits, bool was_up, double jitter, SteadyTime now);
    void set_traits(const LivenessTraits& traits) { traits_ = traits; }

    // What a dump of the device says; zeros: the device has no such peer.
    void observe(const WgPeerStats& seen, SteadyTime now, UnixTime unix_now, const LivenessTimes& times);
    void probe_sent(SteadyTime now);
    void echoed(SteadyTime now);
    // Some news makes a probe worth while before it is due.
    void check_soon() { soon_ = true; }
    // What was sent went by ways that are no more: the next probe goes at once, and times start with it.
    void check_now();
    // The next probe goes at once; what waits goes on waiting.
    void hurry() { soon_ = at_once_ = true; }
    // It says that it doesn't hear us: what it sends proves nothing until an echo comes back.
    void told_deaf(SteadyTime now);
    // The process stood still for `gap` (suspended, stopped): what was due meanwhile proves nothing.
    void stood_still(SteadyTime::duration gap, SteadyTime now, const LivenessTimes& times);
    void judge(SteadyTime now, UnixTime unix_now, const LivenessTimes& times);
    // The device was told to forget the session; only another one counts.
    void session_dropped();
    void set_reason(std::string reason) { reason_ = std::move(reason); }
    // For a reason that only the caller can know.
    void declare_down(std::string reason, SteadyTime now) { down(std::move(reason), now); }

    bool probe_due(SteadyTime now, const LivenessTimes& times) const;
    // When judge() or probe_due() may say something new without further news; max() = never.
    SteadyTime next_due(const LivenessTimes& times) const;

    PeerState state() const { return state_; }
    const std::string& reason() const { return reason_; }
    bool alive() const { return state_ == PeerState::up || state_ == PeerState::degraded; }
    bool ever_up() const { return ever_up_; }
    bool suspected() const { return alive() && suspect_since_.has_value(); }
    // When it was last known to live, as far as our side of the path goes.
    std::optional<SteadyTime> last_echo() const { return echo_at_; }
    bool waiting() const { return waiting_since_.has_value(); }
    SteadyTime last_rx() const { return rx_at_; }
    // When its initiations were last seen without a session that followed.
    std::optional<SteadyTime> called_in_vain() const { return called_; }

private:
    enum class Answers { unknown, yes, no };
    struct Session {
        UnixTime handshake = 0;
        std::uint32_t ns = 0;
        bool operator==(const Session&) const = default;
    };

    bool session_lives(SteadyTime now, const LivenessTimes& times) const;
    void judge_probed(SteadyTime now, const LivenessTimes& times);
    void judge_unprobed(SteadyTime now, UnixTime unix_now, const LivenessTimes& times);
    void suspect(SteadyTime now);
    void clear_suspicion(bool by_echo);
    bool doubted(SteadyTime now) const;
    void up(SteadyTime now);
    void down(std::string reason, SteadyTime now);
    void set(PeerState state, std::string reason);

    LivenessTraits traits_;
    PeerState state_ = PeerState::unknown;
    std::string reason_;
    bool ever_up_ = false;
    bool seen_ = false;  // in some dump
    double jitter_ = 0;

    WgPeerStats stats_;
    std::optional<Session> dead_;  // the session that was found dead
    SteadyTime session_at_{};      // when the present one was made, as far as known
    SteadyTime dumped_{};          // the last dump
    SteadyTime rx_at_{}, tx_at_{}, down_at_{};
    std::optional<SteadyTime> called_;

    SteadyTime proof_{};  // it lived at this time or later
    Answers answers_ = Answers::unknown;
    bool soon_ = false, at_once_ = false;
    std::optional<SteadyTime> deaf_at_;  // it said so, and no echo came since
    std::optional<SteadyTime> echo_at_;
    std::optional<SteadyTime> last_probe_;
    std::optional<SteadyTime> waiting_since_;  // a probe is on its way, nothing came since
    std::optional<SteadyTime> suspect_since_;  // that one was missed; when it was sent
    SteadyTime burst_began_{};
    unsigned burst_sent_ = 0;
    SteadyTime grace_until_{};
};

}  // namespace wglan
