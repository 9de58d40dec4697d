// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/direct.h"

#include <gtest/gtest.h>

namespace wglan {
namespace {

Prefix net(const std::string& text) { return Prefix::parse(text).value(); }

TEST(DirectCodec, PodsSurvive) {
    for (const auto kind :
         {PodDevice::Kind::peer, PodDevice::Kind::device, PodDevice::Kind::port, PodDevice::Kind::bridge}) {
        const PodDevice device{17, "", kind, {2, 1, 4, 3, 6, 5}};
        EXPECT_EQ(decode_pod(17, encode_pod(device)), device);
    }
}

TEST(DirectCodec, OwnPrefixesSurvive) {
    for (const auto& own : std::vector<std::set<Prefix>>{
             {},
             {net("10.244.1.0/24")},
             {net("0.0.0.0/0"), net("10.0.0.0/9"), net("10.2.3.4/32"), net("fd00:244:1::/64"), net("::/0"),
              net("2001:db8::1/128"), net("fd00::/9")}})
        EXPECT_EQ(decode_own(encode_own(own)), own);
    const wglan_own encoded = encode_own({net("10.244.8.0/21"), net("fd00:244:1::/60")});
    EXPECT_EQ(encoded.count4, 1U);
    EXPECT_EQ(encoded.count6, 1U);
    EXPECT_EQ(encoded.ipv4[0].mask[2], 0xf8);
    EXPECT_EQ(encoded.ipv4[0].mask[3], 0);
    EXPECT_EQ(encoded.ipv6[0].mask[7], 0xf0);
    EXPECT_EQ(encoded.ipv6[0].mask[8], 0);
}

TEST(DirectCodec, MoreOwnPrefixesThanThereIsRoomAreLeftOut) {
    std::set<Prefix> many;
    for (int i = 0; i < 20; ++i) many.insert(net("10.244." + std::to_string(i) + ".0/24"));
    many.insert(net("fd00::/64"));
    const auto kept = decode_own(encode_own(many));
    EXPECT_EQ(kept.size(), kMaxOwnPrefixes + 1);
    EXPECT_TRUE(kept.contains(net("fd00::/64")));
}

}  // namespace
}  // namespace wglan
