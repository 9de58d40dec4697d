// SPDX-License-Identifier: Apache-2.0
#include "agent/probe/echo_socket.h"

#include <net/if.h>
#include <poll.h>

#include <algorithm>

#include "tests/support/netns_test.h"
#include "tests/support/samples.h"

namespace wglan {
namespace {

using namespace samples;

class EchoSocketTest : public test::NetnsTest {
protected:
    void SetUp() override {
        NetnsTest::SetUp();
        run("echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad;"
            "ip link add tunnel0 type veth peer name tunnel1 && ip link set tunnel0 up && ip link set "
            "tunnel1 up;"
            "ip -6 addr add 200:1001::1/64 dev tunnel0 nodad; ip -6 addr add 200:1001::2/64 dev lo nodad");
    }
    // All answers that come within a second.
    static std::vector<std::uint64_t> answers(EchoSocket& socket, std::size_t wanted) {
        std::vector<std::uint64_t> all;
        pollfd ready{socket.fd(), POLLIN, 0};
        while (all.size() < wanted && ::poll(&ready, 1, 1000) > 0)
            for (const std::uint64_t number : socket.read().echoes) all.push_back(number);
        std::sort(all.begin(), all.end());
        return all;
    }
    static int ifindex(const char* name) { return static_cast<int>(::if_nametoindex(name)); }
};

TEST_F(EchoSocketTest, TheKernelAnswers) {
    auto socket = EchoSocket::open();
    ASSERT_TRUE(socket) << socket.error().message();
    EXPECT_TRUE(socket->raw());
    std::vector<std::uint64_t> sent;
    for (std::uint64_t number = 1; number <= 300; ++number) {
        ASSERT_TRUE(socket->send(ip("200:1001::2"), ifindex("lo"), number));
        sent.push_back(number);
    }
    EXPECT_EQ(answers(*socket, sent.size()), sent);
}

TEST_F(EchoSocketTest, OthersEchoesDontWakeIt) {
    auto socket = EchoSocket::open();
    auto other = EchoSocket::open();
    ASSERT_TRUE(socket && other);
    // A namespace that is a moment old may lose the first.
    std::vector<std::uint64_t> answered;
    for (std::uint64_t number = 1; answered.empty() && number <= 5; ++number) {
        ASSERT_TRUE(other->send(ip("200:1001::2"), ifindex("lo"), number));
        answered = answers(*other, 1);
    }
    EXPECT_EQ(answered.size(), 1U);
    pollfd ready{socket->fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&ready, 1, 50), 0);
}

TEST_F(EchoSocketTest, HearsWhoHearsNothing) {
    auto socket = EchoSocket::open();
    auto other = EchoSocket::open();
    ASSERT_TRUE(socket && other);
    std::vector<IpAddress> deaf;
    for (std::uint64_t number = 1; deaf.empty() && number <= 5; ++number) {
        ASSERT_TRUE(other->send(ip("200:1001::2"), ifindex("lo"), number, true));
        pollfd ready{socket->fd(), POLLIN, 0};
        if (::poll(&ready, 1, 1000) > 0) deaf = socket->read().deaf;
    }
    ASSERT_FALSE(deaf.empty());
    EXPECT_EQ(deaf.front(), ip("200:1001::2")) << "on one host both ends have one address";
}

TEST_F(EchoSocketTest, SendsOutOfThatDeviceAlone) {
    auto socket = EchoSocket::open();
    ASSERT_TRUE(socket);
    run("ip link add other0 type veth peer name other1 && ip link set other0 up && ip link set other1 up;"
        "ip -6 route add 200:1002::/64 dev other0");
    EXPECT_FALSE(socket->send(ip("200:1002::5"), ifindex("tunnel0"), 1)) << "the route to it leads elsewhere";
    EXPECT_FALSE(socket->send(ip("200:1001::2"), 4711, 2)) << "no such device";
}

}  // namespace
}  // namespace wglan
