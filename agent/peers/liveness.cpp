// SPDX-License-Identifier: Apache-2.0
#include "agent/peers/liveness.h"

#include <algorithm>

namespace wglan {
namespace {

constexpr std::uint64_t kInitiation = 148;  // bytes, whitepaper section 5.4.2
constexpr std::uint64_t kMostInitiations = 3;
constexpr Seconds kKeepaliveSlack{10};
constexpr Milliseconds kDegradedBefore{3000};  // down, for peers that don't answer echoes
constexpr Seconds kCallIsNews{15};
constexpr Seconds kDeafFor{10};  // after it last said so

std::string seconds_text(SteadyTime::duration age) {
    return std::to_string(std::chrono::duration_cast<Seconds>(age).count()) + " s";
}

unsigned burst_size(const LivenessTimes& times) {
    return static_cast<unsigned>(times.burst / times.burst_interval);
}

SteadyTime::duration quiet_time(const LivenessTimes& times, double jitter) {
    const auto most = static_cast<double>(times.quiet_jitter.count());
    return times.quiet + Milliseconds(static_cast<Milliseconds::rep>(most * (1 + 2 * jitter) / 3));
}

}  // namespace

LivenessTimes LivenessTimes::within(Milliseconds down_after) {
    LivenessTimes times;
    times.down_after = down_after;
    times.first_wait = std::clamp(down_after * 75 / 1000, Milliseconds(300), Milliseconds(1000));
    times.burst = std::clamp(down_after * 3 / 10, Milliseconds(1500), Milliseconds(3000));
    times.quiet = down_after - times.first_wait - times.burst - Milliseconds(1250);
    return times;
}

// Two dumps in each `quiet`: what came after the first but one is known before a probe is due.
Milliseconds LivenessTimes::dump_interval() const {
    return std::clamp(quiet * 45 / 100, Milliseconds(500), Milliseconds(5000));
}

PeerLiveness::PeerLiveness(const LivenessTraits& traits, bool was_up, double jitter, SteadyTime now)
    : traits_(traits),
      ever_up_(was_up),
      jitter_(jitter),
      session_at_(now),
      dumped_(now),
      rx_at_(now),
      tx_at_(now) {
    if (was_up) set(PeerState::down, "no handshake seen since the agent started");
}

void PeerLiveness::set(PeerState state, std::string reason) {
    state_ = state;
    reason_ = std::move(reason);
}

void PeerLiveness::observe(const WgPeerStats& seen, SteadyTime now, UnixTime unix_now,
                           const LivenessTimes& times) {
    const Session before{stats_.last_handshake, stats_.last_handshake_ns};
    const Session after{seen.last_handshake, seen.last_handshake_ns};
    const bool fresh = after.handshake != 0 && !(after == before);
    const SteadyTime previous = seen_ ? dumped_ : now;
    if (fresh) {
        // The wall clock is asked for the age of what was there before us alone: it may be set.
        auto age = std::max<SteadyTime::duration>(Seconds(unix_now - after.handshake), {});
        age = std::min<SteadyTime::duration>(age, seen_ ? now - dumped_ : 2 * times.handshake_lifetime);
        session_at_ = now - age;
        called_.reset();
        if (seen_) proof_ = std::max(proof_, previous);
        deaf_at_.reset();
    }
    const std::uint64_t more =
        seen.rx_bytes >= stats_.rx_bytes ? seen.rx_bytes - stats_.rx_bytes : seen.rx_bytes;
    if (more > 0) {
        if (seen_ && !fresh && more % kInitiation == 0 && more <= kMostInitiations * kInitiation) {
            called_ = now;
            soon_ = true;
        } else {
            rx_at_ = now;
            if (seen_ && !doubted(now)) proof_ = std::max(proof_, previous);
        }
    }
    if (seen.tx_bytes != stats_.tx_bytes) tx_at_ = now;
    stats_ = seen;
    dumped_ = now;
    seen_ = true;
}

void PeerLiveness::probe_sent(SteadyTime now) {
    last_probe_ = now;
    soon_ = at_once_ = false;
    if (suspect_since_)
        ++burst_sent_;
    else if (!waiting_since_)
        waiting_since_ = now;
}

void PeerLiveness::echoed(SteadyTime now) {
    proof_ = now;
    echo_at_ = now;
    deaf_at_.reset();
    clear_suspicion(true);
    answers_ = Answers::yes;
    waiting_since_.reset();
    dead_.reset();
    called_.reset();
}

void PeerLiveness::check_now() {
    hurry();
    if (!suspect_since_) waiting_since_.reset();
}

void PeerLiveness::told_deaf(SteadyTime now) {
    if (!alive() || !traits_.probed) return;
    if (!doubted(now)) soon_ = true;
    deaf_at_ = now;
}

bool PeerLiveness::doubted(SteadyTime now) const { return deaf_at_ && now - *deaf_at_ < kDeafFor; }

void PeerLiveness::stood_still(SteadyTime::duration gap, SteadyTime now, const LivenessTimes& times) {
    for (SteadyTime* at : {&session_at_, &rx_at_, &tx_at_}) *at = std::min(*at + gap, now);
    if (!alive() || !traits_.probed) return;
    suspect_since_.reset();
    waiting_since_.reset();
    proof_ = now;
    soon_ = true;
    grace_until_ = now + times.down_after;
}

void PeerLiveness::session_dropped() { dead_ = Session{stats_.last_handshake, stats_.last_handshake_ns}; }

bool PeerLiveness::session_lives(SteadyTime now, const LivenessTimes& times) const {
    const Session session{stats_.last_handshake, stats_.last_handshake_ns};
    return session.handshake != 0 && !(dead_ && *dead_ == session) &&
           now - session_at_ <= times.handshake_lifetime;
}

void PeerLiveness::up(SteadyTime now) {
    ever_up_ = true;
    proof_ = now;
    deaf_at_.reset();
    waiting_since_.reset();
    suspect_since_.reset();
    soon_ = true;  // the round trip is measured at once
    set(PeerState::up, "session established");
}

void PeerLiveness::down(std::string reason, SteadyTime now) {
    set(PeerState::down, std::move(reason));
    session_dropped();
    down_at_ = now;
    waiting_since_.reset();
    suspect_since_.reset();
    answers_ = Answers::unknown;
}

void PeerLiveness::suspect(SteadyTime now) {
    suspect_since_ = waiting_since_;
    burst_began_ = now;
    burst_sent_ = 0;
}

void PeerLiveness::clear_suspicion(bool by_echo) {
    // It lives, and left many echoes without an answer.
    if (suspect_since_ && !by_echo && burst_sent_ >= 4)
        answers_ = answers_ == Answers::yes ? Answers::unknown : Answers::no;
    suspect_since_.reset();
}

void PeerLiveness::judge(SteadyTime now, UnixTime unix_now, const LivenessTimes& times) {
    if (!alive()) {
        const bool heard_again = !traits_.probed && ever_up_ && dead_ && rx_at_ > down_at_ &&
                                 stats_.last_handshake != 0 && now - session_at_ <= times.handshake_lifetime;
        if (heard_again) dead_.reset();
        if (session_lives(now, times)) up(now);
        return;
    }
    if (stats_.last_handshake == 0)
        down("the tunnel was made anew: no handshake yet", now);
    else if (traits_.probed)
        judge_probed(now, times);
    else
        judge_unprobed(now, unix_now, times);
}

void PeerLiveness::judge_probed(SteadyTime now, const LivenessTimes& times) {
    if (waiting_since_ && proof_ >= *waiting_since_) waiting_since_.reset();
    if (suspect_since_ && proof_ >= *suspect_since_) clear_suspicion(false);
    const Milliseconds wait = doubted(now) ? times.first_wait / 2 : times.first_wait;
    if (!suspect_since_ && waiting_since_ && now - *waiting_since_ >= wait && now >= grace_until_)
        suspect(now);
    if (!suspect_since_) {
        if (state_ == PeerState::degraded) set(PeerState::up, "session established");
        return;
    }
    const auto silent = now - *suspect_since_;
    if (answers_ == Answers::yes) {
        const auto burning = now - burst_began_;
        if (burning >= times.burst && burst_sent_ >= burst_size(times) * 2 / 3) {
            std::string reason = "no answer to " + std::to_string(burst_sent_ + 1) + " probes";
            if (called_ && now - *called_ < kCallIsNews)
                reason += "; it calls, and doesn't hear our answers";
            else if (doubted(now))
                reason += "; it says that it doesn't hear us";
            down(std::move(reason), now);
        } else if (burning >= times.burst / 2 && state_ == PeerState::up) {
            set(PeerState::degraded, "no answer to the last " + std::to_string(burst_sent_ + 1) + " probes");
        }
        return;
    }
    if (silent >= times.keepalive_wait)
        down("nothing received for " + seconds_text(now - std::min(rx_at_, *suspect_since_)), now);
    else if (silent >= times.keepalive_wait - kDegradedBefore && state_ == PeerState::up)
        set(PeerState::degraded, "nothing received for " + seconds_text(silent));
}

void PeerLiveness::judge_unprobed(SteadyTime now, UnixTime unix_now, const LivenessTimes& times) {
    const bool asked_since = tx_at_ - rx_at_ > Seconds(15) || traits_.keepalive_s > 0;
    if (now - session_at_ > times.handshake_lifetime && asked_since) {
        const auto age = std::max<UnixTime>(unix_now - stats_.last_handshake,
                                            std::chrono::duration_cast<Seconds>(now - session_at_).count());
        down("last handshake " + std::to_string(age) + " s ago", now);
        return;
    }
    const Seconds silence(traits_.keepalive_s * times.missed_keepalives);
    if (!traits_.agentless && traits_.keepalive_s > 0 && now - rx_at_ > silence + kKeepaliveSlack &&
        now - tx_at_ < silence)
        down("nothing received for " + seconds_text(now - rx_at_), now);
}

bool PeerLiveness::probe_due(SteadyTime now, const LivenessTimes& times) const {
    if (!traits_.probed || !alive()) return false;
    const auto since = [&](Milliseconds time) { return !last_probe_ || now - *last_probe_ >= time; };
    if (at_once_ && since(times.burst_interval)) return true;
    if (suspect_since_) {
        if (answers_ == Answers::no) return since(times.quiet);
        if (now - burst_began_ < times.burst || burst_sent_ < burst_size(times) * 2 / 3)
            return since(times.burst_interval);
        return since(times.quiet);
    }
    if (waiting_since_) return now < grace_until_ && since(times.soon);
    if (soon_ && since(times.soon)) return true;
    return now - proof_ >= quiet_time(times, jitter_) && since(times.quiet);
}

SteadyTime PeerLiveness::next_due(const LivenessTimes& times) const {
    if (!traits_.probed || !alive()) return SteadyTime::max();
    if (!last_probe_) return dumped_;
    if (at_once_) return *last_probe_ + times.burst_interval;
    if (suspect_since_) return *last_probe_ + times.burst_interval;
    const Milliseconds wait = deaf_at_ ? times.first_wait / 2 : times.first_wait;
    if (waiting_since_)
        return grace_until_ > *waiting_since_ + times.first_wait ? *last_probe_ + times.soon
                                                                 : *waiting_since_ + wait;
    if (soon_) return *last_probe_ + times.soon;
    return std::max(proof_ + quiet_time(times, jitter_), *last_probe_ + times.quiet);
}

}  // namespace wglan
