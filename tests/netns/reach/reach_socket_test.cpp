// SPDX-License-Identifier: Apache-2.0
#include "agent/reach/reach_socket.h"

#include <poll.h>

#include <cerrno>

#include "tests/support/netns_test.h"
#include "tests/support/samples.h"

namespace wglan {
namespace {

using namespace samples;
using Stage = KnockStage;

constexpr std::uint16_t kPort = 51820;

// Knocks at this host's own addresses, over the loopback device.
class KnockTest : public test::NetnsTest {
protected:
    void SetUp() override {
        NetnsTest::SetUp();
        run("echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad; ip addr add 192.0.2.1/32 dev lo;"
            "ip -6 addr add 2001:db8::1/128 dev lo nodad");
    }
    static Knock knock(const char* where) {
        Knock one;
        one.nonce.fill(7);
        one.target = at(where);
        return one;
    }
    // The furthest stage of what comes within a second; nullopt = nothing.
    static std::optional<Stage> stage(KnockListener& listener, const Knock& wanted) {
        std::optional<Stage> furthest;
        for (int i = 0; i < 100 && furthest != Stage::delivered; ++i) {
            for (const auto& arrival : listener.read())
                if (arrival.knock == wanted)
                    furthest = std::max(furthest.value_or(arrival.stage), arrival.stage);
            ::poll(nullptr, 0, furthest ? 2 : 10);
        }
        return furthest;
    }
};

TEST_F(KnockTest, IsSeenComingInAndDelivered) {
    auto listener = KnockListener::open(kPort);
    ASSERT_TRUE(listener) << listener.error().message();
    for (const char* where : {"192.0.2.1:51820", "[2001:db8::1]:51820"}) {
        const Knock one = knock(where);
        auto sent = send_knock(one, 0x10);
        ASSERT_TRUE(sent) << sent.error().message();
        EXPECT_EQ(stage(*listener, one), Stage::delivered) << where;
    }
}

TEST_F(KnockTest, AFirewallOfThisHostIsToldFromTheWay) {
    if (try_run("nft list ruleset > /dev/null 2>&1") != 0) GTEST_SKIP() << "nft doesn't run here";
    run("nft add table inet t; nft add chain inet t i '{ type filter hook input priority 0; }';"
        "nft add rule inet t i udp dport 51820 drop");
    auto listener = KnockListener::open(kPort);
    ASSERT_TRUE(listener);
    for (const char* where : {"192.0.2.1:51820", "[2001:db8::1]:51820"}) {
        const Knock one = knock(where);
        ASSERT_TRUE(send_knock(one, 0x10));
        EXPECT_EQ(stage(*listener, one), Stage::device) << where;
    }
}

TEST_F(KnockTest, OtherPacketsAndPortsAreNotSeen) {
    auto listener = KnockListener::open(kPort);
    ASSERT_TRUE(listener);
    ASSERT_TRUE(send_knock(knock("192.0.2.1:51821"), 0x10));
    ASSERT_TRUE(send_knock(knock("[2001:db8::1]:51821"), 0x10));
    run("bash -c 'echo hello, this is no knock but long enough to be one if it were > "
        "/dev/udp/192.0.2.1/51820'");
    ::poll(nullptr, 0, 100);
    EXPECT_TRUE(listener->read().empty());
}

TEST_F(KnockTest, ComesFromAPortOfItsOwn) {
    run("nft add table inet t; nft add set inet t ports '{ type inet_service; flags dynamic; size 64; }';"
        "nft add chain inet t o '{ type filter hook output priority 0; }';"
        "nft add rule inet t o udp dport 51820 meta mark 0x10 add @ports '{ udp sport }'");
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(send_knock(knock("192.0.2.1:51820"), 0x10));
    const std::string ports = output_of("nft -j list set inet t ports | tr -cd ','");
    EXPECT_GE(ports.size(), 2U);
    EXPECT_EQ(output_of("nft list set inet t ports | grep -c 51820 || true"), "0\n");
}

class ReachSocketTest : public test::NetnsTest {
protected:
    void SetUp() override {
        NetnsTest::SetUp();
        run("echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad;"
            "ip link add wg0 type veth peer name wg1 && ip link set wg0 up && ip link set wg1 up;"
            "ip -6 addr add 200:1001::1/64 dev wg0 nodad; ip -6 addr add 2001:db8::1/128 dev lo nodad");
    }
};

TEST_F(ReachSocketTest, HearsItsDeviceAlone) {
    auto socket = ReachSocket::open(ip("200:1001::1"), "wg0");
    ASSERT_TRUE(socket) << socket.error().message();
    // To an address of this host the way is the loopback device.
    run("bash -c 'echo hello > /dev/udp/200:1001::1/51822'");
    ::poll(nullptr, 0, 50);
    EXPECT_TRUE(socket->read().empty());
}

TEST_F(ReachSocketTest, OpensBeforeTheAddressIsThere) {
    EXPECT_TRUE(ReachSocket::open(ip("200:1001::99"), "wg0"));
    EXPECT_FALSE(ReachSocket::open(ip("200:1001::1"), "no-such-device"));
    auto first = ReachSocket::open(ip("200:1001::1"), "wg0");
    ASSERT_TRUE(first);
    auto second = ReachSocket::open(ip("200:1001::1"), "wg0");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code(), EADDRINUSE) << second.error().message();
}

}  // namespace
}  // namespace wglan
