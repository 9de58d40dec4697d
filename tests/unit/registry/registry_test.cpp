// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/registry.h"

#include <gtest/gtest.h>

#include "tests/support/samples.h"

namespace wglan {
namespace {

using namespace samples;

class RegistryTest : public testing::Test {
protected:
    RegistryTest() : registry(policy()) {
        own.name = "node1";
        own.public_key = key(1);
        own.identity = identity(1);
        own.address = ip("200:1001::1");
        own.node_addresses = {ip("192.0.2.1"), ip("2001:db8::1")};
        own.gateways = {ip("192.0.2.254")};
        own.prefixes = {net("10.244.1.0/24")};
        own.networks = {net("192.0.2.0/24")};
    }

    static RegistryPolicy policy() {
        RegistryPolicy p;
        p.overlay = net("200:1001::/64");
        return p;
    }

    MergeResult merge() {
        return registry.merge(
            own, [this](const PublicKey& k) { return up.contains(k) ? PeerState::up : PeerState::down; },
            now);
    }
    void put(Record record) { registry.put(said(std::move(record)), now); }

    static const Peer* find(const MergeResult& result, const std::string& name) {
        for (const Peer& peer : result.peers)
            if (peer.name == name) return &peer;
        return nullptr;
    }
    static std::string prefixes(const MergeResult& result, const std::string& name) {
        std::string text;
        if (const Peer* peer = find(result, name))
            for (const OwnedPrefix& owned : peer->prefixes)
                text += (text.empty() ? "" : " ") + owned.prefix.to_string();
        return text;
    }
    static std::string reason(const MergeResult& result, const std::string& peer, const std::string& prefix) {
        for (const Refusal& refusal : result.refused)
            if (refusal.peer == peer && refusal.prefix == prefix) return refusal.reason;
        return "not refused";
    }

    OwnClaims own;
    std::set<PublicKey> up;
    SteadyTime now = SteadyTime{} + Seconds(100000);
    Registry registry;
};

TEST_F(RegistryTest, GivesAPeerAllItClaims) {
    put(node(2));
    const auto result = merge();
    ASSERT_EQ(result.peers.size(), 1U);
    EXPECT_EQ(prefixes(result, "node2"), "10.244.2.0/24 192.0.2.2/32 200:1001::2/128");
    EXPECT_EQ(find(result, "node2")->address, ip("200:1001::2"));
    EXPECT_TRUE(result.refused.empty());
}

TEST_F(RegistryTest, IgnoresOurOwnRecordComingBack) {
    put(node(1));
    const auto result = merge();
    EXPECT_TRUE(result.peers.empty());
    EXPECT_TRUE(result.refused.empty());
}

TEST_F(RegistryTest, RefusesAnotherIdentityWithOurKey) {
    Record thief = node(2);
    thief.public_key = key(1);
    put(thief);
    const auto result = merge();
    EXPECT_TRUE(result.peers.empty());
    EXPECT_EQ(reason(result, "node2", to_string(key(1))), "the public key of this node");
}

TEST_F(RegistryTest, KeepsTheHighestSequenceWhateverTheOrder) {
    Record fresh = node(2, 5);
    fresh.pod_prefixes = {net("10.244.22.0/24")};
    registry.put(said(fresh, SourceKind::service, "service:b"), now);
    registry.put(said(node(2, 4)), now);
    registry.put(said(node(2, 3), SourceKind::service, "service:b"), now);  // rolled back
    EXPECT_EQ(prefixes(merge(), "node2"), "10.244.22.0/24 192.0.2.2/32 200:1001::2/128");
}

struct Forbidden {
    const char* prefix;
    const char* reason;
};
class ForbiddenClaims : public RegistryTest, public testing::WithParamInterface<Forbidden> {};
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

TEST_F(RegistryTest, TakesADefaultRouteFromWhoMayGiveOne) {
    RegistryPolicy p = policy();
    p.accept_default_route_from = {"node2"};
    registry.set_policy(p);
    Record exit = node(2);
    exit.prefixes = {net("0.0.0.0/0")};
    put(exit);
    EXPECT_EQ(prefixes(merge(), "node2"), "0.0.0.0/0 10.244.2.0/24 192.0.2.2/32 200:1001::2/128");
}

TEST_F(RegistryTest, AcceptPrefixesLimitsAllButOwnAddresses) {
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

TEST_F(RegistryTest, IncumbentKeepsItsPrefixWhileItIsUp) {
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

TEST_F(RegistryTest, IncumbentsSurviveARestart) {
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

TEST_F(RegistryTest, AssignedPrefixesBeatIncumbents) {
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

TEST_F(RegistryTest, PartOfAnothersPodPrefixIsRefused) {
    put(node(3));
    up = {key(2), key(3)};
    Record thief = node(2);
    thief.prefixes = {net("10.244.3.128/25"), net("10.244.3.7/32")};
    put(thief);
    const auto result = merge();
    EXPECT_EQ(prefixes(result, "node2"), "10.244.2.0/24 192.0.2.2/32 200:1001::2/128");
    EXPECT_EQ(reason(result, "node2", "10.244.3.128/25"), "inside 10.244.3.0/24 of node3");
}

TEST_F(RegistryTest, PartOfAnIncumbentsNetworkIsRefusedButNodeAddressesAreNot) {
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

TEST_F(RegistryTest, AWiderClaimTakesNothingFromWhoIsInside) {
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

TEST_F(RegistryTest, APrivateAddressOfTwoLiveNodesGoesToNeither) {
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

TEST_F(RegistryTest, OverlayAddressMustLieInTheOverlay) {
    Record bad = node(2);
    bad.address = ip("2001:4860:4860::8888");
    put(bad);
    const auto result = merge();
    EXPECT_EQ(prefixes(result, "node2"), "10.244.2.0/24 192.0.2.2/32");
    EXPECT_EQ(reason(result, "node2", "2001:4860:4860::8888"), "outside the overlay network 200:1001::/64");
    EXPECT_TRUE(find(result, "node2")->address.is_unspecified());
}

TEST_F(RegistryTest, OfTwoNodesWithOneOverlayAddressTheHigherKeyGivesWay) {
    Record twin = node(2);
    twin.address = own.address;
    put(twin);
    EXPECT_FALSE(merge().own_address_taken) << "ours is the lower key";
    own.public_key = key(200);
    EXPECT_TRUE(merge().own_address_taken);
}

TEST_F(RegistryTest, ANameHasOneHolder) {
    put(node(2));
    up = {key(2)};
    merge();
    Record second = node(3);
    second.name = "node2";
    put(second);
    Record ours = node(4);
    ours.name = "node1";
    put(ours);
    const auto result = merge();
    EXPECT_EQ(find(result, "node2")->public_key, key(2));
    ASSERT_EQ(result.peers.size(), 3U);
    int renamed = 0;
    for (const Peer& peer : result.peers)
        if (peer.name.find('~') != std::string::npos) ++renamed;
    EXPECT_EQ(renamed, 2);
    EXPECT_EQ(result.refused.size(), 2U);
}

TEST_F(RegistryTest, AKeyBelongsToTheIdentityThatHadItFirst) {
    put(node(5));
    merge();
    Record second = node(2);
    second.public_key = key(5);
    put(second);
    const auto result = merge();
    ASSERT_EQ(result.peers.size(), 1U);
    EXPECT_EQ(result.peers[0].identity, identity(5));
    EXPECT_EQ(reason(result, "node2", to_string(key(5))),
              "the public key belongs to identity " + to_string(identity(5)));
}

TEST_F(RegistryTest, AbsenceRemovesNobodyBeforeItsTime) {
    registry.snapshot("service:a", {said(node(2)), said(node(3))}, now);
    registry.snapshot("service:a", {}, now);  // restarted empty
    EXPECT_EQ(merge().peers.size(), 2U);
    now += Seconds(1799);
    EXPECT_EQ(merge().peers.size(), 2U);
    ASSERT_TRUE(merge().next_expiry);
    EXPECT_EQ(*merge().next_expiry, now + Seconds(1));
    up = {key(3)};
    now += Seconds(2);
    const auto result = merge();
    ASSERT_EQ(result.peers.size(), 1U);
    EXPECT_EQ(result.peers[0].name, "node3") << "who is up stays";
    up = {};
    EXPECT_TRUE(merge().peers.empty());
}

TEST_F(RegistryTest, ComingBackEndsAbsence) {
    put(node(2));
    registry.gone("service:a", identity(2), now);
    now += Seconds(1000);
    put(node(2));
    now += Seconds(1000);
    EXPECT_EQ(merge().peers.size(), 1U);
}

TEST_F(RegistryTest, OneOfTwoSourcesIsEnough) {
    registry.put(said(node(2), SourceKind::service, "service:a"), now);
    registry.put(said(node(2), SourceKind::service, "service:b"), now);
    registry.gone("service:a", identity(2), now);
    now += Seconds(100000);
    const auto result = merge();
    ASSERT_EQ(result.peers.size(), 1U);
    EXPECT_EQ(result.peers[0].sources.size(), 2U);
}

TEST_F(RegistryTest, APeerIsAnnouncedWhileAServiceNamesIt) {
    registry.put(said(node(2), SourceKind::cache, "cache"), now);
    EXPECT_FALSE(find(merge(), "node2")->announced) << "a memory";
    registry.put(said(node(2), SourceKind::service, "service:a"), now);
    registry.put(said(node(2, 2), SourceKind::service, "service:b"), now);
    EXPECT_TRUE(find(merge(), "node2")->announced);
    registry.gone("service:b", identity(2), now);
    EXPECT_TRUE(find(merge(), "node2")->announced) << "be it with an older record";
    registry.gone("service:a", identity(2), now);
    EXPECT_FALSE(find(merge(), "node2")->announced);
}

TEST_F(RegistryTest, ATombstoneRemovesAtOnceAndKeepsOlderRecordsOut) {
    put(node(2, 7));
    up = {key(2)};
    registry.tombstone({identity(2), 8, 1000});
    EXPECT_TRUE(merge().peers.empty());
    put(node(2, 8));
    put(node(2, 7));
    EXPECT_TRUE(merge().peers.empty());
    put(node(2, 9));  // joined again
    EXPECT_EQ(merge().peers.size(), 1U);
}

TEST_F(RegistryTest, AnOlderTombstoneWithdrawsNothingNewer) {
    put(node(2, 7));
    registry.tombstone({identity(2), 6, 1000});
    EXPECT_EQ(merge().peers.size(), 1U);
}

TEST_F(RegistryTest, WhatTheCacheRemembersKeepsNobodyAlive) {
    registry.snapshot("cache", {said(node(2), SourceKind::cache, "cache")}, now);
    EXPECT_EQ(merge().peers.size(), 1U);
    now += Seconds(1801);
    EXPECT_TRUE(merge().peers.empty());
}

TEST_F(RegistryTest, AStaticPeerTakenOutOfTheConfigurationGoesAtOnce) {
    Record edge;
    edge.name = "edge";
    edge.public_key = key(9);
    registry.snapshot("static", {said(edge, SourceKind::static_entry, "static")}, now);
    up = {key(9)};
    EXPECT_EQ(merge().peers.size(), 1U);
    EXPECT_TRUE(merge().peers[0].agentless);
    registry.snapshot("static", {}, now);
    EXPECT_TRUE(merge().peers.empty());
}

TEST_F(RegistryTest, AStaticEntryAndARecordWithOneKeyAreOnePeer) {
    Record edge;
    edge.name = "edge";
    edge.public_key = key(2);
    edge.prefixes = {net("10.9.0.0/24")};
    edge.endpoints = {where("198.51.100.7:51820")};
    registry.put(said(edge, SourceKind::static_entry, "static"), now);
    put(node(2));
    const auto result = merge();
    ASSERT_EQ(result.peers.size(), 1U);
    EXPECT_EQ(result.peers[0].name, "edge");
    EXPECT_FALSE(result.peers[0].agentless);
    EXPECT_EQ(prefixes(result, "edge"), "10.9.0.0/24 10.244.2.0/24 192.0.2.2/32 200:1001::2/128");
}

TEST_F(RegistryTest, WithoutAutomaticNodesOnlyStaticPeersCount) {
    RegistryPolicy p = policy();
    p.automatic_nodes = false;
    registry.set_policy(p);
    put(node(2));
    EXPECT_TRUE(merge().peers.empty());
}

TEST_F(RegistryTest, WithoutPodNetworkingPodPrefixesAreLeftAlone) {
    RegistryPolicy p = policy();
    p.pod_networking = false;
    registry.set_policy(p);
    put(node(2));
    EXPECT_EQ(prefixes(merge(), "node2"), "192.0.2.2/32 200:1001::2/128");
}

TEST_F(RegistryTest, CandidatesAreOrderedAndUnique) {
    Record far = node(2);
    far.endpoints = {where("10.50.0.2:51820"), where("203.0.113.2:51820"), where("[2001:db8::2]:51820"),
                     where("192.0.2.2:51820"), where("192.0.2.2:51820")};
    SourcedRecord sourced = said(far);
    sourced.observed_address = ip("198.51.100.9");
    registry.put(sourced, now);
    const auto result = merge();
    std::string order;
    for (const Candidate& candidate : result.peers.at(0).candidates)
        order += candidate.where.to_string() + " ";
    EXPECT_EQ(order,
              "192.0.2.2:51820 [2001:db8::2]:51820 203.0.113.2:51820 198.51.100.9:51820 10.50.0.2:51820 ")
        << "IPv6 before IPv4 where NATs may stand in between";
}

TEST_F(RegistryTest, WhatOtherMembersSeeIsACandidate) {
    const Endpoint seen = at("198.51.100.7:40001"), rare = at("198.51.100.8:1");
    for (const auto witness : {std::uint8_t{3}, std::uint8_t{4}}) {
        Record record = node(witness);
        record.observed = {{to_string(key(2)), seen}, {to_string(key(witness)), at("203.0.113.9:9")}};
        if (witness == 4) record.observed[to_string(key(2))] = rare;
        put(record);
    }
    Record third = node(5);
    third.observed = {{to_string(key(2)), seen}, {to_string(key(1)), seen}};
    put(third);
    put(node(2));
    const auto result = merge();
    std::vector<Candidate> found = find(result, "node2")->candidates;
    ASSERT_EQ(found.size(), 3U);
    EXPECT_EQ(found[0].where.to_string(), "192.0.2.2:51820");
    EXPECT_EQ(found[1].where.to_string(), seen.to_string()) << "what most of them see comes first";
    EXPECT_EQ(found[1].source, CandidateSource::peers);
    EXPECT_EQ(found[2].where.to_string(), rare.to_string());
    EXPECT_GT(found[0].base, found[1].base);
    EXPECT_EQ(find(result, "node3")->candidates.size(), 1U) << "nobody is a witness of himself";
    EXPECT_EQ(result.seen_of_us, std::vector<Endpoint>{seen}) << "of ourselves too";
}

TEST_F(RegistryTest, WitnessesAreBounded) {
    for (int witness = 10; witness < 60; ++witness) {
        Record record = node(static_cast<std::uint8_t>(witness));
        record.observed = {{to_string(key(2)), at("198.51.100.7:" + std::to_string(witness))}};
        put(record);
    }
    put(node(2));
    EXPECT_EQ(find(merge(), "node2")->candidates.size(), 5U);
}

TEST_F(RegistryTest, WhatMembersSeeInsideASteeredPrefixIsRefused) {
    Record witness = node(3);
    witness.observed = {{to_string(key(2)), at("10.244.2.9:51820")}};
    put(witness);
    put(node(2));
    const auto result = merge();
    EXPECT_EQ(find(result, "node2")->candidates.size(), 1U);
    EXPECT_EQ(reason(result, "node2", "10.244.2.9:51820"),
              "an endpoint inside 10.244.2.0/24, which is steered to node2: a tunnel inside a tunnel");
}

TEST_F(RegistryTest, ANewRecordIsANewVersion) {
    put(node(2, 5));
    EXPECT_EQ(find(merge(), "node2")->version, 5U);
    put(node(2, 6));
    EXPECT_EQ(find(merge(), "node2")->version, 6U);
}

TEST_F(RegistryTest, AnEndpointInsideItsOwnPrefixIsRefused) {
    Record bad = node(2);
    bad.endpoints = {where("10.244.2.9:51820"), where("192.0.2.2:51820")};
    put(bad);
    const auto result = merge();
    EXPECT_EQ(find(result, "node2")->candidates.size(), 1U);
    EXPECT_EQ(reason(result, "node2", "10.244.2.9:51820"),
              "an endpoint inside 10.244.2.0/24, which is steered to node2: a tunnel inside a tunnel");
}

TEST_F(RegistryTest, AnEndpointInsideAnAssignedPrefixIsRefused) {
    Record edge;
    edge.name = "edge";
    edge.public_key = key(9);
    edge.prefixes = {net("10.9.0.0/24")};
    registry.put(said(edge, SourceKind::static_entry, "static"), now);
    Record inside = node(2);
    inside.endpoints = {where("10.9.0.2:51820")};
    put(inside);
    const auto result = merge();
    EXPECT_TRUE(find(result, "node2")->candidates.empty());
    EXPECT_EQ(reason(result, "node2", "10.9.0.2:51820"),
              "an endpoint inside 10.9.0.0/24, which is steered to edge: a tunnel inside a tunnel");
}

TEST_F(RegistryTest, NobodysClaimTakesTheUnderlayOrOthersEndpoints) {
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

TEST_F(RegistryTest, AnAddressThisNodeDependsOnGoesToWhoIsReachedThere) {
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

TEST_F(RegistryTest, KnowsWhoSaysToSeeAKey) {
    Record witness = node(2);
    witness.observed = {{to_string(key(1)), at("198.51.100.7:4444")},
                        {to_string(key(3)), at("198.51.100.8:1")}};
    put(witness);
    put(node(3));
    Record itself = node(4);
    itself.observed = {{to_string(key(4)), at("198.51.100.9:1")}};
    put(itself);
    using Seen = std::vector<std::pair<PublicKey, Endpoint>>;
    EXPECT_EQ(registry.who_sees(key(1)), (Seen{{key(2), at("198.51.100.7:4444")}}));
    EXPECT_EQ(registry.who_sees(key(4)), Seen{}) << "of itself it says nothing that counts";
}

TEST_F(RegistryTest, MergingTwiceGivesTheSame) {
    for (std::uint8_t i = 2; i < 9; ++i) {
        Record record = node(i);
        record.pod_prefixes = {net("10.244.2.0/24")};  // all want one thing
        put(record);
    }
    up = {key(4), key(5)};
    const auto first = merge();
    const auto second = merge();
    EXPECT_EQ(first.peers, second.peers);
    EXPECT_EQ(first.refused, second.refused);
}

}  // namespace
}  // namespace wglan
