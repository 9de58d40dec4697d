// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

namespace wglan {

// Durations in seconds, counted by size; a copy is a snapshot.
class DurationHistogram {
public:
    // Upper bounds; what is longer than the last goes into one more bucket.
    static constexpr std::array<double, 12> kBounds{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                                    0.05,   0.1,   0.25,   0.5,   1,    2.5};

    void observe(double seconds);

    // Each bucket alone, not cumulative.
    const std::array<std::uint64_t, kBounds.size() + 1>& buckets() const { return buckets_; }
    std::uint64_t count() const { return count_; }
    double sum() const { return sum_; }

private:
    std::array<std::uint64_t, kBounds.size() + 1> buckets_{};
    std::uint64_t count_ = 0;
    double sum_ = 0;
};

}  // namespace wglan
