// SPDX-License-Identifier: Apache-2.0
#include "agent/app/absences.h"

#include <gtest/gtest.h>

#include "tests/support/samples.h"

namespace wglan {
namespace {

using namespace samples;

TEST(Absences, OnlyThoseThatStayAway) {
    Absences absences{Seconds(60)};
    const SteadyTime start{};
    const auto at = [&](int s) { return start + Seconds(s); };
    EXPECT_TRUE(absences.long_away({identity(1), identity(2)}, at(0)).empty()) << "it may just have come";
    EXPECT_TRUE(absences.long_away({identity(1), identity(2)}, at(59)).empty());
    EXPECT_EQ(absences.long_away({identity(1), identity(3)}, at(60)), std::vector{identity(1)});
    EXPECT_TRUE(absences.long_away({identity(2)}, at(61)).empty()) << "it was there meanwhile";
    EXPECT_EQ(absences.long_away({identity(2)}, at(121)), std::vector{identity(2)});
}

}  // namespace
}  // namespace wglan
