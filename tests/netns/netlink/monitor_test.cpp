// SPDX-License-Identifier: Apache-2.0
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

#include <gmock/gmock.h>

#include "agent/netlink/netlink.h"
#include "tests/support/netns_test.h"

namespace wglan {
namespace {

using What = NetlinkEvent::What;

class Monitor : public test::NetnsTest {
protected:
    void SetUp() override {
        NetnsTest::SetUp();
        auto netlink = make_netlink();
        ASSERT_TRUE(netlink) << netlink.error().message();
        netlink_ = std::move(*netlink);
        auto made = make_netlink_monitor(netlink_->port());
        ASSERT_TRUE(made) << made.error().message();
        monitor_ = std::move(*made);
    }

    std::vector<NetlinkEvent> events() const {
        auto events = monitor_->read_events();
        EXPECT_TRUE(events) << events.error().message();
        return events ? *events : std::vector<NetlinkEvent>();
    }

    // Reads until one matches; some notifications (carrier, IPv6 addresses) come from work that the
    // kernel puts off. False if none has come within 30 s.
    bool comes(const auto& matches) {
        pollfd wait{.fd = monitor_->fd(), .events = POLLIN, .revents = 0};
        while (!std::ranges::any_of(seen_, matches)) {
            if (::poll(&wait, 1, 30000) != 1) return false;
            const auto more = events();
            seen_.insert(seen_.end(), more.begin(), more.end());
        }
        return true;
    }

    void forget() {
        (void)events();
        seen_.clear();
    }

    std::vector<NetlinkEvent> seen_;
    std::unique_ptr<Netlink> netlink_;
    std::unique_ptr<NetlinkMonitor> monitor_;
};

TEST_F(Monitor, TellsOfLinks) {
    run("ip link add va type veth peer name vb");
    EXPECT_TRUE(comes([](const NetlinkEvent& event) {
        return event.what == What::link && event.interface == "va" && event.ifindex > 0 && !event.removed;
    }));
    run("ip link del va");
    for (const char* name : {"va", "vb"}) {
        EXPECT_TRUE(comes([&](const NetlinkEvent& event) {
            return event.what == What::link && event.interface == name && event.removed;
        })) << name;
    }
}

TEST_F(Monitor, ABridgePortThatLeavesIsNoLinkThatGoes) {
    if (try_run("ip link add br9 type bridge") != 0) GTEST_SKIP() << "this kernel has no bridges";
    run("ip link add va type veth peer name vb && ip link set va master br9 && ip link set va nomaster");
    run("ip link set va alias last");
    EXPECT_TRUE(comes([](const NetlinkEvent& event) { return event.interface == "va"; }));
    run("ip link del br9");
    EXPECT_TRUE(comes([](const NetlinkEvent& event) { return event.interface == "br9" && event.removed; }));
    EXPECT_FALSE(std::ranges::any_of(seen_, [](const NetlinkEvent& event) {
        return event.what == What::link && event.removed && event.interface == "va";
    }));
}

TEST_F(Monitor, TellsOfAddresses) {
    run("ip link add va type veth peer name vb && ip link set va up && ip link set vb up");
    const int ifindex = std::stoi(output_of("cat /sys/class/net/va/ifindex"));
    forget();
    run("ip address add 192.0.2.1/24 dev va");
    const auto added = [&](const NetlinkEvent& event) {
        return event.what == What::address && event.ifindex == ifindex && !event.removed;
    };
    EXPECT_TRUE(comes(added));
    run("ip address del 192.0.2.1/24 dev va");
    EXPECT_TRUE(comes([&](const NetlinkEvent& event) {
        return event.what == What::address && event.ifindex == ifindex && event.removed;
    }));
    forget();
    run("ip address add 2001:db8::1/64 dev va nodad");
    EXPECT_TRUE(comes(added));
}

TEST_F(Monitor, TellsOfRoutesOfTheMainTable) {
    run("ip link add va type veth peer name vb && ip link set va up && ip link set vb up");
    forget();
    run("ip route add 10.2.0.0/24 dev va table 77");
    run("ip route add 10.1.0.0/24 dev va proto 119 metric 5 && ip -6 route add fd01::/64 dev va proto 119");
    for (const char* prefix : {"10.1.0.0/24", "fd01::/64"}) {
        EXPECT_TRUE(comes([&](const NetlinkEvent& event) {
            return event.what == What::route && !event.removed && event.route->prefix.to_string() == prefix &&
                   event.route->protocol == kRouteProtocol && event.ifindex == event.route->ifindex;
        })) << prefix;
    }
    EXPECT_FALSE(std::ranges::any_of(seen_, [](const NetlinkEvent& event) {
        return event.route && event.route->prefix.to_string() == "10.2.0.0/24";
    }));
    run("ip route del 10.1.0.0/24 proto 119");
    EXPECT_TRUE(comes([](const NetlinkEvent& event) {
        return event.what == What::route && event.removed && event.route->prefix.to_string() == "10.1.0.0/24";
    }));
}

TEST_F(Monitor, LeavesOutWhatWeDidToRoutesOurselves) {
    run("ip link add va type veth peer name vb && ip link set va up && ip link set vb up");
    const auto device = netlink_->link("va");
    ASSERT_TRUE(device) << device.error().message();
    forget();
    for (const std::string prefix : {"10.3.0.0/24", "10.4.0.0/24", "fd03::/64", "fd04::/64"}) {
        Route route;
        route.prefix = *Prefix::parse(prefix);
        route.ifindex = device->ifindex;
        route.protocol = kRouteProtocol;
        ASSERT_TRUE(netlink_->add_route(route));
        if (prefix.find('3') == std::string::npos) continue;
        ASSERT_TRUE(netlink_->remove_route(route));
    }
    run("ip route del 10.4.0.0/24 && ip -6 route del fd04::/64");
    for (const char* prefix : {"10.4.0.0/24", "fd04::/64"}) {
        EXPECT_TRUE(comes([&](const NetlinkEvent& event) {
            return event.what == What::route && event.removed && event.route->prefix.to_string() == prefix;
        })) << prefix;
    }
    EXPECT_EQ(std::ranges::count_if(seen_,
                                    [](const NetlinkEvent& event) {
                                        return event.route && event.route->protocol == kRouteProtocol;
                                    }),
              2);
}

TEST_F(Monitor, NothingQueuedIsNoError) {
    // What the namespace's own set-up still sends ends some time.
    bool empty = false;
    for (int i = 0; i < 1000 && !empty; ++i) empty = events().empty();
    EXPECT_TRUE(empty);
}

TEST_F(Monitor, AnOverrunIsReportedAndLaterEventsFollow) {
    run("ip link add va type veth peer name vb && ip link set va up && ip link set vb up");
    forget();
    const auto set_buffer = [this](int size) {
        ASSERT_EQ(::setsockopt(monitor_->fd(), SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
    };
    set_buffer(0);  // the kernel's least
    run("for i in $(seq 1 200); do echo \"route add 10.9.$i.0/24 dev va\"; done | ip -batch -");
    EXPECT_TRUE(comes([](const NetlinkEvent& event) { return event.what == What::overrun; }));
    // In the small one a late carrier event could crowd the next route out as well.
    set_buffer(1 << 20);
    forget();
    run("ip route add 10.1.0.0/24 dev va");
    EXPECT_TRUE(comes([](const NetlinkEvent& event) {
        return event.route && event.route->prefix.to_string() == "10.1.0.0/24";
    }));
}

}  // namespace
}  // namespace wglan
