// SPDX-License-Identifier: Apache-2.0
// Who is a peer, under which name and key, and for how long.
#include "tests/unit/registry/registry_fixture.h"

namespace wglan {
namespace {

using namespace samples;

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

TEST_F(RegistryTest, ANewRecordIsANewVersion) {
    put(node(2, 5));
    EXPECT_EQ(find(merge(), "node2")->version, 5U);
    put(node(2, 6));
    EXPECT_EQ(find(merge(), "node2")->version, 6U);
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
