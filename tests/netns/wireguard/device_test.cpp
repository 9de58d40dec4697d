// SPDX-License-Identifier: Apache-2.0
// What both backends must do to a device, against the real thing.
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "tests/netns/wireguard/node.h"

namespace wglan::test {
namespace {

using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class Device : public WithBackend {};
INSTANTIATE_TEST_SUITE_P(, Device, testing::Values("userspace", "kernel"),
                         [](const auto& param) { return param.param; });

PublicKey peer_key(std::uint32_t number) {
    PublicKey key;
    key.bytes.fill(0x33);
    for (std::size_t i = 0; i < 4; ++i) key.bytes[i] = static_cast<std::uint8_t>(number >> (8 * i));
    return key;
}

std::vector<WgPeer> sorted_peers(const WgDevice& device) {
    std::vector<WgPeer> peers;
    for (const auto& entry : device.peers) peers.push_back(entry.peer);
    std::sort(peers.begin(), peers.end(), [](const WgPeer& a, const WgPeer& b) { return a.key < b.key; });
    return peers;
}

TEST_P(Device, IsMadeConfiguredAndRemoved) {
    Node node(GetParam());
    EXPECT_TRUE(node.ensure());
    EXPECT_FALSE(node.ensure());
    EXPECT_TRUE(node.dump().public_key.is_zero());
    WgDeviceChange change;
    change.set_private_key = true;
    change.listen_port = 51999;
    change.firewall_mark = 0x10;
    EXPECT_TRUE(
        node.result_of([&](WireGuard& wireguard) { return wireguard.configure(change, node.secrets); }));
    node.host.run("ip link set wg0 up");
    const WgDevice device = node.dump();
    EXPECT_EQ(device.public_key, node.key());
    EXPECT_EQ(device.listen_port, 51999);
    EXPECT_EQ(device.firewall_mark, 0x10U);
    EXPECT_EQ(node.host.run("wg show wg0 listen-port"), "51999\n");

    EXPECT_TRUE(node.result_of([](WireGuard& wireguard) { return wireguard.remove_device(); }));
    EXPECT_NE(node.host.try_run("ip link show wg0").exit_code, 0);
    EXPECT_TRUE(node.result_of([](WireGuard& wireguard) { return wireguard.remove_device(); }));
    const Result<> gone = node.result_of([](WireGuard& wireguard) -> Result<> {
        auto dumped = wireguard.dump();
        return dumped ? Result<>{} : tl::make_unexpected(dumped.error());
    });
    ASSERT_FALSE(gone);
    EXPECT_EQ(gone.error().kind(), ErrorKind::not_found);
    EXPECT_TRUE(node.ensure());
}

TEST_P(Device, OfAnotherKindIsRefused) {
    Node node(GetParam());
    node.host.run("ip link add wg0 type veth peer name other");
    const Result<> refused = node.result_of([](WireGuard& wireguard) -> Result<> {
        auto ensured = wireguard.ensure_device();
        return ensured ? Result<>{} : tl::make_unexpected(ensured.error());
    });
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::exists);
    EXPECT_THAT(refused.error().message(), HasSubstr("wg0"));
    node.host.run("ip link del wg0");
}

TEST_P(Device, ReportsAPortInUse) {
    Node node(GetParam());
    node.start(0, {"10.9.0.1/32"});
    node.host.inside([&] {
        const UniqueFd taken(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(51888);
        ASSERT_EQ(::bind(taken.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        WgDeviceChange change;
        change.listen_port = 51888;
        const Result<> refused = node.backend().configure(change, node.secrets);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code(), EADDRINUSE);
        EXPECT_THAT(refused.error().message(), HasSubstr("51888"));
    });
}

TEST_P(Device, TakesPeersAndGivesThemBack) {
    Node node(GetParam());
    node.ensure();
    node.configure(51820);
    node.secrets.preshared[peer_key(1)].fill(7);
    WgPeerChange first =
        add_peer(peer_key(1), "192.0.2.9:51821", {"10.1.0.0/16", "fd00:1::/64", "10.1.2.3/32"});
    first.keepalive_s = 25;
    node.apply(
        {first, add_peer(peer_key(2), "[2001:db8::9]:51822", {}), add_peer(peer_key(3), "", {"0.0.0.0/0"})});
    auto peers = sorted_peers(node.dump());
    ASSERT_THAT(peers, SizeIs(3));
    EXPECT_EQ(peers[0].endpoint->to_string(), "192.0.2.9:51821");
    EXPECT_EQ(peers[0].keepalive_s, 25);
    EXPECT_EQ(peers[0].preshared, fingerprint(node.secrets.preshared[peer_key(1)]));
    EXPECT_THAT(peers[0].allowed_ips,
                ElementsAreArray(prefixes_of({"10.1.0.0/16", "10.1.2.3/32", "fd00:1::/64"})));
    EXPECT_EQ(peers[1].endpoint->to_string(), "[2001:db8::9]:51822");
    EXPECT_TRUE(peers[1].preshared.is_zero());
    EXPECT_FALSE(peers[2].endpoint);
    EXPECT_THAT(peers[2].allowed_ips, ElementsAreArray(prefixes_of({"0.0.0.0/0"})));

    node.secrets.preshared.clear();
    WgPeerChange second = update_peer(peer_key(1));
    second.set_preshared = true;
    second.keepalive_s = 0;
    second.remove_allowed_ips = prefixes_of({"10.1.0.0/16"});
    second.add_allowed_ips = prefixes_of({"0.0.0.0/0"});
    WgPeerChange third;
    third.kind = WgPeerChange::Kind::remove;
    third.key = peer_key(2);
    node.apply({second, third});
    peers = sorted_peers(node.dump());
    ASSERT_THAT(peers, SizeIs(2));
    EXPECT_TRUE(peers[0].preshared.is_zero());
    EXPECT_EQ(peers[0].keepalive_s, 0);
    EXPECT_EQ(peers[0].endpoint->to_string(), "192.0.2.9:51821");
    EXPECT_THAT(peers[0].allowed_ips,
                ElementsAreArray(prefixes_of({"0.0.0.0/0", "10.1.2.3/32", "fd00:1::/64"})));
    EXPECT_THAT(peers[1].allowed_ips, IsEmpty());
}

TEST_P(Device, MakesNoPeerForAnUpdateOrRemoval) {
    Node node(GetParam());
    node.start(51820, {"10.9.0.1/32"});
    WgPeerChange update = update_peer(peer_key(1));
    update.endpoint = Endpoint::parse("192.0.2.9:1").value();
    update.keepalive_s = 25;
    update.set_preshared = true;
    update.add_allowed_ips = prefixes_of({"10.1.0.0/16"});
    update.remove_allowed_ips = prefixes_of({"10.2.0.0/16"});
    WgPeerChange removal;
    removal.kind = WgPeerChange::Kind::remove;
    removal.key = peer_key(2);
    node.apply({update, removal});
    EXPECT_THAT(node.dump().peers, IsEmpty());
}

TEST_P(Device, HoldsAThousandPeers) {
    Node node(GetParam());
    node.ensure();
    node.configure(51820);
    std::vector<WgPeerChange> changes;
    for (std::uint32_t i = 0; i < 1000; ++i) {
        const std::string number = std::to_string(i / 250) + "." + std::to_string(i % 250);
        changes.push_back(
            add_peer(peer_key(i), "192.0.2.9:51820", {"10." + number + ".0/24", "10.200." + number + "/32"}));
    }
    node.apply(changes);
    auto peers = sorted_peers(node.dump());
    ASSERT_THAT(peers, SizeIs(1000));
    for (const WgPeer& peer : peers) ASSERT_THAT(peer.allowed_ips, SizeIs(2));

    // One prefix of each goes; the second time nothing is left to do.
    for (WgPeerChange& change : changes) {
        WgPeerChange less = update_peer(change.key);
        less.remove_allowed_ips = {change.add_allowed_ips[0]};
        change = less;
    }
    node.apply(changes);
    node.apply(changes);
    peers = sorted_peers(node.dump());
    ASSERT_THAT(peers, SizeIs(1000));
    for (const WgPeer& peer : peers) ASSERT_THAT(peer.allowed_ips, SizeIs(1));

    for (WgPeerChange& change : changes) {
        change = update_peer(change.key);
        change.kind = WgPeerChange::Kind::remove;
    }
    node.apply(changes);
    EXPECT_THAT(node.dump().peers, IsEmpty());
}

TEST_P(Device, HoldsAPeerWithThousandsOfPrefixes) {
    Node node(GetParam());
    node.ensure();
    node.configure(51820);
    WgPeerChange change = add_peer(peer_key(1), "", {});
    for (int i = 0; i < 3000; ++i)
        change.add_allowed_ips.push_back(
            Prefix::parse("10." + std::to_string(i / 250) + "." + std::to_string(i % 250) + ".0/24").value());
    node.apply({change});
    EXPECT_EQ(node.peer(peer_key(1)).peer.allowed_ips, change.add_allowed_ips);
}

}  // namespace
}  // namespace wglan::test
