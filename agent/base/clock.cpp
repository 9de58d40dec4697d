// SPDX-License-Identifier: Apache-2.0
#include "agent/base/clock.h"

#include <time.h>

#include <array>

namespace wglan {
namespace {

// CLOCK_BOOTTIME: std::chrono::steady_clock is CLOCK_MONOTONIC, which stands still while the
// machine sleeps; sessions and leases of other machines do not.
class SystemClock final : public Clock {
public:
    SteadyTime now() const override {
        timespec ts{};
        clock_gettime(CLOCK_BOOTTIME, &ts);
        const auto since = std::chrono::seconds(ts.tv_sec) + std::chrono::nanoseconds(ts.tv_nsec);
        return SteadyTime(std::chrono::duration_cast<SteadyTime::duration>(since));
    }
    UnixTime unix_now() const override {
        timespec ts{};
        clock_gettime(CLOCK_REALTIME, &ts);
        return ts.tv_sec;
    }
};

}  // namespace

const Clock& system_clock() {
    static const SystemClock clock;
    return clock;
}

std::string rfc3339(UnixTime time) {
    if (time == 0) return {};
    const time_t seconds = time;
    tm parts{};
    if (gmtime_r(&seconds, &parts) == nullptr) return {};
    std::array<char, 64> text{};
    const std::size_t length = strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
    return {text.data(), length};
}

}  // namespace wglan
