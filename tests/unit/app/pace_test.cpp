// SPDX-License-Identifier: Apache-2.0
#include "agent/app/pace.h"

#include <gtest/gtest.h>

namespace wglan {
namespace {

constexpr SteadyTime kStart{Seconds(1000)};

TEST(Pace, NothingWasDoneSoTheFirstIsDueAtOnce) {
    EXPECT_LE(Pace(Milliseconds(500), Seconds(10)).next(), kStart);
}

TEST(Pace, RestsFourTimesAsLongWithinItsBounds) {
    struct Row {
        Milliseconds took, rest;
    };
    for (const Row row : {Row{Milliseconds(1), Milliseconds(500)}, Row{Milliseconds(200), Milliseconds(800)},
                          Row{Milliseconds(9000), Milliseconds(10000)}}) {
        Pace pace(Milliseconds(500), Seconds(10));
        pace.begin();
        pace.took(row.took, kStart);
        EXPECT_EQ(pace.next() - kStart, row.rest) << row.took.count();
    }
}

TEST(Pace, RestsAsLongAsItWorkedHoweverShortTheRestShallBe) {
    Pace pace(Milliseconds(5), Milliseconds(25));
    pace.begin();
    pace.took(Milliseconds(10), kStart);
    EXPECT_EQ(pace.next() - kStart, Milliseconds(25));
    pace.begin();
    pace.took(Milliseconds(300), kStart);
    EXPECT_EQ(pace.next() - kStart, Milliseconds(300));
}

TEST(PacedWork, IsDoneAtOnceWhereItIsDue) {
    boost::asio::io_context io;
    int done = 0;
    PacedWork work(io, Pace(Seconds(5), Seconds(10)), [&] { ++done; });
    work.now_or_ask();
    EXPECT_EQ(done, 1);
    work.now_or_ask();
    EXPECT_EQ(done, 1) << "it rests";
    work.cancel();
    work.now_or_ask();
    EXPECT_EQ(done, 1);
}

TEST(Pace, WhatFollowedFromTheWorkCountsWithIt) {
    Pace pace(Milliseconds(0), Seconds(10));
    pace.begin();
    pace.took(Milliseconds(100), kStart);
    pace.took(Milliseconds(400), kStart + Milliseconds(400));
    EXPECT_EQ(pace.next(), kStart + Milliseconds(400) + Milliseconds(2000));
    pace.begin();
    pace.took(Milliseconds(100), kStart + Seconds(5));
    EXPECT_EQ(pace.next(), kStart + Seconds(5) + Milliseconds(400));
}

TEST(PacedWork, DoesOnceWhatWasAskedForOften) {
    boost::asio::io_context io;
    int done = 0;
    PacedWork work(io, Pace(Milliseconds(0), Milliseconds(0)), [&] { ++done; });
    for (int i = 0; i < 100; ++i) work.ask();
    io.run();
    EXPECT_EQ(done, 1);
    work.ask();
    work.cancel();
    work.ask();
    io.restart();
    io.run();
    EXPECT_EQ(done, 1);
}

TEST(PacedWork, WaitsForWhatItsLastWorkSetOff) {
    boost::asio::io_context io;
    SteadyTime second{};
    int done = 0;
    PacedWork work(io, Pace(Milliseconds(0), Milliseconds(40)), [&] {
        if (++done == 2) second = system_clock().now();
    });
    work.ask();
    io.run_one();
    work.ask();  // due at once
    const SteadyTime told = system_clock().now();
    work.took(Seconds(1));  // but this was known only afterwards
    io.restart();
    io.run();
    EXPECT_EQ(done, 2);
    EXPECT_GE(second - told, Milliseconds(40));
}

}  // namespace
}  // namespace wglan
