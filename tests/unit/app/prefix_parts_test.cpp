// SPDX-License-Identifier: Apache-2.0
#include "agent/app/prefix_parts.h"

#include <gtest/gtest.h>

#include "tests/support/samples.h"

namespace wglan {
namespace {

using namespace samples;

TEST(PrefixParts, HalvesMakeUpThePrefix) {
    EXPECT_EQ(halves(net("10.244.2.0/24")), std::pair(net("10.244.2.0/25"), net("10.244.2.128/25")));
    EXPECT_EQ(halves(net("0.0.0.0/0")), std::pair(net("0.0.0.0/1"), net("128.0.0.0/1")));
    EXPECT_EQ(halves(net("192.0.2.2/31")), std::pair(net("192.0.2.2/32"), net("192.0.2.3/32")));
    EXPECT_EQ(halves(net("fd00:2::/64")), std::pair(net("fd00:2::/65"), net("fd00:2::8000:0:0:0/65")));
}

TEST(PrefixParts, WithoutHolesAllIsLeft) {
    const Prefix pods = net("10.244.2.0/24");
    EXPECT_EQ(without(pods, {net("10.244.2.4/30")}),
              (std::vector{net("10.244.2.0/30"), net("10.244.2.8/29"), net("10.244.2.16/28"),
                           net("10.244.2.32/27"), net("10.244.2.64/26"), net("10.244.2.128/25")}));
    EXPECT_TRUE(without(pods, {net("10.0.0.0/8")}).empty());
    EXPECT_EQ(without(pods, {net("10.245.0.0/16")}), std::vector{pods});
    EXPECT_TRUE(has_hole(pods, {net("10.244.2.0/24")}));
    EXPECT_FALSE(has_hole(pods, {net("10.244.0.0/16")}));
}

}  // namespace
}  // namespace wglan
