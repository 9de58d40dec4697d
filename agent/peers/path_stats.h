// SPDX-License-Identifier: Apache-2.0
// Round-trip time and loss of one path, from probes. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace wglan {

class PathStats {
public:
    using Duration = std::chrono::nanoseconds;

    // Smoothed as RFC 6298 section 2 does: 7/8 of what was known and 1/8 of the new.
    void answered(Duration rtt);
    void missed();

    std::optional<double> rtt_ms() const;  // smoothed; nullopt = never measured
    std::optional<double> min_ms() const;
    double loss() const;  // 0 .. 1, of the last 32 probes
    // Of all time.
    std::uint64_t sent() const { return sent_; }
    std::uint64_t lost() const { return lost_; }

private:
    void note(bool lost);

    Duration smoothed_{}, least_{};
    bool measured_ = false;
    std::uint32_t window_ = 0;  // 1 = lost; the newest lowest
    std::uint64_t sent_ = 0, lost_ = 0;
};

}  // namespace wglan
