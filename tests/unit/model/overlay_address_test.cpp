// SPDX-License-Identifier: Apache-2.0
// The vectors of docs/addresses.md.
#include "agent/model/overlay_address.h"

#include <gtest/gtest.h>

#include "tests/support/samples.h"

namespace wglan {
namespace {

using namespace samples;

TEST(Eui64, FlipsTheUniversalBitAndInsertsFffe) {
    // RFC 4291 appendix A: 34-56-78-9A-BC-DE -> 3656:78ff:fe9a:bcde.
    EXPECT_EQ(eui64_address(default_overlay_prefix(), {0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde}).to_string(),
              "200:1001::3656:78ff:fe9a:bcde");
    // A locally administered MAC loses the bit.
    EXPECT_EQ(eui64_address(default_overlay_prefix(), {0x02, 0, 0, 0, 0, 0x01}).to_string(),
              "200:1001::ff:fe00:1");
    EXPECT_EQ(eui64_address(net("fd00:1:2:3::/64"), {0, 0, 0, 0, 0, 0}).to_string(),
              "fd00:1:2:3:200:ff:fe00:0");
}

TEST(KeyAddress, IsTheHeadOfTheKeysHash) {
    PublicKey zero;  // SHA-256 of 32 zero bytes: 66687aadf862bd77...
    EXPECT_EQ(key_address(default_overlay_prefix(), zero).to_string(), "200:1001::6668:7aad:f862:bd77");
}

TEST(UlaPrefix, IsFdAndTheHashOfTheDiscoveryId) {
    // SHA-256("") = e3b0c44298fc1c149afb...
    EXPECT_EQ(ula_prefix("").to_string(), "fde3:b0c4:4298:fc1c::/64");
}

Link link(const char* name, std::uint8_t last, bool physical, bool stable) {
    Link l;
    l.name = name;
    l.has_mac = true;
    l.mac = {0x52, 0x54, 0, 0, 0, last};
    l.physical = physical;
    l.mac_stable = stable;
    return l;
}

TEST(HostMac, PrefersTheFirstPhysicalLinkByName) {
    const auto mac = host_mac(
        {link("eth1", 1, true, true), link("br0", 2, false, true), link("eth0", 3, true, false)}, "wglan0");
    ASSERT_TRUE(mac);
    EXPECT_EQ((*mac)[5], 3);
}

TEST(HostMac, TakesAStableVirtualLinkOtherwiseAndNothingRandom) {
    EXPECT_EQ((*host_mac({link("veth0", 1, false, false), link("eth0", 2, false, true)}, "wglan0"))[5], 2);
    EXPECT_FALSE(host_mac({link("veth0", 1, false, false)}, "wglan0"));
    EXPECT_FALSE(host_mac({link("wglan0", 1, true, true)}, "wglan0"));
    Link lo = link("lo", 1, true, true);
    lo.loopback = true;
    EXPECT_FALSE(host_mac({lo}, "wglan0"));
}

TEST(LinkScopeIpv4, NeverTakesAReservedBlock) {
    for (int i = 0; i < 20000; ++i) {
        PublicKey k;
        k.bytes[0] = static_cast<std::uint8_t>(i);
        k.bytes[1] = static_cast<std::uint8_t>(i >> 8);
        const auto address = link_scope_ipv4(k);
        const auto b = address.bytes();
        ASSERT_TRUE(net("169.254.0.0/16").contains(address));
        ASSERT_TRUE(b[2] > 1 && b[2] != 20 && (b[2] < 169 || b[2] > 172) && b[2] < 254)
            << address.to_string();
        ASSERT_TRUE(b[3] != 0 && b[3] != 255);
    }
}

}  // namespace
}  // namespace wglan
