// SPDX-License-Identifier: Apache-2.0
#include "maps/names.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

namespace wglan {

TEST(Names, DropReasonsAreDistinctAndFitTheCounters) {
    std::set<std::uint32_t> numbers;
    std::set<std::string_view> names;
    for (const DropReason& reason : kDropReasons) {
        EXPECT_LT(reason.number, WGLAN_DROP_SPARE);
        EXPECT_TRUE(numbers.insert(reason.number).second);
        EXPECT_TRUE(names.insert(reason.name).second);
        EXPECT_EQ(reason.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), std::string_view::npos);
        EXPECT_EQ(drop_reason_name(reason.number), reason.name);
    }
    EXPECT_EQ(drop_reason_name(31), "unknown");
    EXPECT_EQ(drop_reason_name(WGLAN_DROP_PEER_DOWN), "peer_down");
}

TEST(Names, MapNamesFitTheKernels) {
    for (const char* name : kPinnedMaps) EXPECT_LE(std::string(name).size(), 15U);
    for (const char* name : kGuardMaps) EXPECT_LE(std::string(name).size(), 15U);
}

}  // namespace wglan
