// SPDX-License-Identifier: Apache-2.0
#include "agent/reach/asking.h"

#include <sodium.h>

#include <algorithm>

namespace wglan {
namespace {

constexpr Milliseconds kKnockTravels{700};     // after the answer, which goes another way
constexpr UnixTime kNoClockShows = 1LL << 40;  // in 30,000 years

bool same(const ReachNonce& a, const ReachNonce& b) {
    return sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

bool is_settled(const Asking::One& one, SteadyTime now) {
    if (!one.outcome.answer) return false;
    const auto& arrivals = one.outcome.arrivals;
    const auto delivered = std::count_if(arrivals.begin(), arrivals.end(), [](const auto& arrival) {
        return arrival.stage == KnockStage::delivered;
    });
    return static_cast<std::size_t>(delivered) >= one.outcome.answer->targets.size() ||
           now - one.answered > kKnockTravels;
}

}  // namespace

Asking::Asking(std::vector<ReachQuestion> questions, const std::vector<ReachNonce>& nonces, SteadyTime now)
    : start_(now) {
    for (std::size_t i = 0; i < questions.size() && i < nonces.size(); ++i) {
        One one;
        one.outcome.asked = std::move(questions[i]);
        one.nonce = nonces[i];
        all_.push_back(std::move(one));
    }
}

void Asking::take(const IpAddress& from, const ReachAnswer& answer, SteadyTime now, UnixTime unix_now) {
    for (One& one : all_) {
        ReachOutcome& outcome = one.outcome;
        if (outcome.asked.address != from || !same(one.nonce, answer.nonce)) continue;
        if (outcome.answer && outcome.answer->targets.size() >= answer.targets.size()) return;
        outcome.answer = answer;
        one.answered = now;
        const auto half = std::chrono::duration_cast<Seconds>((now - start_) / 2).count();
        outcome.clock_offset_s.reset();
        if (answer.time >= 0 && answer.time < kNoClockShows)
            outcome.clock_offset_s = answer.time + half - unix_now;
        return;
    }
}

void Asking::take(const Knock& knock, KnockStage stage) {
    for (One& one : all_) {
        if (!same(one.nonce, knock.nonce)) continue;
        auto& arrivals = one.outcome.arrivals;
        const auto known = std::find_if(arrivals.begin(), arrivals.end(),
                                        [&](const auto& before) { return before.target == knock.target; });
        if (known != arrivals.end())
            known->stage = std::max(known->stage, stage);
        else if (arrivals.size() < kMostKnocks)
            arrivals.push_back({knock.target, stage});
        return;
    }
}

bool Asking::settled(SteadyTime now) const {
    return std::all_of(all_.begin(), all_.end(), [&](const One& one) { return is_settled(one, now); });
}

std::vector<ReachOutcome> Asking::outcomes() const {
    std::vector<ReachOutcome> list;
    for (const One& one : all_) list.push_back(one.outcome);
    return list;
}

}  // namespace wglan
