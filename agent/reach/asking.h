// SPDX-License-Identifier: Apache-2.0
// One round of questions to peers, and what came of them. Pure; time is an argument.
#pragma once

#include <optional>
#include <vector>

#include "agent/base/clock.h"
#include "agent/reach/reach_codec.h"
#include "agent/reach/reach_rules.h"

namespace wglan {

struct ReachOutcome {
    ReachQuestion asked;
    std::optional<ReachAnswer> answer;  // none came
    struct Arrival {
        Endpoint target;
        KnockStage stage = KnockStage::device;  // as far as it got
    };
    std::vector<Arrival> arrivals;  // one a target
    std::optional<std::int64_t> clock_offset_s;
};

class Asking {
public:
    struct One {
        ReachOutcome outcome;
        ReachNonce nonce{};
        SteadyTime answered{};
    };

    // `nonces`: one each, from a good source: who knows it is believed.
    Asking(std::vector<ReachQuestion> questions, const std::vector<ReachNonce>& nonces, SteadyTime now);

    // An answer that came out of the tunnel. Ignored unless it is of whom was asked, with that nonce; of two,
    // the one with more targets counts.
    void take(const IpAddress& from, const ReachAnswer& answer, SteadyTime now, UnixTime unix_now);
    void take(const Knock& knock, KnockStage stage);

    // Nothing more is to be expected: all answered, and each knock was delivered or is overdue.
    bool settled(SteadyTime now) const;
    const std::vector<One>& all() const { return all_; }
    std::vector<ReachOutcome> outcomes() const;

private:
    std::vector<One> all_;
    SteadyTime start_;
};

}  // namespace wglan
