// SPDX-License-Identifier: Apache-2.0
#include "agent/netlink/codec.h"

#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cstring>

#include <gmock/gmock.h>

#include "agent/netlink/event_codec.h"
#include "tests/unit/netlink/messages.h"

namespace wglan::rtnl {
namespace {

using test::Message;
using testing::ElementsAre;
using testing::IsEmpty;

ifinfomsg ether(int ifindex, unsigned flags = IFF_UP) {
    ifinfomsg info{};
    info.ifi_type = ARPHRD_ETHER;
    info.ifi_index = ifindex;
    info.ifi_flags = flags;
    return info;
}

rtmsg route_header(int family, int length, int type = RTN_UNICAST) {
    rtmsg info{};
    info.rtm_family = static_cast<std::uint8_t>(family);
    info.rtm_dst_len = static_cast<std::uint8_t>(length);
    info.rtm_table = RT_TABLE_MAIN;
    info.rtm_protocol = kRouteProtocol;
    info.rtm_type = static_cast<std::uint8_t>(type);
    return info;
}

const std::vector<std::uint8_t> kMac = {0x52, 0x54, 0, 1, 2, 3};

TEST(LinkCodec, ReadsWhatAPhysicalDeviceSays) {
    const auto bytes = Message(RTM_NEWLINK)
                           .header(ether(3, IFF_UP | IFF_RUNNING))
                           .text(IFLA_IFNAME, "eth0")
                           .text(IFLA_IFALIAS, "lan")
                           .u32(IFLA_MTU, 9000)
                           .raw(IFLA_ADDRESS, kMac)
                           .raw(IFLA_PERM_ADDRESS, kMac)
                           .text(IFLA_PARENT_DEV_NAME, "0000:00:03.0")
                           .u32(IFLA_MASTER, 7)
                           .nest(IFLA_LINKINFO, Message::inner().text(IFLA_INFO_SLAVE_KIND, "bond"))
                           .bytes();
    const auto parsed = parse_link(bytes);
    ASSERT_TRUE(parsed) << parsed.error().message();
    Link expected;
    expected.ifindex = 3;
    expected.name = "eth0";
    expected.alias = "lan";
    expected.mtu = 9000;
    std::copy(kMac.begin(), kMac.end(), expected.mac.begin());
    expected.has_mac = expected.mac_stable = expected.physical = expected.up = expected.running = true;
    expected.master = 7;
    expected.master_kind = "bond";
    EXPECT_EQ(parsed->link, expected);
    EXPECT_FALSE(parsed->rp_filter);
    EXPECT_FALSE(parsed->forwarding_v6);
}

TEST(LinkCodec, ReadsSettingsAndTheOtherEnd) {
    std::vector<std::uint32_t> inet(33, 0);
    inet[0] = 1;
    inet[7] = 2;
    std::vector<std::uint32_t> inet6(50, 0);
    inet6[0] = 1;
    const auto bytes =
        Message(RTM_NEWLINK)
            .header(ether(4, 0))
            .text(IFLA_IFNAME, "veth4")
            .u32(IFLA_LINK, 12)
            .u32(IFLA_LINK_NETNSID, 0)
            .nest(IFLA_LINKINFO, Message::inner().text(IFLA_INFO_KIND, "veth"))
            .nest(IFLA_AF_SPEC, Message::inner()
                                    .nest(AF_INET, Message::inner().words(IFLA_INET_CONF, inet))
                                    .nest(AF_INET6, Message::inner().words(IFLA_INET6_CONF, inet6)))
            .bytes();
    const auto parsed = parse_link(bytes);
    ASSERT_TRUE(parsed) << parsed.error().message();
    EXPECT_EQ(parsed->link.kind, "veth");
    EXPECT_EQ(parsed->link.peer_ifindex, 12);
    EXPECT_TRUE(parsed->link.peer_in_other_netns);
    EXPECT_FALSE(parsed->link.has_mac);
    EXPECT_FALSE(parsed->link.up);
    EXPECT_EQ(parsed->rp_filter, 2);
    EXPECT_EQ(parsed->forwarding_v4, true);
    EXPECT_EQ(parsed->forwarding_v6, true);
}

TEST(LinkCodec, ARandomAddressIsNotStableAndANullOneIsNone) {
    const std::vector<std::uint8_t> other = {0x52, 0x54, 0, 9, 9, 9};
    const auto changed = Message(RTM_NEWLINK)
                             .header(ether(3))
                             .text(IFLA_IFNAME, "eth0")
                             .raw(IFLA_ADDRESS, kMac)
                             .raw(IFLA_PERM_ADDRESS, other)
                             .bytes();
    EXPECT_TRUE(parse_link(changed)->link.has_mac);
    EXPECT_FALSE(parse_link(changed)->link.mac_stable);
    const auto null = Message(RTM_NEWLINK)
                          .header(ether(3))
                          .text(IFLA_IFNAME, "eth0")
                          .raw(IFLA_ADDRESS, std::vector<std::uint8_t>(6, 0))
                          .bytes();
    EXPECT_FALSE(parse_link(null)->link.has_mac);
}

TEST(LinkCodec, RefusesMalformedMessages) {
    const auto named = [](int ifindex) { return Message(RTM_NEWLINK).header(ether(ifindex)); };
    const std::vector<std::vector<std::uint8_t>> bad = {
        {},
        Message(RTM_NEWLINK).bytes(),                // no family header
        named(3).bytes(),                            // no name
        named(0).text(IFLA_IFNAME, "eth0").bytes(),  // no index
        named(3).text(IFLA_IFNAME, "eth0").raw(IFLA_MTU, {1, 2}).bytes(),
        named(3).text(IFLA_IFNAME, "eth0").raw(IFLA_MASTER, {}).bytes(),
    };
    for (std::size_t i = 0; i < bad.size(); ++i) {
        const auto parsed = parse_link(bad[i]);
        ASSERT_FALSE(parsed) << i;
        EXPECT_EQ(parsed.error().kind(), ErrorKind::protocol) << i;
    }
}

TEST(LinkCodec, ShortSettingsAreAbsent) {
    const auto bytes =
        Message(RTM_NEWLINK)
            .header(ether(4))
            .text(IFLA_IFNAME, "veth4")
            .nest(IFLA_AF_SPEC,
                  Message::inner().nest(AF_INET, Message::inner().words(IFLA_INET_CONF, {1, 0, 0})))
            .bytes();
    const auto parsed = parse_link(bytes);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->forwarding_v4, true);
    EXPECT_FALSE(parsed->rp_filter);
}

TEST(AddressCodec, PrefersTheLocalEndAndTheLongFlags) {
    ifaddrmsg info{};
    info.ifa_family = AF_INET;
    info.ifa_prefixlen = 32;
    info.ifa_flags = 0x80;
    info.ifa_index = 5;
    const auto bytes = Message(RTM_NEWADDR)
                           .header(info)
                           .raw(IFA_ADDRESS, {10, 0, 0, 2})
                           .raw(IFA_LOCAL, {10, 0, 0, 1})
                           .u32(IFA_FLAGS, 0x280)
                           .bytes();
    const auto parsed = parse_address(bytes);
    ASSERT_TRUE(parsed && *parsed);
    EXPECT_EQ(**parsed, (InterfaceAddress{5, *IpAddress::parse("10.0.0.1"), 32, 0, 0x280}));
}

TEST(AddressCodec, SkipsOtherFamiliesAndRefusesMalformedOnes) {
    ifaddrmsg info{};
    info.ifa_family = AF_BRIDGE;
    EXPECT_FALSE(parse_address(Message(RTM_NEWADDR).header(info).bytes()).value());
    info.ifa_family = AF_INET;
    info.ifa_prefixlen = 24;
    const auto message = [&] { return Message(RTM_NEWADDR).header(info); };
    EXPECT_FALSE(parse_address(message().bytes()));
    EXPECT_FALSE(parse_address(message().raw(IFA_LOCAL, {1, 2, 3}).bytes()));
    EXPECT_FALSE(parse_address(message().raw(IFA_LOCAL, std::vector<std::uint8_t>(16, 1)).bytes()));
    EXPECT_FALSE(parse_address(message().raw(IFA_LOCAL, {10, 0, 0, 1}).raw(IFA_FLAGS, {1}).bytes()));
    info.ifa_prefixlen = 33;
    EXPECT_FALSE(parse_address(message().raw(IFA_LOCAL, {10, 0, 0, 1}).bytes()));
}

// What the encoder writes, the kernel's notification of the same route says again.
TEST(RouteCodec, RequestsParseBackToTheRoute) {
    Route route;
    route.prefix = *Prefix::parse("10.2.0.0/16");
    route.ifindex = 4;
    route.metric = kBackupMetric;
    route.mtu = 1380;
    route.protocol = kRouteProtocol;
    route.preferred_source = *IpAddress::parse("192.0.2.1");
    Route v6 = route;
    v6.prefix = *Prefix::parse("fd02::/64");
    v6.preferred_source = *IpAddress::parse("2001:db8::1");
    v6.metric = 0;
    v6.table = 1000;
    Route twin;
    twin.prefix = route.prefix;
    twin.type = RouteType::unreachable;
    twin.metric = kBackupMetric + 1;
    twin.protocol = kRouteProtocol;
    for (const Route& wanted : {route, v6, twin}) {
        Request request = add_route_request(wanted, AddMode::exclusive);
        const auto header = request.finish();
        ASSERT_TRUE(header);
        EXPECT_EQ((*header)->nlmsg_flags, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL);
        const Bytes bytes(reinterpret_cast<const std::uint8_t*>(*header), (*header)->nlmsg_len);
        const auto parsed = parse_route(bytes);
        ASSERT_TRUE(parsed) << parsed.error().message();
        EXPECT_THAT(parsed->routes, ElementsAre(wanted));
    }
}

TEST(RouteCodec, KeepsForeignIpv6MetricsAsTheyAre) {
    auto info = route_header(AF_INET6, 64);
    info.rtm_protocol = RTPROT_STATIC;
    const std::vector<std::uint8_t> prefix(16, 0xfd);
    const auto foreign =
        Message(RTM_NEWROUTE).header(info).raw(RTA_DST, prefix).u32(RTA_PRIORITY, 1024).bytes();
    EXPECT_EQ(parse_route(foreign)->routes.at(0).metric, 1024U);
}

TEST(RouteCodec, UnreachableRoutesHaveNoDevice) {
    const auto bytes = Message(RTM_NEWROUTE)
                           .header(route_header(AF_INET6, 0, RTN_UNREACHABLE))
                           .u32(RTA_OIF, 1)
                           .u32(RTA_PRIORITY, 5)
                           .bytes();
    const auto parsed = parse_route(bytes);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->routes.at(0).ifindex, 0);
    EXPECT_EQ(parsed->routes.at(0).prefix.to_string(), "::/0");
    EXPECT_EQ(parsed->routes.at(0).type, RouteType::unreachable);
}

std::vector<std::uint8_t> next_hop(int ifindex, const std::vector<std::uint8_t>& attributes) {
    rtnexthop hop{};
    hop.rtnh_len = static_cast<unsigned short>(sizeof(hop) + attributes.size());
    hop.rtnh_ifindex = ifindex;
    std::vector<std::uint8_t> bytes(sizeof(hop));
    std::memcpy(bytes.data(), &hop, sizeof(hop));
    bytes.insert(bytes.end(), attributes.begin(), attributes.end());
    return bytes;
}

TEST(RouteCodec, GivesOneRouteForEachNextHop) {
    auto hops = next_hop(2, Message::inner().raw(RTA_GATEWAY, {10, 0, 0, 1}).bytes());
    std::vector<std::uint8_t> via = {AF_INET6, 0};
    via.resize(18, 0xfe);
    const auto second = next_hop(3, Message::inner().raw(RTA_VIA, via).bytes());
    hops.insert(hops.end(), second.begin(), second.end());
    const auto parsed =
        parse_route(Message(RTM_NEWROUTE).header(route_header(AF_INET, 0)).raw(RTA_MULTIPATH, hops).bytes());
    ASSERT_TRUE(parsed) << parsed.error().message();
    ASSERT_EQ(parsed->routes.size(), 2U);
    EXPECT_EQ(parsed->routes[0].ifindex, 2);
    EXPECT_EQ(parsed->routes[0].gateway, *IpAddress::parse("10.0.0.1"));
    EXPECT_EQ(parsed->routes[1].ifindex, 3);
    EXPECT_TRUE(parsed->routes[1].gateway->is_v6());
}

TEST(RouteCodec, RefusesMalformedMessages) {
    const auto v4 = [](int length) { return Message(RTM_NEWROUTE).header(route_header(AF_INET, length)); };
    auto long_hop = next_hop(2, {});
    long_hop[0] = 200;
    auto empty_hop = next_hop(2, {});
    empty_hop[0] = 0;
    const std::vector<std::vector<std::uint8_t>> bad = {
        Message(RTM_NEWROUTE).bytes(),
        v4(33).raw(RTA_DST, {10, 0, 0, 0}).bytes(),
        v4(8).raw(RTA_DST, {10, 0, 0}).bytes(),
        v4(8).raw(RTA_DST, std::vector<std::uint8_t>(16, 1)).bytes(),
        v4(0).raw(RTA_GATEWAY, {1}).bytes(),
        v4(0).raw(RTA_OIF, {1}).bytes(),
        v4(0).raw(RTA_VIA, {AF_INET, 0, 1, 2, 3}).bytes(),
        v4(0).nest(RTA_METRICS, Message::inner().raw(RTAX_MTU, {1})).bytes(),
        v4(0).raw(RTA_MULTIPATH, long_hop).bytes(),
        v4(0).raw(RTA_MULTIPATH, empty_hop).bytes(),
    };
    for (std::size_t i = 0; i < bad.size(); ++i) {
        const auto parsed = parse_route(bad[i]);
        ASSERT_FALSE(parsed) << i;
        EXPECT_EQ(parsed.error().kind(), ErrorKind::protocol) << i;
    }
}

TEST(RouteCodec, SkipsOtherFamilies) {
    EXPECT_THAT(parse_route(Message(RTM_NEWROUTE).header(route_header(AF_MPLS, 20)).bytes())->routes,
                IsEmpty());
}

TEST(RouteCodec, ChecksWhatIsAskedFor) {
    Route good;
    good.prefix = *Prefix::parse("10.0.0.0/8");
    good.ifindex = 2;
    good.protocol = kRouteProtocol;
    EXPECT_TRUE(check_route(good));
    const auto refused = [&](auto&& spoil) {
        Route route = good;
        spoil(route);
        const auto result = check_route(route);
        return !result && result.error().kind() == ErrorKind::invalid;
    };
    EXPECT_TRUE(refused([](Route& route) { route.protocol = 0; }));
    EXPECT_TRUE(refused([](Route& route) { route.ifindex = 0; }));
    EXPECT_TRUE(refused([](Route& route) { route.type = RouteType::local; }));
    EXPECT_TRUE(refused([](Route& route) { route.type = RouteType::unreachable; }));
    EXPECT_TRUE(refused([](Route& route) { route.gateway = *IpAddress::parse("fe80::1"); }));
    EXPECT_TRUE(refused([](Route& route) { route.preferred_source = *IpAddress::parse("fe80::1"); }));
}

TEST(Events, ReadsSeveralOfOneDatagram) {
    auto datagram = Message(RTM_DELLINK).header(ether(3)).text(IFLA_IFNAME, "eth0").bytes();
    const auto route = Message(RTM_NEWROUTE)
                           .header(route_header(AF_INET, 8))
                           .raw(RTA_DST, {10, 0, 0, 0})
                           .u32(RTA_OIF, 3)
                           .bytes();
    datagram.insert(datagram.end(), route.begin(), route.end());
    std::vector<NetlinkEvent> events;
    parse_events(datagram, events);
    ASSERT_EQ(events.size(), 2U);
    EXPECT_EQ(events[0].what, NetlinkEvent::What::link);
    EXPECT_EQ(events[0].interface, "eth0");
    EXPECT_TRUE(events[0].removed);
    EXPECT_EQ(events[1].what, NetlinkEvent::What::route);
    EXPECT_EQ(events[1].route->prefix.to_string(), "10.0.0.0/8");
    EXPECT_FALSE(events[1].removed);
}

TEST(NeighbourCodec, TellsWhoAnswersAndWhoDoesNot) {
    for (const auto& [state, failed, valid] : {std::tuple{NUD_FAILED, true, false},
                                               {NUD_REACHABLE, false, true},
                                               {NUD_STALE, false, true},
                                               {NUD_PERMANENT, false, true},
                                               {NUD_INCOMPLETE, false, false}}) {
        ndmsg info{};
        info.ndm_family = AF_INET;
        info.ndm_ifindex = 5;
        info.ndm_state = static_cast<std::uint16_t>(state);
        const auto bytes = Message(RTM_NEWNEIGH).header(info).raw(NDA_DST, {192, 0, 2, 7}).bytes();
        const auto parsed = parse_neighbour(bytes);
        ASSERT_TRUE(parsed && *parsed) << state;
        const bool permanent = state == NUD_PERMANENT;
        EXPECT_EQ(**parsed,
                  (Neighbour{5, *IpAddress::parse("192.0.2.7"), failed, valid, permanent, std::nullopt}))
            << state;
        std::vector<NetlinkEvent> events;
        parse_events(bytes, events);
        ASSERT_EQ(events.size(), 1U);
        EXPECT_EQ(events[0].what, NetlinkEvent::What::neighbour);
        EXPECT_EQ(events[0].neighbour.to_string(), "192.0.2.7");
    }
    ndmsg info{};
    info.ndm_family = AF_INET;
    EXPECT_FALSE(parse_neighbour(Message(RTM_NEWNEIGH).header(info).bytes())) << "no address";
}

TEST(NeighbourCodec, TellsMacAddressesAndRemoteEnds) {
    ndmsg info{};
    info.ndm_family = AF_INET6;
    info.ndm_ifindex = 5;
    info.ndm_state = NUD_PERMANENT;
    const std::vector<std::uint8_t> mac = {2, 0, 0, 0, 0, 7}, remote = {192, 0, 2, 7};
    std::vector<std::uint8_t> address(16);
    const auto kept = parse_neighbour(
        Message(RTM_NEWNEIGH).header(info).raw(NDA_DST, address).raw(NDA_LLADDR, mac).bytes());
    ASSERT_TRUE(kept && *kept);
    EXPECT_EQ((*kept)->mac, (std::array<std::uint8_t, 6>{2, 0, 0, 0, 0, 7}));

    info.ndm_family = AF_BRIDGE;
    const auto whole = Message(RTM_NEWNEIGH).header(info).raw(NDA_LLADDR, mac).raw(NDA_DST, remote).bytes();
    const auto entry = parse_forwarding(whole);
    ASSERT_TRUE(entry && *entry);
    EXPECT_EQ(**entry, (ForwardingEntry{5, {2, 0, 0, 0, 0, 7}}));
    EXPECT_EQ(*parse_neighbour(whole), std::nullopt);
    for (const auto& other : {Message(RTM_NEWNEIGH).header(info).raw(NDA_LLADDR, mac).bytes(),
                              Message(RTM_NEWNEIGH).header(info).raw(NDA_DST, remote).bytes(),
                              Message(RTM_NEWNEIGH).header(info).raw(NDA_LLADDR, {1, 2}).bytes()}) {
        const auto parsed = parse_forwarding(other);
        ASSERT_TRUE(parsed);
        EXPECT_EQ(*parsed, std::nullopt) << "no remote end, or no address";
    }
    EXPECT_FALSE(parse_forwarding({}));
    std::vector<NetlinkEvent> events;
    parse_events(whole, events);
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].what, NetlinkEvent::What::forwarding);
    EXPECT_EQ(events[0].ifindex, 5);
}

TEST(Events, LeavesOutOtherTablesCachedRoutesAndBridgePorts) {
    auto port = ether(3);
    port.ifi_family = AF_BRIDGE;
    auto cloned = route_header(AF_INET6, 0);
    cloned.rtm_flags = RTM_F_CLONED;
    ndmsg fdb{};
    fdb.ndm_family = AF_BRIDGE;
    std::vector<NetlinkEvent> events;
    for (const auto& datagram :
         {Message(RTM_DELLINK).header(port).text(IFLA_IFNAME, "eth0").bytes(),
          Message(RTM_NEWROUTE).header(cloned).bytes(),
          Message(RTM_NEWROUTE).header(route_header(AF_INET, 0)).u32(RTA_TABLE, 255).bytes(),
          Message(RTM_NEWNEIGH).header(fdb).bytes(), Message(RTM_NEWRULE).bytes()}) {
        parse_events(datagram, events);
    }
    EXPECT_THAT(events, IsEmpty());
}

TEST(Events, WhatMakesNoSenseIsAnOverrun) {
    auto cut = Message(RTM_NEWLINK).header(ether(3)).text(IFLA_IFNAME, "eth0").bytes();
    cut.resize(cut.size() - 4);
    for (const auto& datagram : {cut, std::vector<std::uint8_t>{1, 2, 3}, Message(RTM_NEWADDR).bytes()}) {
        std::vector<NetlinkEvent> events;
        parse_events(datagram, events);
        ASSERT_EQ(events.size(), 1U);
        EXPECT_EQ(events[0].what, NetlinkEvent::What::overrun);
    }
}

}  // namespace
}  // namespace wglan::rtnl
