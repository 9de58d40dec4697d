// SPDX-License-Identifier: Apache-2.0
// Time as an input. Pure code takes time points as arguments; the rest takes a Clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace wglan {

using Milliseconds = std::chrono::milliseconds;
using Seconds = std::chrono::seconds;
// CLOCK_BOOTTIME-like: runs on, never set back. For time-outs and ages.
using SteadyTime = std::chrono::steady_clock::time_point;
// Seconds since 1970 (UTC). For `issued` and what people read.
using UnixTime = std::int64_t;

struct Clock {
    virtual ~Clock() = default;
    virtual SteadyTime now() const = 0;
    virtual UnixTime unix_now() const = 0;
};

const Clock& system_clock();

std::string rfc3339(UnixTime time);  // "2026-01-02T03:04:05Z"; "" for 0

}  // namespace wglan
