// SPDX-License-Identifier: Apache-2.0
#include "agent/peers/path_stats.h"

#include <algorithm>
#include <bit>

namespace wglan {
namespace {

constexpr std::uint64_t kWindow = 32;

double in_ms(PathStats::Duration duration) {
    return std::chrono::duration<double, std::milli>(duration).count();
}

}  // namespace

void PathStats::note(bool lost) {
    window_ = (window_ << 1) | (lost ? 1U : 0U);
    ++sent_;
    if (lost) ++lost_;
}

void PathStats::answered(Duration rtt) {
    rtt = std::max(rtt, Duration{});
    smoothed_ = measured_ ? (smoothed_ * 7 + rtt) / 8 : rtt;
    least_ = measured_ ? std::min(least_, rtt) : rtt;
    measured_ = true;
    note(false);
}

void PathStats::missed() { note(true); }

std::optional<double> PathStats::rtt_ms() const {
    return measured_ ? std::optional(in_ms(smoothed_)) : std::nullopt;
}

std::optional<double> PathStats::min_ms() const {
    return measured_ ? std::optional(in_ms(least_)) : std::nullopt;
}

double PathStats::loss() const {
    const std::uint64_t known = std::min(sent_, kWindow);
    return known == 0 ? 0.0 : static_cast<double>(std::popcount(window_)) / static_cast<double>(known);
}

}  // namespace wglan
