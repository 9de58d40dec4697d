// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>

#include "agent/base/clock.h"

namespace wglan {

// Exponential back-off with full-range jitter: the n-th delay is uniform in
// [cap/2, cap], cap = min(first * 2^n, most). Randomness is injected.
class Backoff {
public:
    using Random = std::function<double()>;  // uniform in [0, 1)
    Backoff(Milliseconds first, Milliseconds most, Random random)
        : first_(first), most_(most), random_(std::move(random)) {}

    Milliseconds next();
    void reset() { attempt_ = 0; }
    unsigned attempts() const { return attempt_; }

private:
    Milliseconds first_;
    Milliseconds most_;
    Random random_;
    unsigned attempt_ = 0;
};

double random_unit();  // uniform in [0, 1) from libsodium

}  // namespace wglan
