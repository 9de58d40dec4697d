// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/kubernetes/node_cache.h"

#include <gmock/gmock.h>

#include "tests/unit/discovery/fixture.h"

namespace wglan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class NodeCacheTest : public ::testing::Test {
protected:
    KubeNode node_of(const Node& node, std::uint64_t sequence) const {
        KubeNode out;
        out.name = node.record.name;
        out.uid = "uid-" + node.record.name;
        out.pod_cidrs = node.record.pod_prefixes;
        out.addresses = node.record.node_addresses;
        out.labels = {{"zone", "fra1"}};
        auto record = node.record;
        record.sequence = sequence;
        out.annotations = annotate(keys, node.seed.bytes(), record, out.name, out.uid);
        out.annotations["note"] = "rack 7";
        return out;
    }
    // As a file keeps and gives it back.
    CacheContent reload(const CacheState& state, UnixTime now = kNow, bool synchronised = true) const {
        auto content = must(decode_cache(keys, must(encode_cache(keys, state)), now, synchronised));
        restore_cached_nodes(keys, content, now, synchronised);
        return content;
    }
    CacheState state_of(const Node& node, std::uint64_t sequence) const {
        CacheState state;
        state.seen[node.identity] = {
            sequence, kNow, false, nullptr,
            std::make_shared<const std::string>(cached_node(keys, node_of(node, sequence)))};
        return state;
    }

    ClusterKeys keys = cluster_keys();
    Node two{2};
};

TEST_F(NodeCacheTest, ANodeComesBackAsItWas) {
    auto node = node_of(two, 7);
    auto read = must(read_cached_node(keys, cached_node(keys, node)));
    node.annotations.erase("note");  // none of ours
    EXPECT_EQ(read, node);
    const auto content = reload(state_of(two, 7));
    ASSERT_EQ(content.records.size(), 1U);
    auto expected = two.record;
    expected.sequence = 7;
    expected.labels = node.labels;
    EXPECT_EQ(content.records[0].record, expected);
    EXPECT_EQ(content.records[0].kind, SourceKind::cache);
    EXPECT_THAT(content.warnings, IsEmpty());
    EXPECT_TRUE(content.state.seen.at(two.identity).node);
    // What was read is written again byte for byte.
    EXPECT_EQ(must(encode_cache(keys, content.state)), must(encode_cache(keys, state_of(two, 7))));
}

TEST_F(NodeCacheTest, WhatWasChangedIsNoRecord) {
    const std::string good = cached_node(keys, node_of(two, 7));
    for (const auto& [from, to] : {std::pair{"10.244.2.0/24", "10.244.0.0/16"},
                                   {"fra1", "fra2"},
                                   {"uid-node2", "uid-node3"},
                                   {"192.0.2.2\"", "192.0.2.9\""}}) {
        std::string bad = good;
        bad.replace(bad.find(from), std::string_view(from).size(), to);
        EXPECT_EQ(read_cached_node(keys, bad).error().kind(), ErrorKind::permission) << bad;
    }
    EXPECT_FALSE(read_cached_node(cluster_keys("another token altogether, long"), good));
    for (const char* bad :
         {"", "7", "{}", R"({"node":7,"mac":"x"})", R"({"node":{},"mac":"!"})", R"({"mac":"AA"})"})
        EXPECT_FALSE(read_cached_node(keys, bad)) << bad;
}

TEST_F(NodeCacheTest, OnlyTheNewestAndNotTooOldCounts) {
    auto state = state_of(two, 7);
    state.seen[two.identity].sequence = 8;
    EXPECT_THAT(reload(state).warnings, ElementsAre(HasSubstr("not the newest")));
    EXPECT_THAT(reload(state).records, IsEmpty());
    state = state_of(two, 7);
    state.seen[two.identity].withdrawn = true;
    EXPECT_THAT(reload(state).records, IsEmpty());
    const UnixTime late = kNow + kMaxCacheAgeSeconds + 1;
    EXPECT_THAT(reload(state_of(two, 7), late).warnings, ElementsAre(HasSubstr("issued 7 days ago")));
    EXPECT_EQ(reload(state_of(two, 7), late, false).records.size(), 1U) << "the clock may be wrong";
}

TEST_F(NodeCacheTest, ASealedRecordOfTheSameNodeIsEnough) {
    auto state = state_of(two, 7);
    state.seen[two.identity].entry = std::make_shared<const NodeEntry>(two.entry(keys, 7));
    const auto content = reload(state);
    EXPECT_EQ(content.records.size(), 1U);
    EXPECT_TRUE(content.state.seen.at(two.identity).node);
}

TEST_F(NodeCacheTest, TheGuardKeepsWhatANodeSaysUntilItIsForgotten) {
    SequenceGuard guard;
    auto text = std::make_shared<const std::string>("{}");
    ASSERT_TRUE(guard.admit(two.identity, 7, kNow, text));
    EXPECT_EQ(guard.all().at(two.identity).node, text);
    ASSERT_TRUE(guard.admit(two.entry(keys, 7)));
    EXPECT_EQ(guard.all().at(two.identity).node, text) << "the same statement elsewhere";
    ASSERT_TRUE(guard.admit(two.entry(keys, 8)));
    EXPECT_FALSE(guard.all().at(two.identity).node) << "older than what is known";
    ASSERT_TRUE(guard.admit(two.identity, 9, kNow, text));
    EXPECT_FALSE(guard.all().at(two.identity).entry);
    guard.forget(two.identity);
    EXPECT_FALSE(guard.all().at(two.identity).node);
    ASSERT_TRUE(guard.admit(two.identity, 9, kNow, text));
    ASSERT_TRUE(guard.admit(two.tombstone(keys, 10)));
    EXPECT_FALSE(guard.all().at(two.identity).node);
}

}  // namespace
}  // namespace wglan::testing
