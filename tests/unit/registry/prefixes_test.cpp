// SPDX-License-Identifier: Apache-2.0
// Who owns prefixes and addresses, and which claims are refused.
#include "tests/unit/registry/registry_fixture.h"

namespace wglan {
namespace {

using namespace samples;

class RegistryPrefixes : public RegistryTest {};

TEST_F(RegistryPrefixes, GivesAPeerAllItClaims) {
    put(node(2));
    const auto result = merge();
    ASSERT_EQ(result.peers.size(), 1U);
    EXPECT_EQ(prefixes(result, "node2"), "10.244.2.0/24 192.0.2.2/32 200:1001::2/128");
    EXPECT_EQ(find(result, "node2")->address, ip("200:1001::2"));
    EXPECT_TRUE(result.refused.empty());
}

struct Forbidden {
    const char* prefix;
    const char* reason;
};
class ForbiddenClaims : public RegistryPrefixes, public testing::WithParamInterface<Forbidden> {};
TEST_P(ForbiddenClaims, AreRefusedWithTheReason) {
    Record bad = node(2);
    bad.prefixes = {net(GetParam().prefix)};
    put(bad);
    const auto result = merge();
    EXPECT_EQ(reason(result, "node2", GetParam().prefix), GetParam().reason);
    EXPECT_EQ(prefixes(result, "node2"), "10.244.2.0/24 192.0.2.2/32 200:1001::2/128");
}
INSTANTIATE_TEST_SUITE_P(
    All, ForbiddenClaims,
    testing::Values(
        Forbidden{"0.0.0.0/0", "a default route, and peers.acceptDefaultRouteFrom doesn't name this peer"},
        Forbidden{"::/0", "a default route, and peers.acceptDefaultRouteFrom doesn't name this peer"},
        Forbidden{"127.0.0.0/8", "not a unicast network that can be routed"},
        Forbidden{"224.0.0.0/24", "not a unicast network that can be routed"},
        Forbidden{"fe80::/64", "not a unicast network that can be routed"},
        Forbidden{"192.0.2.1/32", "an address of this node"},
        Forbidden{"192.0.2.254/32", "the gateway of this node"},
        Forbidden{"10.244.1.128/25", "inside 10.244.1.0/24, which belongs to this node"},
        Forbidden{"10.244.1.0/24", "inside 10.244.1.0/24, which belongs to this node"},
        Forbidden{"200:1001::/65", "inside the overlay network 200:1001::/64"}));

TEST_F(RegistryPrefixes, TakesADefaultRouteFromWhoMayGiveOne) {
    RegistryPolicy p = policy();
    p.accept_default_route_from = {"node2"};
    registry.set_policy(p);
    Record exit = node(2);
    exit.prefixes = {net("0.0.0.0/0")};
    put(exit);
    EXPECT_EQ(prefixes(merge(), "node2"), "0.0.0.0/0 10.244.2.0/24 192.0.2.2/32 200:1001::2/128");
}

TEST_F(RegistryPrefixes, AcceptPrefixesLimitsAllButOwnAddresses) {
    RegistryPolicy p = policy();
    p.accept_prefixes = {{net("10.244.0.0/16")}};
    registry.set_policy(p);
    Record wide = node(2);
    wide.prefixes = {net("172.16.0.0/12")};
    put(wide);
    const auto result = merge();
    EXPECT_EQ(prefixes(result, "node2"), "10.244.2.0/24 192.0.2.2/32 200:1001::2/128");
    EXPECT_EQ(reason(result, "node2", "172.16.0.0/12"), "outside peers.acceptPrefixes");
}

TEST_F(RegistryPrefixes, IncumbentKeepsItsPrefixWhileItIsUp) {
    put(node(3));
    up = {key(3)};
    merge();
    Record thief = node(2);
    thief.pod_prefixes = {net("10.244.3.0/24")};
    thief.node_addresses = {ip("192.0.2.3")};
    put(thief);
    up = {key(2), key(3)};
    auto result = merge();
    EXPECT_EQ(prefixes(result, "node3"), "10.244.3.0/24 192.0.2.3/32 200:1001::3/128");
    EXPECT_EQ(reason(result, "node2", "10.244.3.0/24"), "held by node3, which is up");
    EXPECT_EQ(reason(result, "node2", "192.0.2.3"), "held by node3, which is up");
    // Down, but the challenger has no handshake either: nothing moves.
    up = {};
    EXPECT_EQ(prefixes(merge(), "node3"), "10.244.3.0/24 192.0.2.3/32 200:1001::3/128");
    // Now it may.
    up = {key(2)};
    EXPECT_EQ(prefixes(merge(), "node2"), "10.244.3.0/24 192.0.2.3/32 200:1001::2/128");
    // And the old owner, back again, is the challenger.
    up = {key(2), key(3)};
    EXPECT_EQ(prefixes(merge(), "node3"), "200:1001::3/128");
}

TEST_F(RegistryPrefixes, IncumbentsSurviveARestart) {
    put(node(3));
    merge();
    Registry successor(policy());
    successor.restore(registry.ownership());
    Record thief = node(2);
    thief.pod_prefixes = {net("10.244.3.0/24")};
    successor.put(said(thief), now);
    successor.put(said(node(3)), now);
    const auto result = successor.merge(own, [](const PublicKey&) { return PeerState::down; }, now);
    EXPECT_EQ(prefixes(result, "node3"), "10.244.3.0/24 192.0.2.3/32 200:1001::3/128");
}

TEST_F(RegistryPrefixes, AssignedPrefixesBeatIncumbents) {
    put(node(3));
    up = {key(3)};
    merge();
    Record edge;
    edge.name = "edge";
    edge.public_key = key(9);
    edge.prefixes = {net("10.244.3.0/24")};
    registry.put(said(edge, SourceKind::static_entry, "static"), now);
    const auto result = merge();
    EXPECT_EQ(prefixes(result, "edge"), "10.244.3.0/24");
    EXPECT_EQ(reason(result, "node3", "10.244.3.0/24"), "assigned to edge");
}

TEST_F(RegistryPrefixes, PartOfAnothersPodPrefixIsRefused) {
    put(node(3));
    up = {key(2), key(3)};
    Record thief = node(2);
    thief.prefixes = {net("10.244.3.128/25"), net("10.244.3.7/32")};
    put(thief);
    const auto result = merge();
    EXPECT_EQ(prefixes(result, "node2"), "10.244.2.0/24 192.0.2.2/32 200:1001::2/128");
    EXPECT_EQ(reason(result, "node2", "10.244.3.128/25"), "inside 10.244.3.0/24 of node3");
}

TEST_F(RegistryPrefixes, PartOfAnIncumbentsNetworkIsRefusedButNodeAddressesAreNot) {
    Record hub = node(3);
    hub.prefixes = {net("10.0.0.0/8")};
    put(hub);
    up = {key(2), key(3)};
    merge();
    Record late = node(2);
    late.pod_prefixes.clear();
    late.prefixes = {net("10.9.0.0/16")};
    late.node_addresses = {ip("10.7.0.2")};
    put(late);
    const auto result = merge();
    EXPECT_EQ(prefixes(result, "node2"), "10.7.0.2/32 200:1001::2/128");
    EXPECT_EQ(reason(result, "node2", "10.9.0.0/16"), "inside 10.0.0.0/8 of node3");
}

TEST_F(RegistryPrefixes, AWiderClaimTakesNothingFromWhoIsInside) {
    Record spoke = node(2);
    spoke.prefixes = {net("10.9.0.0/16")};
    put(spoke);
    up = {key(2), key(3)};
    merge();
    Record hub = node(3);
    hub.prefixes = {net("10.0.0.0/8")};
    put(hub);
    const auto result = merge();
    EXPECT_NE(prefixes(result, "node2").find("10.9.0.0/16"), std::string::npos);
    EXPECT_NE(prefixes(result, "node3").find("10.0.0.0/8"), std::string::npos);
}

TEST_F(RegistryPrefixes, APrivateAddressOfTwoLiveNodesGoesToNeither) {
    Record a = node(2), b = node(3);
    a.node_addresses = b.node_addresses = {ip("10.0.0.5")};
    put(a);
    put(b);
    up = {key(2)};
    EXPECT_EQ(prefixes(merge(), "node2"), "10.0.0.5/32 10.244.2.0/24 200:1001::2/128");
    up = {key(2), key(3)};
    const auto result = merge();
    EXPECT_EQ(prefixes(result, "node2"), "10.244.2.0/24 200:1001::2/128");
    EXPECT_EQ(prefixes(result, "node3"), "10.244.3.0/24 200:1001::3/128");
    EXPECT_EQ(reason(result, "node3", "10.0.0.5"), "a private address that two live nodes claim");
}

TEST_F(RegistryPrefixes, OverlayAddressMustLieInTheOverlay) {
    Record bad = node(2);
    bad.address = ip("2001:4860:4860::8888");
    put(bad);
    const auto result = merge();
    EXPECT_EQ(prefixes(result, "node2"), "10.244.2.0/24 192.0.2.2/32");
    EXPECT_EQ(reason(result, "node2", "2001:4860:4860::8888"), "outside the overlay network 200:1001::/64");
    EXPECT_TRUE(find(result, "node2")->address.is_unspecified());
}

TEST_F(RegistryPrefixes, WithoutPodNetworkingPodPrefixesAreLeftAlone) {
    RegistryPolicy p = policy();
    p.pod_networking = false;
    registry.set_policy(p);
    put(node(2));
    EXPECT_EQ(prefixes(merge(), "node2"), "192.0.2.2/32 200:1001::2/128");
}

TEST_F(RegistryPrefixes, NobodysClaimTakesTheUnderlayOrOthersEndpoints) {
    put(node(3));
    Record evil = node(2);
    evil.endpoints = {where("203.0.113.2:51820")};
    evil.prefixes = {net("192.0.2.0/24"), net("192.0.2.0/25"), net("192.0.2.128/25"), net("192.0.2.77/32"),
                     net("128.0.0.0/1"),  net("64.0.0.0/2"),   net("8000::/1"),       net("192.0.0.0/16")};
    evil.pod_prefixes = {net("192.0.0.0/14")};
    put(evil);
    const auto result = merge();
    for (const char* bad : {"192.0.2.0/24", "192.0.2.0/25", "192.0.2.128/25", "192.0.2.77/32"})
        EXPECT_EQ(reason(result, "node2", bad), "inside 192.0.2.0/24, a network that this node is on") << bad;
    for (const char* bad : {"128.0.0.0/1", "64.0.0.0/2", "8000::/1"})
        EXPECT_EQ(reason(result, "node2", bad),
                  "as wide as a default route, and peers.acceptDefaultRouteFrom doesn't name this peer")
            << bad;
    EXPECT_EQ(reason(result, "node2", "192.0.0.0/14"), "a pod prefix around 192.0.2.3, an endpoint of node3");
    EXPECT_EQ(find(result, "node3")->candidates.size(), 1U) << "the incumbent keeps its endpoint";
    EXPECT_NE(prefixes(result, "node2").find("192.0.0.0/16"), std::string::npos)
        << "gateways announce wide networks";
}

TEST_F(RegistryPrefixes, AnAddressThisNodeDependsOnGoesToWhoIsReachedThere) {
    own.depended_on = {ip("192.0.2.250")};
    std::optional<IpAddress> reached;
    own.reached_at = [&](const PublicKey&) { return reached; };
    Record claims = node(2);
    claims.node_addresses = {ip("192.0.2.2"), ip("192.0.2.250")};
    put(claims);
    EXPECT_EQ(reason(merge(), "node2", "192.0.2.250"),
              "an address that this node depends on, and the peer isn't reached there");
    reached = ip("192.0.2.2");
    EXPECT_EQ(prefixes(merge(), "node2").find("192.0.2.250"), std::string::npos);
    reached = ip("192.0.2.250");
    EXPECT_NE(prefixes(merge(), "node2").find("192.0.2.250/32"), std::string::npos);
}

}  // namespace
}  // namespace wglan
