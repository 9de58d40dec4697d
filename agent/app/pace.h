// SPDX-License-Identifier: Apache-2.0
// How often work is done that others can ask for at any rate: a share of the time at most.
#pragma once

#include <functional>

#include <boost/asio/steady_timer.hpp>

#include "agent/base/clock.h"

namespace wglan {

// Pure. After work the next is due when four times as long has passed as it took: a fifth of the time is
// its share. `least` and `most` bound that rest, which is never shorter than the work.
class Pace {
public:
    Pace(Milliseconds least, Milliseconds most) : least_(least), most_(most) {}

    // The work took that long and ended at that time; told again, what follows from it counts as well.
    void took(SteadyTime::duration time, SteadyTime ended);
    void begin();  // a new piece of work
    // When the next may begin; in the past where nothing was done yet.
    SteadyTime next() const { return next_; }

private:
    Milliseconds least_, most_;
    SteadyTime::duration cost_{};
    SteadyTime next_{};
};

// Does `work` soon after it was asked for, however often that was, but at its pace. The work itself is
// measured; took() adds what it set off elsewhere.
class PacedWork {
public:
    PacedWork(boost::asio::io_context& io, Pace pace, std::function<void()> work)
        : timer_(io), pace_(pace), work_(std::move(work)) {}

    void ask();
    void now_or_ask();  // at once where it is due
    void took(SteadyTime::duration time) { pace_.took(time, system_clock().now()); }
    void cancel();  // for good

private:
    void wait();
    void work();

    boost::asio::steady_timer timer_;
    Pace pace_;
    std::function<void()> work_;
    bool pending_ = false, cancelled_ = false;
};

}  // namespace wglan
