// SPDX-License-Identifier: Apache-2.0
// Processor time of what the calling thread causes on the CPU that it is pinned to.
#pragma once

#include <cstdint>
#include <optional>

#include "agent/base/unique_fd.h"

namespace wglan::bench {

// Wall time, less the time in which this thread was ready but another one had the CPU, plus what
// ksoftirqd of that CPU got of it. Softirqs that run inside the thread are in it whether or not the
// kernel accounts them apart (CONFIG_IRQ_TIME_ACCOUNTING), which CLOCK_THREAD_CPUTIME_ID is not.
// Whoever may sleep meanwhile must measure its own part itself and give it to stop().
class Stopwatch {
public:
    explicit Stopwatch(int cpu);

    void start();
    // Nanoseconds since start().
    std::uint64_t stop(std::optional<std::uint64_t> own_ns) const;

private:
    struct Reading {
        std::uint64_t wall = 0, waited = 0, softirqs = 0;
    };
    Reading read() const;

    UniqueFd own_, ksoftirqd_;
    Reading start_;
};

}  // namespace wglan::bench
