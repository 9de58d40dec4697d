// SPDX-License-Identifier: Apache-2.0
#include "agent/app/pace.h"

#include <algorithm>

namespace wglan {
namespace {

constexpr int kRest = 4;
// Events come in groups: the first of them sets it off, and sees the others too.
constexpr Milliseconds kSoon{5};

}  // namespace

void Pace::begin() { cost_ = {}; }

void Pace::took(SteadyTime::duration time, SteadyTime ended) {
    cost_ += time;
    // However short the rest shall be, half of the time is others'.
    const auto most = std::max<SteadyTime::duration>(most_, cost_);
    next_ = ended + std::clamp<SteadyTime::duration>(kRest * cost_, least_, most);
}

void PacedWork::ask() {
    if (pending_ || cancelled_) return;
    pending_ = true;
    wait();
}

void PacedWork::wait() {
    const SteadyTime due = std::max(pace_.next(), system_clock().now() + kSoon);
    timer_.expires_at(due);
    timer_.async_wait([this, due](const boost::system::error_code& error) {
        if (error || cancelled_) return;
        // What the last work set off may have been told since.
        if (pace_.next() > due) {
            wait();
            return;
        }
        pending_ = false;
        work();
    });
}

void PacedWork::work() {
    pace_.begin();
    const SteadyTime since = system_clock().now();
    work_();
    took(system_clock().now() - since);
}

void PacedWork::now_or_ask() {
    if (cancelled_) return;
    if (pace_.next() > system_clock().now())
        ask();
    else
        work();
}

void PacedWork::cancel() {
    cancelled_ = true;
    timer_.cancel();
}

}  // namespace wglan
