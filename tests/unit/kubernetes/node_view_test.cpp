// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/kubernetes/node_view.h"

#include <gmock/gmock.h>

#include "tests/unit/discovery/fixture.h"

namespace wglan::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = SourceUpdate::Kind;

class NodeViewTest : public ::testing::Test {
protected:
    KubeNode node_of(const Node& node, std::uint64_t sequence, UnixTime issued = kNow) const {
        KubeNode out;
        out.name = node.record.name;
        out.uid = "uid-" + node.record.name;
        out.resource_version = std::to_string(sequence);
        out.pod_cidrs = node.record.pod_prefixes;
        out.addresses = node.record.node_addresses;
        auto record = node.record;
        record.sequence = sequence;
        record.issued = issued;
        out.annotations = annotate(keys, node.seed.bytes(), record, out.name, out.uid);
        return out;
    }
    std::vector<SourceUpdate> apply(const KubeNode& node, KubeEvent::Kind kind = KubeEvent::Kind::put) {
        KubeEvent event;
        event.kind = kind;
        event.node = node;
        own = {};
        return view.apply(event, own);
    }
    std::vector<SourceUpdate> list(const std::vector<KubeNode>& nodes) {
        own = {};
        view.begin_list();
        for (const KubeNode& node : nodes) view.add_listed(node);
        return view.end_list(own);
    }
    static std::vector<Kind> kinds(const std::vector<SourceUpdate>& updates) {
        std::vector<Kind> out;
        for (const auto& update : updates) out.push_back(update.kind);
        return out;
    }

    asio::io_context io;
    FakeClock clock;
    ClusterKeys keys = cluster_keys();
    Node self{1}, two{2}, three{3};
    NodeView view{context_for(io, clock, self), "kubernetes", "node1"};
    OwnNode own;
};

TEST_F(NodeViewTest, AListTellsAllAndOurOwn) {
    KubeNode bare;
    bare.name = "node9";
    const auto updates = list({node_of(self, 4), node_of(two, 1), node_of(three, 1), bare});
    ASSERT_EQ(kinds(updates), std::vector{Kind::snapshot});
    ASSERT_EQ(updates[0].records.size(), 2U);
    EXPECT_EQ(updates[0].source, "kubernetes");
    EXPECT_EQ(updates[0].records[0].kind, SourceKind::kubernetes);
    EXPECT_EQ(updates[0].records[0].record.name, "node2");
    EXPECT_EQ(view.size(), 2U);
    ASSERT_TRUE(own.known && own.node);
    EXPECT_EQ(own.node->annotations.at("sequence"), "4");
    list({});
    EXPECT_TRUE(own.known);
    EXPECT_FALSE(own.node);
}

TEST_F(NodeViewTest, OnlyWhatChangesIsNews) {
    list({node_of(two, 1)});
    auto same = node_of(two, 1);
    same.resource_version = "77";  // a kubelet's heartbeat
    EXPECT_THAT(apply(same), IsEmpty());
    EXPECT_EQ(kinds(apply(node_of(two, 2))), std::vector{Kind::put});
    auto labelled = node_of(two, 2);
    labelled.labels["topology.kubernetes.io/zone"] = "fra2";
    const auto news = apply(labelled);
    ASSERT_EQ(kinds(news), std::vector{Kind::put});
    EXPECT_EQ(news[0].records[0].record.labels.at("topology.kubernetes.io/zone"), "fra2");
    EXPECT_FALSE(own.known);
}

TEST_F(NodeViewTest, WithoutNodeOrAnnotationsThePeerIsAbsent) {
    list({node_of(two, 1), node_of(three, 1)});
    auto bare = node_of(two, 1);
    bare.annotations.clear();
    auto news = apply(bare);
    ASSERT_EQ(kinds(news), std::vector{Kind::gone});
    EXPECT_EQ(news[0].identity, two.identity);
    EXPECT_THAT(apply(bare), IsEmpty());
    news = apply(node_of(three, 1), KubeEvent::Kind::removed);
    ASSERT_EQ(kinds(news), std::vector{Kind::gone});
    EXPECT_EQ(news[0].identity, three.identity);
    EXPECT_EQ(view.size(), 0U);
    EXPECT_EQ(kinds(apply(node_of(two, 2))), std::vector{Kind::put});
}

TEST_F(NodeViewTest, SpoiltAnnotationsAreToldAndTheRecordStays) {
    list({node_of(two, 1)});
    auto spoilt = node_of(two, 2);
    spoilt.annotations["endpoints"] = "198.51.100.66:51820";
    auto news = apply(spoilt);
    ASSERT_EQ(kinds(news), std::vector{Kind::refused});
    EXPECT_EQ(news[0].refused_peer, "node2");
    EXPECT_THAT(news[0].refused_reason, HasSubstr("MAC"));
    EXPECT_THAT(apply(spoilt), IsEmpty()) << "told once a minute";
    clock.steady += Seconds(61);
    EXPECT_EQ(kinds(apply(spoilt)), std::vector{Kind::refused});
    EXPECT_EQ(view.size(), 1U);
    // Nor does a list forget why.
    clock.steady += Seconds(61);
    EXPECT_EQ(kinds(list({spoilt})), (std::vector{Kind::refused, Kind::snapshot}));
}

TEST_F(NodeViewTest, AMendedNodeIsForgiven) {
    const auto spoilt = [&](std::uint64_t sequence) {
        auto node = node_of(two, sequence);
        node.annotations["endpoints"] = "198.51.100.66:51820";
        return node;
    };
    const auto as_it_was = node_of(two, 1);
    list({as_it_was});
    EXPECT_EQ(kinds(apply(spoilt(2))), std::vector{Kind::refused});
    const auto news = apply(as_it_was);
    ASSERT_EQ(kinds(news), std::vector{Kind::forgiven});
    EXPECT_EQ(news[0].refused_peer, "node2");
    EXPECT_EQ(kinds(apply(spoilt(2))), std::vector{Kind::refused});
    EXPECT_EQ(kinds(apply(node_of(two, 2))), (std::vector{Kind::forgiven, Kind::put}));
    EXPECT_EQ(kinds(apply(spoilt(3))), std::vector{Kind::refused});
    auto bare = as_it_was;
    bare.annotations.clear();
    EXPECT_EQ(kinds(apply(bare)), (std::vector{Kind::forgiven, Kind::gone}));
    EXPECT_EQ(kinds(apply(spoilt(3))), std::vector{Kind::refused});
    EXPECT_EQ(kinds(apply(spoilt(3), KubeEvent::Kind::removed)), std::vector{Kind::forgiven});
    clock.steady += Seconds{61};
    EXPECT_EQ(kinds(list({spoilt(3)})), (std::vector{Kind::refused, Kind::snapshot}));
    EXPECT_EQ(kinds(list({spoilt(3)})), std::vector{Kind::snapshot});
    EXPECT_EQ(kinds(list({node_of(two, 3)})), (std::vector{Kind::forgiven, Kind::snapshot}));
}

TEST_F(NodeViewTest, OldCopiedAndRolledBackOnesAreRefused) {
    list({node_of(two, 5)});
    const auto reason = [&](const KubeNode& node) {
        clock.steady += Seconds(61);
        const auto news = apply(node);
        return news.size() == 1 && news[0].kind == Kind::refused ? news[0].refused_reason : "accepted";
    };
    EXPECT_THAT(reason(node_of(two, 4)), HasSubstr("rolled back"));
    EXPECT_THAT(reason(node_of(three, 1, kNow - 25 * 3600)), HasSubstr("stale"));
    auto copied = node_of(two, 6);
    copied.name = "node7";
    EXPECT_THAT(reason(copied), HasSubstr("copied from another Node"));
    auto clone = node_of(self, 6);
    clone.name = "node8";
    clone.annotations = annotate(keys, self.seed.bytes(), self.record, clone.name, clone.uid);
    EXPECT_THAT(reason(clone), HasSubstr("state directory"));
}

TEST_F(NodeViewTest, ANodeMadeAnewUnderItsNameIsAnother) {
    list({node_of(two, 5)});
    auto heir = node_of(three, 1);
    heir.name = "node2";
    heir.uid = "uid-new";
    auto record = three.record;
    record.name = "node2";
    heir.annotations = annotate(keys, three.seed.bytes(), record, heir.name, heir.uid);
    const auto news = apply(heir);
    ASSERT_EQ(kinds(news), (std::vector{Kind::gone, Kind::put}));
    EXPECT_EQ(news[0].identity, two.identity);
    EXPECT_EQ(news[1].identity, three.identity);
    EXPECT_EQ(view.size(), 1U);
}

TEST_F(NodeViewTest, OurOwnNode) {
    EXPECT_THAT(apply(node_of(self, 3)), IsEmpty());
    ASSERT_TRUE(own.known && own.node);
    EXPECT_THAT(apply(node_of(self, 3), KubeEvent::Kind::removed), IsEmpty());
    EXPECT_TRUE(own.known);
    EXPECT_FALSE(own.node);
    KubeEvent spoilt;
    spoilt.kind = KubeEvent::Kind::put;
    spoilt.node.name = "node1";
    spoilt.refused = "too much";
    own = {};
    EXPECT_EQ(kinds(view.apply(spoilt, own)), std::vector{Kind::refused});
    EXPECT_FALSE(own.known);
}

TEST_F(NodeViewTest, BookmarksAndErrorsAreNoNews) {
    KubeEvent event;
    EXPECT_THAT(view.apply(event, own), IsEmpty());
    event.kind = KubeEvent::Kind::error;
    EXPECT_THAT(view.apply(event, own), IsEmpty());
    EXPECT_FALSE(own.known);
}

}  // namespace
}  // namespace wglan::testing
