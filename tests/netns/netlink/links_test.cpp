// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>

#include <gmock/gmock.h>

#include "agent/base/unique_fd.h"
#include "agent/netlink/netlink.h"
#include "tests/support/netns_test.h"

namespace wglan {
namespace {

using testing::HasSubstr;

class NetlinkLinks : public test::NetnsTest {
protected:
    void SetUp() override {
        NetnsTest::SetUp();
        auto made = make_netlink();
        ASSERT_TRUE(made) << made.error().message();
        netlink_ = std::move(*made);
    }

    Link link(const std::string& name) const {
        auto found = netlink_->link(name);
        EXPECT_TRUE(found) << found.error().message();
        return found ? *found : Link();
    }

    std::vector<InterfaceAddress> addresses_of(int ifindex) const {
        auto all = netlink_->addresses();
        EXPECT_TRUE(all) << all.error().message();
        std::erase_if(*all, [&](const InterfaceAddress& address) { return address.ifindex != ifindex; });
        return *all;
    }

    // A second network namespace, for as long as the descriptor is open.
    static UniqueFd other_namespace() {
        const UniqueFd here(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
        EXPECT_EQ(::unshare(CLONE_NEWNET), 0);
        UniqueFd there(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
        EXPECT_EQ(::setns(here.get(), CLONE_NEWNET), 0);
        return there;
    }

    // Kernels for tests may lack the drivers of some kinds.
    static bool can_make(const std::string& what) { return try_run("ip link add " + what) == 0; }

    std::unique_ptr<Netlink> netlink_;
};

TEST_F(NetlinkLinks, DescribesVethsAndTheirNamespaces) {
    run("ip link add va type veth peer name vb && ip link add vc type veth peer name vd");
    run("ip link set va address 02:00:00:00:00:01 && ip link set va mtu 1400 alias someone && ip link set va "
        "up");
    const UniqueFd elsewhere = other_namespace();
    run("ip link set vd netns /proc/" + std::to_string(::getpid()) + "/fd/" +
        std::to_string(elsewhere.get()) + " && ip link set vc up");
    const Link near = link("va");
    EXPECT_EQ(near.kind, "veth");
    EXPECT_EQ(near.alias, "someone");
    EXPECT_EQ(near.mtu, 1400U);
    EXPECT_TRUE(near.has_mac);
    EXPECT_EQ(near.mac, (std::array<std::uint8_t, 6>{2, 0, 0, 0, 0, 1}));
    EXPECT_TRUE(near.mac_stable);
    EXPECT_TRUE(near.up);
    EXPECT_FALSE(near.running);
    EXPECT_FALSE(near.physical);
    EXPECT_EQ(near.peer_ifindex, link("vb").ifindex);
    EXPECT_FALSE(near.peer_in_other_netns);
    EXPECT_FALSE(link("vb").mac_stable);
    EXPECT_FALSE(link("vb").up);
    EXPECT_TRUE(link("vc").peer_in_other_netns);

    const Link lo = link("lo");
    EXPECT_TRUE(lo.loopback);
    EXPECT_FALSE(lo.has_mac);
    const auto links = netlink_->links();
    ASSERT_TRUE(links) << links.error().message();
    EXPECT_THAT(*links, testing::Contains(near));
    EXPECT_THAT(*links, testing::Contains(lo));
    EXPECT_THAT(*links, testing::SizeIs(testing::Ge(4)));
}

TEST_F(NetlinkLinks, NamesTheKindOfAMaster) {
    if (!can_make("br9 type bridge")) GTEST_SKIP() << "this kernel has no bridges";
    run("ip link add va type veth peer name vb && ip link set va master br9");
    EXPECT_EQ(link("va").master, link("br9").ifindex);
    EXPECT_EQ(link("va").master_kind, "bridge");
    EXPECT_EQ(link("br9").kind, "bridge");
    EXPECT_EQ(link("vb").master, 0);
}

TEST_F(NetlinkLinks, MissingDevicesAreNotFound) {
    EXPECT_EQ(netlink_->link("none9").error().kind(), ErrorKind::not_found);
    EXPECT_EQ(netlink_->set_mtu(4711, 1400).error().kind(), ErrorKind::not_found);
    EXPECT_EQ(netlink_->set_up(4711, true).error().kind(), ErrorKind::not_found);
    EXPECT_EQ(netlink_->set_alias(4711, "x").error().kind(), ErrorKind::not_found);
    EXPECT_EQ(netlink_->rp_filter(4711).error().kind(), ErrorKind::not_found);
    EXPECT_EQ(netlink_->set_rp_filter(4711, 2).error().kind(), ErrorKind::not_found);
    EXPECT_EQ(netlink_->forwarding(0, Family::v6).error().kind(), ErrorKind::not_found);
    EXPECT_EQ(netlink_->set_threaded_napi("none9", true).error().kind(), ErrorKind::not_found);
    EXPECT_EQ(netlink_->link("a-name-that-is-too-long").error().kind(), ErrorKind::invalid);
    EXPECT_EQ(netlink_->link("../eth0").error().kind(), ErrorKind::invalid);
}

TEST_F(NetlinkLinks, ChangesAndRemovesALink) {
    run("ip link add va type veth peer name vb");
    const int ifindex = link("va").ifindex;
    EXPECT_TRUE(netlink_->set_mtu(ifindex, 1420));
    EXPECT_TRUE(netlink_->set_alias(ifindex, kInterfaceAlias));
    EXPECT_TRUE(netlink_->set_up(ifindex, true));
    EXPECT_EQ(link("va").mtu, 1420U);
    EXPECT_EQ(link("va").alias, kInterfaceAlias);
    EXPECT_TRUE(link("va").up);
    EXPECT_TRUE(netlink_->set_up(ifindex, false));
    EXPECT_FALSE(link("va").up);
    EXPECT_EQ(netlink_->set_mtu(ifindex, 10).error().kind(), ErrorKind::invalid);
    EXPECT_TRUE(netlink_->remove_link("va"));
    EXPECT_EQ(netlink_->link("va").error().kind(), ErrorKind::not_found);
    EXPECT_TRUE(netlink_->remove_link("va"));
}

TEST_F(NetlinkLinks, MakesAWireGuardDeviceWithOurMark) {
    const auto made = netlink_->create_wireguard("wg9");
    if (!made && made.error().kind() == ErrorKind::unsupported) {
        EXPECT_THAT(made.error().message(), HasSubstr("wg9"));
        EXPECT_EQ(netlink_->link("wg9").error().kind(), ErrorKind::not_found);
        GTEST_SKIP() << "this kernel has no WireGuard: " << made.error().message();
    }
    ASSERT_TRUE(made) << made.error().message();
    EXPECT_EQ(link("wg9").kind, "wireguard");
    EXPECT_EQ(link("wg9").alias, kInterfaceAlias);
    EXPECT_FALSE(link("wg9").has_mac);
    EXPECT_EQ(netlink_->create_wireguard("wg9").error().kind(), ErrorKind::exists);
    EXPECT_EQ(link("wg9").alias, kInterfaceAlias);
    const auto threaded = netlink_->set_threaded_napi("wg9", true);
    EXPECT_TRUE(threaded || threaded.error().kind() == ErrorKind::unsupported) << threaded.error().message();
}

TEST_F(NetlinkLinks, SettingsOfOneDeviceLeaveTheOthersAlone) {
    run("ip link add va type veth peer name vb && ip link set va up && ip link set vb up");
    const int ifindex = link("va").ifindex;
    const int other = link("vb").ifindex;
    const int before = netlink_->rp_filter(other).value();
    for (const int mode : {2, 0, 1}) {
        const auto done = netlink_->set_rp_filter(ifindex, mode);
        ASSERT_TRUE(done) << done.error().message();
        EXPECT_EQ(netlink_->rp_filter(ifindex).value(), mode);
        EXPECT_EQ(output_of("cat /proc/sys/net/ipv4/conf/va/rp_filter"), std::to_string(mode) + "\n");
    }
    EXPECT_EQ(netlink_->rp_filter(other).value(), before);
    EXPECT_EQ(netlink_->set_rp_filter(ifindex, 3).error().kind(), ErrorKind::invalid);

    for (const Family family : {Family::v4, Family::v6}) {
        const bool elsewhere = netlink_->forwarding(other, family).value();
        for (const bool on : {true, false, true}) {
            const auto done = netlink_->set_forwarding(ifindex, family, on);
            ASSERT_TRUE(done) << done.error().message();
            EXPECT_EQ(netlink_->forwarding(ifindex, family).value(), on);
        }
        EXPECT_EQ(netlink_->forwarding(other, family).value(), elsewhere);
    }
    EXPECT_EQ(output_of("cat /proc/sys/net/ipv4/conf/va/forwarding /proc/sys/net/ipv6/conf/va/forwarding"),
              "1\n1\n");
}

TEST_F(NetlinkLinks, ReadOnlyProcIsNamed) {
    run("ip link add va type veth peer name vb");
    run("mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys");
    const int ifindex = link("va").ifindex;
    const auto refused = netlink_->set_forwarding(ifindex, Family::v6, true);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::permission);
    EXPECT_THAT(refused.error().message(), HasSubstr("/proc/sys/net/ipv6/conf/va/forwarding is read-only"));
    // What stands already needs no writing, and IPv4 goes over rtnetlink.
    EXPECT_TRUE(netlink_->set_forwarding(ifindex, Family::v6, false));
    EXPECT_TRUE(netlink_->set_forwarding(ifindex, Family::v4, true));
    EXPECT_TRUE(netlink_->set_rp_filter(ifindex, 2));
    EXPECT_EQ(netlink_->rp_filter(ifindex).value(), 2);
}

TEST_F(NetlinkLinks, WithoutLinkLocalAddressesThereAreNone) {
    run("ip link add va type veth peer name vb");
    const int ifindex = link("va").ifindex;
    const auto done = netlink_->set_no_link_local(ifindex);
    ASSERT_TRUE(done) << done.error().message();
    run("ip link set va up && ip link set vb up");
    // The kernel makes them once the carrier is there, of which both ends hear together.
    const int other = link("vb").ifindex;
    for (int i = 0; i < 3000 && (addresses_of(other).empty() || !link("va").running); ++i) ::usleep(10000);
    EXPECT_THAT(addresses_of(other), testing::SizeIs(1));
    EXPECT_THAT(addresses_of(ifindex), testing::IsEmpty());
}

TEST_F(NetlinkLinks, AddsAndRemovesAddresses) {
    // Without link-local addresses, which would come when they like.
    run("ip link add va type veth peer name vb && ip link set va addrgenmode none");
    run("ip link set va up && ip link set vb up");
    run("ip address add 198.51.100.1/24 dev va && ip address add 2001:db8::1/64 dev va nodad");
    const int ifindex = link("va").ifindex;
    const auto before = addresses_of(ifindex);

    InterfaceAddress v4{ifindex, *IpAddress::parse("192.0.2.1"), 32, RT_SCOPE_UNIVERSE, IFA_F_NOPREFIXROUTE};
    InterfaceAddress link4{ifindex, *IpAddress::parse("169.254.7.9"), 32, RT_SCOPE_LINK, 0};
    InterfaceAddress v6{ifindex, *IpAddress::parse("200:1001::1"), 128, RT_SCOPE_UNIVERSE,
                        IFA_F_NOPREFIXROUTE | IFA_F_NODAD};
    for (InterfaceAddress* address : {&v4, &link4, &v6}) {
        for (int i = 0; i < 2; ++i) {
            const auto added = netlink_->add_address(*address);
            ASSERT_TRUE(added) << added.error().message();
        }
        // The kernel adds that it lasts, nothing else.
        InterfaceAddress expected = *address;
        expected.flags |= IFA_F_PERMANENT;
        EXPECT_THAT(addresses_of(ifindex), testing::Contains(expected));
    }
    EXPECT_THAT(addresses_of(ifindex), testing::SizeIs(before.size() + 3));
    for (const InterfaceAddress* address : {&v4, &link4, &v6}) {
        EXPECT_TRUE(netlink_->remove_address(*address));
        EXPECT_TRUE(netlink_->remove_address(*address));
    }
    EXPECT_EQ(addresses_of(ifindex), before);
    v4.ifindex = 4711;
    EXPECT_EQ(netlink_->add_address(v4).error().kind(), ErrorKind::not_found);
    EXPECT_TRUE(netlink_->remove_address(v4));
}

}  // namespace
}  // namespace wglan
