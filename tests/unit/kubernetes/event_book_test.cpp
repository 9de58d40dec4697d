// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/kubernetes/event_book.h"

#include <gtest/gtest.h>

namespace wglan {
namespace {

constexpr SteadyTime kStart = SteadyTime{} + Seconds{10'000};

struct Teller {
    // Tells all that is due; returns how many.
    int tell(SteadyTime now) {
        int count = 0;
        while (const auto* next = book.next(now)) {
            book.told(*next, "name", next->seen, now);
            ++count;
        }
        return count;
    }
    void take(const std::string& note, SteadyTime now) { book.take({true, "PeerDown", note}, now, 1); }
    EventBook book;
};

TEST(EventBook, AFewAtOnceThenOneAtATime) {
    Teller teller;
    for (int i = 0; i < 20; ++i) teller.take("peer " + std::to_string(i), kStart);
    EXPECT_EQ(teller.tell(kStart), EventBook::kAtOnce);
    EXPECT_EQ(teller.book.due(), kStart + EventBook::kInterval);
    EXPECT_EQ(teller.tell(kStart + Seconds{29}), 0);
    EXPECT_EQ(teller.tell(kStart + Seconds{30}), 1);
    EXPECT_EQ(teller.tell(kStart + Seconds{90}), 2);
}

TEST(EventBook, RepeatsAreCountedOnceAMinute) {
    Teller teller;
    teller.take("peer", kStart);
    EXPECT_EQ(teller.tell(kStart), 1);
    for (int i = 1; i < 5; ++i) teller.take("peer", kStart + Seconds{i});
    EXPECT_EQ(teller.tell(kStart + Seconds{59}), 0);
    const auto* next = teller.book.next(kStart + Seconds{60});
    ASSERT_NE(next, nullptr);
    EXPECT_EQ(next->seen, 5U);
    EXPECT_EQ(next->name, "name");
    EXPECT_EQ(teller.tell(kStart + Seconds{60}), 1);
    EXPECT_FALSE(teller.book.due());
}

TEST(EventBook, WhatTheApiDroppedIsMadeAnew) {
    Teller teller;
    teller.take("peer", kStart);
    teller.tell(kStart);
    teller.take("peer", kStart + Seconds{70});
    const auto* next = teller.book.next(kStart + Seconds{70});
    ASSERT_NE(next, nullptr);
    teller.book.told(*next, "", 0, kStart + Seconds{70});
    next = teller.book.next(kStart + Seconds{71});
    ASSERT_NE(next, nullptr);
    EXPECT_EQ(next->name, "");
    EXPECT_EQ(next->seen, 1U);
}

TEST(EventBook, IsBoundedAndForgets) {
    Teller teller;
    for (int i = 0; i < 100; ++i) teller.take("peer " + std::to_string(i), kStart);
    int told = 0;
    for (int i = 0; i < 100; ++i) told += teller.tell(kStart + EventBook::kInterval * i);
    EXPECT_EQ(told, static_cast<int>(EventBook::kMost));
    const SteadyTime later = kStart + EventBook::kInterval * 100 + EventBook::kSame;
    teller.take("peer 1", later);
    const auto* next = teller.book.next(later);
    ASSERT_NE(next, nullptr);
    EXPECT_EQ(next->name, "") << "forgotten, so it is another one";
    teller.book.drop(*next);
    EXPECT_EQ(teller.book.next(later), nullptr);
}

}  // namespace
}  // namespace wglan
