// SPDX-License-Identifier: Apache-2.0
#include "agent/netlink/pod_devices.h"

#include <gmock/gmock.h>

namespace wglan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct Host {
    std::vector<Link> links;
    std::vector<InterfaceAddress> addresses;
    std::vector<int> uplinks = {2};
    std::vector<Prefix> own = {*Prefix::parse("10.244.1.0/24"), *Prefix::parse("fd00:244:1::/64")};

    Host() {
        add(1, "lo").loopback = true;
        add(2, "eth0").physical = true;
        add(9, "wglan0", "wireguard").has_mac = false;
    }
    Link& add(int ifindex, const char* name, const char* kind = "", int master = 0) {
        Link link;
        link.ifindex = ifindex;
        link.name = name;
        link.kind = kind;
        link.master = master;
        link.has_mac = true;
        link.mac = {2, 0, 0, 0, 0, static_cast<std::uint8_t>(ifindex)};
        link.peer_in_other_netns = link.kind == "veth" || link.kind == "netkit";
        links.push_back(link);
        return links.back();
    }
    void address(int ifindex, const char* text) {
        InterfaceAddress address;
        address.ifindex = ifindex;
        address.address = *IpAddress::parse(text);
        address.prefix_length = 24;
        addresses.push_back(address);
    }
    PodDevices select(const std::optional<std::vector<std::string>>& globs = std::nullopt) const {
        return select_pod_devices(links, addresses, uplinks, globs, "wglan0", own);
    }
    // "name kind mac's last byte", by ifindex.
    std::vector<std::string> found(
        const std::optional<std::vector<std::string>>& globs = std::nullopt) const {
        static const char* const names[] = {"", "peer", "device", "port", "bridge"};
        std::vector<std::string> list;
        for (const auto& [ifindex, device] : select(globs).devices)
            list.push_back(device.name + " " + names[static_cast<int>(device.kind)] + " " +
                           std::to_string(device.mac[5]));
        return list;
    }
};

TEST(PodDevices, VethAndNetkitThatLeadElsewhere) {
    Host host;
    host.add(10, "veth1", "veth");
    host.add(11, "netkit1", "netkit").has_mac = false;
    host.links.back().mac = {};
    host.add(12, "local", "veth").peer_in_other_netns = false;
    host.add(13, "dummy0", "dummy");
    EXPECT_THAT(host.found(), ElementsAre("veth1 peer 10", "netkit1 peer 0"));
    host.uplinks.push_back(10);
    EXPECT_THAT(host.found(), ElementsAre("netkit1 peer 0"));
}

TEST(PodDevices, ABridgeThatHoldsThePodsGatewayAndItsPorts) {
    Host host;
    host.add(20, "cni0", "bridge");
    host.address(20, "10.244.1.1");
    host.add(21, "veth1", "veth", 20);
    host.add(22, "tap1", "tun", 20);
    host.links.back().mac = host.links[3].mac;  // a port's address is often the bridge's
    host.add(30, "docker0", "bridge");
    host.address(30, "172.17.0.1");
    host.add(31, "veth2", "veth", 30);
    EXPECT_THAT(host.found(), ElementsAre("cni0 bridge 20", "veth1 port 20", "tap1 port 20"));
    EXPECT_THAT(host.select().macs, ElementsAre(MacAddress{2, 0, 0, 0, 0, 21}));
    host.add(23, "eth1", "", 20);  // not pods alone
    EXPECT_THAT(host.found(), IsEmpty());
    EXPECT_THAT(host.select().macs, IsEmpty());
}

TEST(PodDevices, ConfiguredNamesWinOverKinds) {
    Host host;
    host.add(10, "veth1", "veth");
    host.add(11, "vm0");
    host.add(20, "br0", "bridge");
    host.add(21, "port0", "veth", 20);
    host.add(22, "loc0", "veth").peer_in_other_netns = false;
    host.add(23, "tun0", "tun").has_mac = false;
    const std::vector<std::string> globs = {"vm*", "br0", "loc0", "tun0", "eth0", "lo", "wglan0"};
    EXPECT_THAT(host.found(globs),
                ElementsAre("vm0 device 11", "br0 bridge 20", "port0 port 20", "loc0 device 22"));
    EXPECT_THAT(host.found(std::vector<std::string>{"port0"}), IsEmpty());  // delivery is its bridge's
}

TEST(PodDevices, NoneWithoutPodsOfOnesOwn) {
    Host host;
    host.add(10, "veth1", "veth");
    host.own.clear();
    EXPECT_THAT(host.found(), IsEmpty());
}

}  // namespace
}  // namespace wglan
