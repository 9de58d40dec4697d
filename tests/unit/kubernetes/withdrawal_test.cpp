// SPDX-License-Identifier: Apache-2.0
// A node that leaves says so on its Node, and others believe that and nothing else.
#include <gmock/gmock.h>

#include "agent/discovery/kubernetes/insistence.h"
#include "agent/discovery/kubernetes/node_view.h"
#include "node_source_fixture.h"

namespace wglan::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = SourceUpdate::Kind;

class WithdrawalTest : public ::testing::Test {
protected:
    KubeNode node_of(const Node& node, std::uint64_t sequence) const {
        KubeNode out = bare(node);
        auto record = node.record;
        record.sequence = sequence;
        record.issued = kNow;
        out.annotations = annotate(keys, node.seed.bytes(), record, out.name, out.uid);
        return out;
    }
    KubeNode leaving(const Node& node, std::uint64_t sequence, UnixTime issued = kNow) const {
        KubeNode out = bare(node);
        out.annotations =
            withdrawal(keys, node.seed.bytes(), {node.identity, sequence, issued}, out.name, out.uid);
        return out;
    }
    static KubeNode bare(const Node& node) {
        KubeNode out;
        out.name = node.record.name;
        out.uid = "uid-" + node.record.name;
        out.pod_cidrs = node.record.pod_prefixes;
        out.addresses = node.record.node_addresses;
        return out;
    }
    std::vector<SourceUpdate> apply(const KubeNode& node) {
        KubeEvent event;
        event.kind = KubeEvent::Kind::put;
        event.node = node;
        OwnNode own;
        return view.apply(event, own);
    }
    std::vector<SourceUpdate> list(const std::vector<KubeNode>& nodes) {
        OwnNode own;
        view.begin_list();
        for (const KubeNode& node : nodes) view.add_listed(node);
        return view.end_list(own);
    }

    asio::io_context io;
    FakeClock clock;
    ClusterKeys keys = cluster_keys();
    Node self{1}, two{2}, three{3};
    SourceContext context = context_for(io, clock, self);
    NodeView view{context, "kubernetes", "node1"};
};

TEST_F(WithdrawalTest, HoldsForOneNodeOfOneClusterAndIsNoRecord) {
    const auto node = leaving(two, 8);
    EXPECT_EQ(node.annotations.size(), 3U) << "identity, sequence, signature";
    EXPECT_TRUE(is_withdrawal(node.annotations));
    EXPECT_FALSE(is_withdrawal(node_of(two, 8).annotations));
    EXPECT_EQ(must(read_withdrawal(keys, node)), (Tombstone{two.identity, 8, kNow}));
    EXPECT_FALSE(read_annotations(keys, node));
    for (const char* changed : {"identity", "sequence", "signature", "endpoints", "public-key"}) {
        auto bent = node;
        bent.annotations[changed] += "1";
        EXPECT_FALSE(read_withdrawal(keys, bent)) << changed;
    }
    auto moved = node;
    moved.name = "node3";
    EXPECT_THAT(message(read_withdrawal(keys, moved)), HasSubstr("copied from another Node"));
    moved = node;
    moved.uid = "uid-other";
    EXPECT_FALSE(read_withdrawal(keys, moved));
    // The words under a record's signature don't make a withdrawal, nor the other way about.
    auto turned = node_of(two, 8);
    turned.annotations["signature"] = "v1-withdrawn" + turned.annotations["signature"].substr(2);
    for (const char* name : {"public-key", "address", "endpoints", "prefixes", "observed"})
        turned.annotations.erase(name);
    EXPECT_FALSE(read_withdrawal(keys, turned));
}

TEST_F(WithdrawalTest, IsToldAtOnceAndAbsenceIsNot) {
    list({node_of(two, 7), node_of(three, 7)});
    auto updates = apply(leaving(two, 8));
    ASSERT_EQ(updates.size(), 1U);
    EXPECT_EQ(updates[0].kind, Kind::tombstone);
    EXPECT_EQ(updates[0].tombstone, (Tombstone{two.identity, 8, kNow}));
    EXPECT_EQ(view.agentless(), std::set<std::string>{"node2"});
    EXPECT_THAT(apply(bare(two)), IsEmpty());
    EXPECT_EQ(view.size(), 1U);
    updates = apply(bare(three));
    ASSERT_EQ(updates.size(), 1U);
    EXPECT_EQ(updates[0].kind, Kind::gone);
    // What it said before is over; a restarted agent says more.
    updates = apply(node_of(two, 8));
    ASSERT_EQ(updates.size(), 1U);
    EXPECT_EQ(updates[0].kind, Kind::refused);
    EXPECT_THAT(updates[0].refused_reason, HasSubstr("was withdrawn"));
    updates = apply(node_of(two, 9));
    ASSERT_EQ(updates.size(), 2U);
    EXPECT_EQ(updates[0].kind, Kind::forgiven);
    EXPECT_EQ(updates[1].kind, Kind::put);
    EXPECT_EQ(view.agentless(), std::set<std::string>{"node3"});
}

TEST_F(WithdrawalTest, StandsInListsToo) {
    const auto updates = list({leaving(two, 8), node_of(three, 7)});
    ASSERT_EQ(updates.size(), 1U);
    EXPECT_EQ(updates[0].records.size(), 1U);
    ASSERT_EQ(updates[0].tombstones.size(), 1U);
    EXPECT_EQ(updates[0].tombstones[0].identity, two.identity);
    EXPECT_EQ(view.agentless(), std::set<std::string>{"node2"});
    EXPECT_TRUE(context.guard->all().at(two.identity).withdrawn) << "for the cache";
}

TEST_F(WithdrawalTest, OldOnesAndOthersAreRefusedAndWhatWasSaidStays) {
    list({node_of(two, 9), node_of(three, 7)});
    // Kept by somebody who may patch Nodes, and put back.
    for (const auto& replayed : {leaving(two, 8), leaving(two, 10, kNow - 25 * 3600)}) {
        const auto updates = apply(replayed);
        for (const auto& update : updates) EXPECT_EQ(update.kind, Kind::refused);
        EXPECT_EQ(view.size(), 2U);
    }
    // A member that withdraws itself on another's Node takes its own record away, and the other's is absent.
    auto foreign = bare(two);
    foreign.annotations =
        withdrawal(keys, three.seed.bytes(), {three.identity, 8, kNow}, foreign.name, foreign.uid);
    const auto updates = apply(foreign);
    ASSERT_EQ(updates.size(), 3U);
    EXPECT_EQ(updates[0].kind, Kind::forgiven);
    EXPECT_EQ(updates[1].tombstone.identity, three.identity);
    EXPECT_EQ(updates[2].kind, Kind::gone);
    EXPECT_EQ(updates[2].identity, two.identity);
    // Ours is nobody's to withdraw.
    auto ours = bare(three);
    ours.annotations = withdrawal(keys, self.seed.bytes(), {self.identity, 99, kNow}, ours.name, ours.uid);
    EXPECT_TRUE(std::ranges::none_of(apply(ours), [](const auto& u) { return u.kind == Kind::tombstone; }));
}

using WithdrawingTest = NodeSourceTest;

TEST_F(WithdrawingTest, PutsItFirstAndRemovesItThen) {
    start();
    publish(5);
    until([&] { return own("sequence") == "5"; });
    const auto before = api.state->events.size();
    EXPECT_TRUE(test::run(io, source->withdraw(6, Seconds{5})));
    std::vector<json> steps;
    for (std::size_t i = before; i < api.state->events.size(); ++i)
        steps.push_back(json::parse(api.state->events[i].second)["object"]);
    ASSERT_EQ(steps.size(), 2U) << "each is told to who watches, also later";
    const auto said = must(parse_node(steps[0].dump(), "wglan.dev"));
    EXPECT_EQ(must(read_withdrawal(keys, said)), (Tombstone{self.identity, 6, kNow}));
    EXPECT_EQ(steps[1]["metadata"].value("annotations", json::object()), json::object());
    // Again there is nothing to withdraw.
    EXPECT_TRUE(test::run(io, source->withdraw(7, Seconds{5})));
    EXPECT_EQ(api.state->events.size(), before + 2);
}

TEST_F(WithdrawingTest, WithoutARunningAgentToo) {
    add(self, true, 5);
    auto context = context_for(io, date, self);
    source = make_node_source(context, std::make_shared<const Secret>(self.seed.clone()), options);
    EXPECT_TRUE(test::run(io, source->withdraw(6, Seconds{5})));
    EXPECT_EQ(own("signature"), "");
    EXPECT_EQ(api.state->count("PATCH"), 2U);
    // Of a Node made anew, or none at all, there is nothing of ours.
    add(self, true, 5);
    api.state->before_patch = [this] { api.state->nodes["node1"]["metadata"]["uid"] = "uid-other"; };
    EXPECT_TRUE(test::run(io, source->withdraw(7, Seconds{5})));
    api.state->remove("node1");
    EXPECT_TRUE(test::run(io, source->withdraw(7, Seconds{5})));
}

TEST_F(WithdrawingTest, AnotherIdentitysRecordIsRemovedWithoutAWord) {
    auto object = object_of(self, false);
    auto record = two.record;
    record.name = "node1";
    for (const auto& [name, text] : annotate(keys, two.seed.bytes(), record, "node1", "uid-node1"))
        object["metadata"]["annotations"]["wglan.dev/" + name] = text;
    api.state->put(object);
    auto context = context_for(io, date, self);
    source = make_node_source(context, std::make_shared<const Secret>(self.seed.clone()), options);
    EXPECT_TRUE(test::run(io, source->withdraw(6, Seconds{5})));
    EXPECT_EQ(own("signature"), "");
    EXPECT_EQ(api.state->count("PATCH"), 1U);
}

TEST_F(WithdrawingTest, OthersHearOfIt) {
    add(two, true, 5);
    start();
    until_synced();
    auto leaving = object_of(two, false);
    for (const auto& [name, text] :
         withdrawal(keys, two.seed.bytes(), {two.identity, 6, kNow}, "node2", "uid-node2"))
        leaving["metadata"]["annotations"]["wglan.dev/" + name] = text;
    api.state->put(leaving);
    api.state->put(object_of(two, false));
    until([&] { return !withdrawn.empty(); });
    EXPECT_EQ(withdrawn[0], (Tombstone{two.identity, 6, kNow}));
    EXPECT_THAT(gone, IsEmpty());
}

TEST_F(WithdrawingTest, OneThatStillStandsIsOvertaken) {
    auto object = object_of(self, false);
    for (const auto& [name, text] :
         withdrawal(keys, self.seed.bytes(), {self.identity, 70, kNow}, "node1", "uid-node1"))
        object["metadata"]["annotations"]["wglan.dev/" + name] = text;
    api.state->put(object);
    start();
    publish(5);
    until([&] { return own_sequence == 70; });
    publish(71);
    until([&] { return own("sequence") == "71" && own("public-key") != ""; });
}

// Answers after which the next try comes, or none; the pauses of half a second, one, two and two.
TEST(InsistenceTest, PausesAndEnds) {
    const Milliseconds none{-1};
    const struct {
        const char* what;
        std::vector<std::pair<unsigned, int>> answers;  // status, Retry-After in seconds; -1 = none
        std::vector<Milliseconds> pauses;               // none = it is enough
    } rows[] = {
        {"no answer",
         {{0, -1}, {0, -1}, {0, -1}},
         {Milliseconds{500}, Milliseconds{1000}, Milliseconds{2000}}},
        {"hurry", {{429, 0}, {429, 0}}, {Milliseconds{500}, Milliseconds{1000}}},
        {"patience", {{429, 2}, {503, 5}, {429, 29}}, {Milliseconds{2000}, Milliseconds{5000}, none}},
        {"too much", {{429, 30}}, {none}},
        {"refused",
         {{403, -1}, {403, -1}, {403, -1}, {403, -1}},
         {Milliseconds{500}, Milliseconds{1000}, Milliseconds{2000}, none}},
        {"refused in between",
         {{401, -1}, {500, -1}, {422, -1}, {409, -1}, {403, -1}, {403, -1}},
         {Milliseconds{500}, Milliseconds{1000}, Milliseconds{2000}, Milliseconds{2000}, Milliseconds{2000},
          none}},
    };
    for (const auto& row : rows) {
        SteadyTime now{};
        Insistence insistence(now + Seconds{30}, [] { return 0.0; });
        for (std::size_t i = 0; i < row.answers.size(); ++i) {
            const auto [status, after] = row.answers[i];
            const auto asked = after < 0 ? std::nullopt : std::optional<Milliseconds>(Seconds{after});
            const auto pause = insistence.pause(status, asked, now);
            EXPECT_EQ(pause.value_or(none), row.pauses[i]) << row.what << " " << i;
            now += pause.value_or(Milliseconds{0});
        }
    }
}

// `--cleanup` on a Node that has annotations and, where the test says so, a condition.
class InsistingTest : public NodeSourceTest {
protected:
    InsistingTest() {
        api.state->may_tell = true;
        put();
        auto context = context_for(io, date, self);
        source = make_node_source(context, std::make_shared<const Secret>(self.seed.clone()), options);
    }
    void put(bool condition = true) {
        auto object = object_of(self, true, 5);
        if (condition)
            object["status"]["conditions"].push_back(json{{"type", "WglanReady"}, {"status", "True"}});
        api.state->put(object);
    }
    bool condition_left() const {
        const auto& status = api.state->nodes.at("node1")["status"];
        return !status.value("conditions", json::array()).empty();
    }
    Result<> withdraw(Milliseconds limit) { return test::run(io, source->withdraw(6, limit)); }
};

TEST_F(InsistingTest, ABusyServerIsWaitedFor) {
    api.state->patch_status = {429, 500};
    api.state->told_status = {500};
    api.state->retry_after = "0";
    const auto begin = date.now();
    EXPECT_TRUE(withdraw(Seconds{20}));
    EXPECT_GE(date.now() - begin, Milliseconds{1500}) << "however little patience it asks for";
    EXPECT_EQ(api.state->count("PATCH"), 4U);
    EXPECT_EQ(own("signature"), "");
    EXPECT_FALSE(condition_left());
}

TEST_F(InsistingTest, WhatIsRefusedIsTold) {
    api.state->may_patch = false;
    const auto answer = withdraw(Seconds{1});
    EXPECT_EQ(answer.error().kind(), ErrorKind::permission);
    EXPECT_THAT(message(answer), HasSubstr("take our record from Node node1: answer 403"));
    EXPECT_EQ(api.state->count("PATCH"), 2U);
    EXPECT_FALSE(own("signature").empty());
    api.state->may_patch = true;
    EXPECT_TRUE(withdraw(Seconds{1}));
    EXPECT_EQ(own("signature"), "");
    EXPECT_FALSE(condition_left());
}

TEST_F(InsistingTest, TheConditionCountsIfItIsThere) {
    api.state->may_tell = false;
    EXPECT_THAT(message(withdraw(Seconds{1})), HasSubstr("remove our condition from Node node1: answer 403"));
    EXPECT_EQ(own("signature"), "");
    EXPECT_TRUE(condition_left());
    put(false);
    const auto before = api.state->told.size();
    EXPECT_TRUE(withdraw(Seconds{1}));
    EXPECT_EQ(api.state->told.size(), before) << "who has no right for it needs none";
}

TEST_F(InsistingTest, AServerThatHangsEndsIt) {
    api.state->patch_delay = Seconds{2};
    const auto begin = date.now();
    EXPECT_EQ(withdraw(Milliseconds{300}).error().kind(), ErrorKind::timeout);
    EXPECT_LT(date.now() - begin, Seconds{1});
    test::run(io, test::sleep_for(Seconds{2}));
}

}  // namespace
}  // namespace wglan::testing
