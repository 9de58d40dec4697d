// SPDX-License-Identifier: Apache-2.0
#include "agent/netlink/uplinks.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include <gmock/gmock.h>

namespace wglan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// A host under construction: devices, what they hold, where routes lead.
struct Host {
    std::vector<Link> links;
    std::vector<InterfaceAddress> addresses;
    std::vector<Route> routes;
    std::vector<Prefix> pod_prefixes;

    Link& link(int ifindex, const char* name, const char* kind = "") {
        Link link;
        link.ifindex = ifindex;
        link.name = name;
        link.kind = kind;
        link.up = true;
        links.push_back(link);
        return links.back();
    }

    Host& address(int ifindex, const char* prefix, std::uint32_t flags = 0, std::uint8_t scope = 0) {
        const std::string text = prefix;
        const auto slash = text.find('/');
        InterfaceAddress address;
        address.ifindex = ifindex;
        address.address = *IpAddress::parse(text.substr(0, slash));
        address.prefix_length = static_cast<std::uint8_t>(std::stoi(text.substr(slash + 1)));
        address.flags = flags;
        address.scope = scope;
        addresses.push_back(address);
        return *this;
    }

    Route& route(int ifindex, const char* prefix, const char* gateway = nullptr, std::uint32_t metric = 0) {
        Route route;
        route.ifindex = ifindex;
        route.prefix = *Prefix::parse(prefix);
        route.metric = metric;
        route.protocol = RTPROT_STATIC;
        if (gateway != nullptr) route.gateway = *IpAddress::parse(gateway);
        routes.push_back(route);
        return routes.back();
    }

    std::vector<int> uplinks(const std::optional<std::vector<std::string>>& globs = std::nullopt) const {
        return select_uplinks(links, addresses, routes, globs, "wglan0", pod_prefixes);
    }

    std::vector<int> uplinks_with_somebody_at(const char* address) const {
        return select_uplinks(
            links, addresses, routes, std::nullopt, "wglan0", pod_prefixes,
            [&](const GuestNetwork& network) { return network.prefix.contains(*IpAddress::parse(address)); });
    }

    std::optional<std::uint32_t> underlay() const {
        return underlay_mtu(links, addresses, routes, uplinks(), pod_prefixes);
    }

    std::vector<std::string> node_addresses() const {
        std::vector<std::string> texts;
        for (const IpAddress& address :
             wglan::node_addresses(links, addresses, routes, uplinks(), "wglan0", pod_prefixes)) {
            texts.push_back(address.to_string());
        }
        return texts;
    }
};

// Loopback, our own device and a physical uplink: what every host has.
Host plain_host() {
    Host host;
    host.link(1, "lo").loopback = true;
    host.link(2, "eth0").physical = true;
    host.link(9, "wglan0", "wireguard");
    host.address(1, "127.0.0.1/8", 0, RT_SCOPE_HOST).address(1, "203.0.113.53/32");
    host.address(2, "192.0.2.7/24").address(2, "fe80::7/64", 0, RT_SCOPE_LINK);
    host.address(9, "192.0.2.7/32").address(9, "200:1001::7/128");
    return host;
}

TEST(Uplinks, ADeviceWithAGlobalAddress) { EXPECT_THAT(plain_host().uplinks(), ElementsAre(2)); }

TEST(Uplinks, ADeviceWithADefaultRouteAndNoAddress) {
    Host host = plain_host();
    host.link(3, "ppp0");
    host.route(3, "0.0.0.0/0");
    host.link(4, "eth4");
    host.route(4, "::/0", "fe80::1");
    EXPECT_THAT(host.uplinks(), ElementsAre(2, 3, 4));
}

TEST(Uplinks, OnlyAUnicastMainTableDefaultRouteOfOthersCounts) {
    Host host = plain_host();
    host.link(3, "eth3");
    host.route(3, "0.0.0.0/0").type = RouteType::unreachable;
    host.route(3, "0.0.0.0/0").table = 77;
    host.route(3, "0.0.0.0/0").protocol = kRouteProtocol;
    host.route(3, "10.0.0.0/8");
    EXPECT_THAT(host.uplinks(), ElementsAre(2));
}

TEST(Uplinks, LinkLocalAndFailedAddressesDoNotCount) {
    Host host = plain_host();
    host.link(3, "eth3");
    host.address(3, "fe80::3/64", 0, RT_SCOPE_LINK).address(3, "169.254.3.3/16");
    host.address(3, "192.0.2.99/24", 0, RT_SCOPE_LINK).address(3, "2001:db8::3/64", IFA_F_DADFAILED);
    EXPECT_THAT(host.uplinks(), ElementsAre(2));
}

TEST(Uplinks, TunnelsCountWhateverTheyHold) {
    for (const char* kind : {"vxlan", "geneve", "ipip", "gre", "gretap", "ip6tnl", "sit"}) {
        Host host = plain_host();
        host.link(3, "tunnel", kind);
        EXPECT_THAT(host.uplinks(), ElementsAre(2, 3)) << kind;
        EXPECT_THAT(host.node_addresses(), ElementsAre("192.0.2.7")) << kind;
    }
}

TEST(Uplinks, PodVethsDoNotCount) {
    Host host = plain_host();
    host.pod_prefixes = {*Prefix::parse("10.244.1.0/24")};
    host.link(3, "veth3", "veth").peer_in_other_netns = true;
    host.link(4, "cali4", "veth").peer_in_other_netns = true;
    host.address(4, "169.254.1.1/32");
    host.link(5, "ptp5", "veth").peer_in_other_netns = true;
    host.address(5, "10.99.0.1/32");
    host.link(6, "pod6", "veth").peer_in_other_netns = true;
    host.address(6, "10.244.1.1/24");
    host.link(7, "nk7", "netkit");
    EXPECT_THAT(host.uplinks(), ElementsAre(2));
    EXPECT_THAT(host.node_addresses(), ElementsAre("192.0.2.7"));
}

TEST(Uplinks, ABridgeOfVethsCountsWherePeersAreBehindIt) {
    Host host = plain_host();
    host.link(3, "br3", "bridge");
    host.address(3, "198.51.100.7/24").address(3, "fe80::3/64", 0, RT_SCOPE_LINK);
    host.link(4, "veth4", "veth").master = 3;
    host.link(5, "docker5", "bridge");
    host.address(5, "172.17.0.1/16");
    EXPECT_THAT(host.uplinks(), ElementsAre(2));
    EXPECT_THAT(host.uplinks_with_somebody_at("198.51.100.9"), ElementsAre(2, 3));
    EXPECT_THAT(host.uplinks_with_somebody_at("198.51.101.9"), ElementsAre(2));
    EXPECT_THAT(host.uplinks_with_somebody_at("fe80::9"), ElementsAre(2)) << "every network holds it";
    EXPECT_THAT(guest_networks(host.links, host.addresses),
                ElementsAre(GuestNetwork{3, *Prefix::parse("198.51.100.0/24")},
                            GuestNetwork{5, *Prefix::parse("172.17.0.0/16")}));
    host.link(6, "eth6").master = 3;
    EXPECT_THAT(guest_networks(host.links, host.addresses),
                ElementsAre(GuestNetwork{5, *Prefix::parse("172.17.0.0/16")}));
}

TEST(Uplinks, AVethThatIsAHostsUplinkCounts) {
    Host host;
    host.link(2, "eth0", "veth").peer_in_other_netns = true;
    host.address(2, "192.0.2.1/24");
    EXPECT_THAT(host.uplinks(), ElementsAre(2));
    EXPECT_THAT(host.node_addresses(), ElementsAre("192.0.2.1"));
    Host routed;
    routed.link(2, "eth0", "veth").peer_in_other_netns = true;
    routed.address(2, "192.0.2.1/32");
    routed.route(2, "0.0.0.0/0", "169.254.1.1");
    EXPECT_THAT(routed.uplinks(), ElementsAre(2));
    EXPECT_THAT(routed.node_addresses(), ElementsAre("192.0.2.1"));
}

TEST(Uplinks, ABridgeCountsWithARealPortAlone) {
    Host host = plain_host();
    host.pod_prefixes = {*Prefix::parse("10.244.1.0/24")};
    host.link(3, "cni0", "bridge");
    host.address(3, "10.244.1.1/24");
    host.link(4, "veth4", "veth").master = 3;
    host.link(5, "docker0", "bridge");
    host.address(5, "172.17.0.1/16");
    host.link(6, "virbr0", "bridge");
    host.address(6, "192.168.122.1/24");
    host.link(7, "vnet7", "tun").master = 6;
    host.link(8, "br0", "bridge");
    host.address(8, "198.51.100.8/24");
    host.link(10, "eth1").master = 8;
    EXPECT_THAT(host.uplinks(), ElementsAre(2, 8));
    EXPECT_THAT(host.node_addresses(), ElementsAre("192.0.2.7", "198.51.100.8"));
}

TEST(Uplinks, ABridgeOfGuestsWithTheDefaultRouteCounts) {
    Host host = plain_host();
    host.link(3, "br0", "bridge");
    host.address(3, "198.51.100.8/24");
    host.route(3, "0.0.0.0/0", "198.51.100.1");
    EXPECT_THAT(host.uplinks(), ElementsAre(2, 3));
}

TEST(Uplinks, ServiceAddressesOnADummyDoNotCount) {
    Host host = plain_host();
    host.link(3, "kube-ipvs0", "dummy");
    host.address(3, "10.96.0.1/32").address(3, "10.96.0.10/32");
    EXPECT_THAT(host.uplinks(), ElementsAre(2));
    EXPECT_THAT(host.node_addresses(), ElementsAre("192.0.2.7"));
}

TEST(Uplinks, ConfiguredGlobsDecideAlone) {
    Host host = plain_host();
    host.link(3, "eth3");
    host.link(4, "bond0", "bond");
    EXPECT_THAT(host.uplinks({{"eth*"}}), ElementsAre(2, 3));
    EXPECT_THAT(host.uplinks({{"bond0", "eth3"}}), ElementsAre(3, 4));
    EXPECT_THAT(host.uplinks({{"*"}}), ElementsAre(2, 3, 4));
    EXPECT_THAT(host.uplinks(std::vector<std::string>{}), IsEmpty());
    EXPECT_THAT(host.uplinks({{"["}}), IsEmpty());
}

TEST(NodeAddresses, DefaultRouteDevicesComeFirst) {
    Host host = plain_host();
    host.link(3, "eth1");
    host.link(4, "eth2");
    host.address(2, "2001:db8:2::7/64").address(3, "198.51.100.3/24").address(3, "2001:db8:3::3/64");
    host.address(4, "203.0.113.4/24");
    host.route(3, "0.0.0.0/0", "198.51.100.1", 100);
    host.route(4, "0.0.0.0/0", "203.0.113.1", 50);
    host.route(2, "::/0", "fe80::1", 1024);
    EXPECT_THAT(host.node_addresses(),
                ElementsAre("203.0.113.4", "198.51.100.3", "2001:db8:2::7", "192.0.2.7", "2001:db8:3::3"));
}

TEST(NodeAddresses, UnsettledAndTemporaryOnesAreLeftOut) {
    Host host = plain_host();
    host.address(2, "2001:db8::1/64", IFA_F_TENTATIVE).address(2, "2001:db8::2/64", IFA_F_DEPRECATED);
    host.address(2, "2001:db8::3/64", IFA_F_TEMPORARY).address(2, "2001:db8::4/64", IFA_F_PERMANENT);
    host.address(2, "192.0.2.8/24", IFA_F_SECONDARY).address(2, "2001:db8::5/64", IFA_F_DADFAILED);
    EXPECT_THAT(host.node_addresses(), ElementsAre("192.0.2.7", "192.0.2.8", "2001:db8::4"));
}

TEST(NodeAddresses, MovingAddressesComeLastAndDoublesOnce) {
    Host host;
    host.link(2, "eth0");
    host.link(3, "eth1");
    host.address(2, "192.0.2.100/32").address(2, "192.0.2.7/24").address(3, "192.0.2.7/24");
    EXPECT_THAT(host.node_addresses(), ElementsAre("192.0.2.7", "192.0.2.100"));
}

TEST(NodeAddresses, ACniTunnelsAddressIsNotTheNodes) {
    Host host = plain_host();
    host.link(3, "flannel.1", "vxlan");
    host.address(3, "10.244.1.0/32");
    host.link(4, "cilium_host", "veth");
    host.address(4, "10.244.1.200/32");
    host.pod_prefixes = {*Prefix::parse("10.244.1.0/24")};
    EXPECT_THAT(host.uplinks(), ElementsAre(2, 3, 4));
    EXPECT_THAT(host.node_addresses(), ElementsAre("192.0.2.7"));
}

TEST(UnderlayMtu, IsTheSmallestThatOurOwnPacketsMayMeet) {
    Host host = plain_host();
    EXPECT_EQ(host.underlay(), std::nullopt) << "no device tells its MTU";
    host.links[1].mtu = 1500;
    host.links[2].mtu = 1280;  // wglan0
    EXPECT_EQ(host.underlay(), 1500U);
    host.link(3, "eth1").mtu = 1400;
    host.address(3, "198.51.100.7/32");
    EXPECT_EQ(host.underlay(), 1400U);
    host.link(4, "ppp0").mtu = 1300;
    host.route(4, "::/0");
    EXPECT_EQ(host.underlay(), 1300U);
}

TEST(UnderlayMtu, ACnisDevicesAreNone) {
    Host host = plain_host();
    host.links[1].mtu = 1500;
    host.pod_prefixes = {*Prefix::parse("10.244.1.0/24"), *Prefix::parse("fd00:244:1::/64")};
    host.link(3, "flannel.1", "vxlan").mtu = 1450;
    host.address(3, "10.244.1.0/32");
    host.link(4, "flannel-v6.1", "vxlan").mtu = 1430;
    host.address(4, "fd00:244:1::/128");
    host.link(5, "vxlan.calico", "vxlan").mtu = 1450;
    host.address(5, "10.244.1.64/32");
    host.link(6, "cilium_vxlan", "vxlan").mtu = 1400;
    host.link(7, "cilium_host", "veth").mtu = 1390;
    host.address(7, "10.244.1.200/32");
    host.link(8, "tunl0", "ipip").mtu = 1440;
    host.address(8, "10.99.0.1/32");  // of an address pool of the CNI's own
    EXPECT_EQ(host.underlay(), 1500U);
    // Unless our packets may go through it.
    host.route(6, "0.0.0.0/0");
    EXPECT_EQ(host.underlay(), 1400U);
}

TEST(UnderlayMtu, ATunnelBetweenSitesIsOne) {
    Host host = plain_host();
    host.links[1].mtu = 1500;
    host.link(3, "gre1", "gre").mtu = 1476;
    host.address(3, "10.99.0.1/30");
    EXPECT_EQ(host.underlay(), 1476U);
    Host alone;
    alone.link(3, "gre1", "gre").mtu = 1476;
    alone.address(3, "10.99.0.1/32");
    EXPECT_EQ(alone.underlay(), 1476U) << "better than nothing";
}

TEST(Gateways, OnceEachAndNotOurOwn) {
    Host host = plain_host();
    host.route(2, "0.0.0.0/0", "192.0.2.1");
    host.route(2, "10.0.0.0/8", "192.0.2.1", 5);
    host.route(2, "::/0", "fe80::1");
    host.route(2, "10.1.0.0/16");
    host.route(9, "10.2.0.0/16", "10.9.9.9").protocol = kRouteProtocol;
    EXPECT_THAT(gateways(host.routes),
                ElementsAre(*IpAddress::parse("192.0.2.1"), *IpAddress::parse("fe80::1")));
}

}  // namespace
}  // namespace wglan
