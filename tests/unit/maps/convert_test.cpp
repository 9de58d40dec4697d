// SPDX-License-Identifier: Apache-2.0
#include "maps/convert.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace wglan {

namespace {

Prefix prefix(const char* text) { return Prefix::parse(text).value(); }

}  // namespace

TEST(Convert, PrefixesSurviveTheirKeys) {
    for (const char* text : {"0.0.0.0/0", "10.1.0.0/16", "192.0.2.7/32", "10.0.0.0/9"})
        EXPECT_EQ(to_prefix(to_key4(prefix(text))), prefix(text));
    for (const char* text : {"::/0", "fd01::/32", "2001:db8::1/128", "2001:db8::/45"})
        EXPECT_EQ(to_prefix(to_key6(prefix(text))), prefix(text));
}

TEST(Convert, KeysHoldBytesInNetworkOrder) {
    const auto key = to_key4(prefix("10.1.2.0/24"));
    EXPECT_EQ(key.prefix_len, 24U);
    EXPECT_TRUE(std::equal(std::begin(key.address), std::end(key.address),
                           std::begin({__u8{10}, __u8{1}, __u8{2}, __u8{0}})));
}

TEST(Convert, ForeignKeysGiveValidPrefixes) {
    EXPECT_EQ(to_prefix(wglan_key4{8, {10, 1, 2, 3}}), prefix("10.0.0.0/8"));
    EXPECT_EQ(to_prefix(wglan_key4{4000, {10, 1, 2, 3}}), prefix("10.1.2.3/32"));
    wglan_key6 key{};
    key.prefix_len = 129;
    EXPECT_EQ(to_prefix(key), prefix("::/128"));
}

TEST(Convert, EndpointKeysMapIpv4) {
    const auto endpoint = Endpoint::parse("192.0.2.7:51820").value();
    const auto key = to_endpoint_key(WGLAN_ENDPOINT_OUTER, endpoint, 17);
    EXPECT_EQ(key.address[11], 0xff);
    EXPECT_EQ(key.address[12], 192);
    EXPECT_EQ(key.port, 51820);
    EXPECT_EQ(to_address(key.address), endpoint.address);
    EXPECT_EQ(to_endpoint_key(WGLAN_ENDPOINT_FRAGMENT, endpoint, 17).port, 0);
    const auto six = Endpoint::parse("[2001:db8::1]:1").value();
    EXPECT_EQ(to_address(to_endpoint_key(WGLAN_ENDPOINT_REACH, six, 6).address), six.address);
}

TEST(Convert, NamesAreCutAtWholeCharacters) {
    char name[WGLAN_NAME_LENGTH];
    std::fill(std::begin(name), std::end(name), 'x');
    put_name(name, "node-a");
    EXPECT_EQ(get_name(name), "node-a");
    EXPECT_EQ(name[31], 0);
    EXPECT_EQ(name[10], 0);
    put_name(name, std::string(31, 'a'));
    EXPECT_EQ(get_name(name), std::string(31, 'a'));
    put_name(name, std::string(40, 'a'));
    EXPECT_EQ(get_name(name), std::string(31, 'a'));
    put_name(name, std::string(30, 'a') + "\xc3\xa4");  // a two-byte character at the cut
    EXPECT_EQ(get_name(name), std::string(30, 'a'));
    put_name(name, "");
    EXPECT_EQ(get_name(name), "");
    std::fill(std::begin(name), std::end(name), 'x');
    EXPECT_EQ(get_name(name).size(), 32U);  // a foreign one without an end
}

}  // namespace wglan
