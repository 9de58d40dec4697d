// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/replay.h"

#include <gtest/gtest.h>

#include "tests/support/samples.h"

namespace wglan {
namespace {

using namespace samples;

TEST(ReplayFrame, AnIpv4PacketWithItsChecksumAndPorts) {
    const auto frame = replay_frame({ip("192.0.2.1"), ip("10.1.2.3"), 17, 40000, 53, 0});
    ASSERT_EQ(frame.size(), 14U + 20 + 8 + 16);
    EXPECT_EQ(frame[12] << 8 | frame[13], 0x0800);
    EXPECT_EQ(frame[14 + 2] << 8 | frame[14 + 3], 20 + 8 + 16);
    EXPECT_EQ(frame[14 + 9], 17);
    std::uint32_t sum = 0;
    for (std::size_t i = 14; i < 34; i += 2) sum += static_cast<std::uint32_t>(frame[i] << 8 | frame[i + 1]);
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    EXPECT_EQ(sum, 0xffffU);
    EXPECT_EQ(frame[34] << 8 | frame[35], 40000);
    EXPECT_EQ(frame[36] << 8 | frame[37], 53);
}

TEST(ReplayFrame, AnIpv6PacketOfAnyProtocol) {
    const auto tcp = replay_frame({ip("2001:db8::1"), ip("fd01::1"), 6, 40000, 443, 0});
    ASSERT_EQ(tcp.size(), 14U + 40 + 20 + 16);
    EXPECT_EQ(tcp[12] << 8 | tcp[13], 0x86dd);
    EXPECT_EQ(tcp[14 + 6], 6);
    EXPECT_EQ(tcp[54 + 12], 0x50);
    const auto icmp = replay_frame({ip("2001:db8::1"), ip("fd01::1"), 58, 0, 0, 0});
    EXPECT_EQ(icmp[54], 128) << "an echo, not neighbour discovery";
    EXPECT_EQ(replay_frame({ip("2001:db8::1"), ip("fd01::1"), 253, 0, 0, 0}).size(), 14U + 40 + 8 + 16);
}

}  // namespace
}  // namespace wglan
