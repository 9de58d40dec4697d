// SPDX-License-Identifier: Apache-2.0
#include "agent/base/backoff.h"

#include <sodium.h>

#include <algorithm>
#include <limits>

namespace wglan {

Milliseconds Backoff::next() {
    Milliseconds cap = std::min(first_, most_);
    for (unsigned i = 0; i < attempt_ && cap < most_; ++i) {
        // Doubling past `most_` would overflow for a huge one.
        cap = cap > most_ / 2 ? most_ : cap * 2;
        if (cap.count() <= 0) break;
    }
    if (attempt_ < std::numeric_limits<unsigned>::max()) ++attempt_;
    const auto half = cap.count() / 2;
    const auto spread = static_cast<double>(cap.count() - half);
    const auto extra = static_cast<Milliseconds::rep>(random_() * (spread + 1.0));
    return Milliseconds(half + std::min(extra, cap.count() - half));
}

double random_unit() {
    // 53 random bits: every double of the form n / 2^53.
    const std::uint64_t high = randombytes_random();
    const std::uint64_t low = randombytes_random();
    return static_cast<double>(((high << 32) | low) >> 11) * 0x1p-53;
}

}  // namespace wglan
