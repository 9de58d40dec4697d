// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/events.h"

#include <gtest/gtest.h>

namespace wglan {

namespace {

wglan_event sample() {
    wglan_event event{};
    event.time_ns = 5'000'001'999;
    event.ifindex = 4;
    event.peer = 7;
    event.kind = WGLAN_EVENT_DROP;
    event.reason = WGLAN_DROP_PEER_DOWN;
    event.protocol = 6;
    event.source_port = 40000;
    event.destination_port = 80;
    event.length = 60;
    event.source[10] = event.source[11] = 0xff;
    event.source[12] = 10;
    event.source[15] = 1;
    event.destination[0] = 0xfd;
    event.destination[15] = 2;
    return event;
}

}  // namespace

TEST(Events, DecodeEveryField) {
    PacketEvent event;
    ASSERT_TRUE(decode_event(sample(), 1'700'000'000'000'000, event));
    EXPECT_EQ(event.kind, PacketEvent::Kind::drop);
    EXPECT_EQ(event.time_us, 1'700'000'005'000'001);
    EXPECT_EQ(event.ifindex, 4);
    EXPECT_EQ(event.peer, 7U);
    EXPECT_EQ(event.reason, "peer_down");
    EXPECT_EQ(event.protocol, 6);
    EXPECT_EQ(event.source, IpAddress::parse("10.0.0.1").value());
    EXPECT_EQ(event.destination, IpAddress::parse("fd00::2").value());
    EXPECT_EQ(event.source_port, 40000);
    EXPECT_EQ(event.destination_port, 80);
    EXPECT_EQ(event.length, 60U);
}

TEST(Events, ReasonsAreForDropsOnly) {
    PacketEvent event;
    wglan_event raw = sample();
    raw.reason = 31;
    ASSERT_TRUE(decode_event(raw, 0, event));
    EXPECT_EQ(event.reason, "unknown");
    raw.kind = WGLAN_EVENT_MSS_CLAMP;
    raw.value = 1380;
    raw.before = 1460;
    ASSERT_TRUE(decode_event(raw, 0, event));
    EXPECT_EQ(event.reason, "");
    EXPECT_EQ(event.value, 1380U);
    EXPECT_EQ(event.before, 1460U);
}

TEST(Events, KindsOfOtherVersionsAreLeftOut) {
    PacketEvent event;
    wglan_event raw = sample();
    for (int kind = 0; kind < 256; ++kind) {
        raw.kind = static_cast<__u8>(kind);
        const bool known = decode_event(raw, 0, event);
        EXPECT_EQ(known, kind >= 1 && kind <= 5) << kind;
        if (known) {
            EXPECT_NE(to_string(event.kind), "unknown");
        }
    }
}

}  // namespace wglan
