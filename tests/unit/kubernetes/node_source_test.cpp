// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "node_source_fixture.h"

namespace wglan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

TEST_F(NodeSourceTest, TellsWhatNodesSayAndFollowsThem) {
    add(two, true);
    start();
    until_synced();
    EXPECT_THAT(names, UnorderedElementsAre("node2"));
    EXPECT_EQ(source->status().name, "kubernetes");
    EXPECT_EQ(source->status().records, 1U);
    add(three, true);
    until([&] { return names.contains("node3"); });
    api.state->remove("node2");
    until([&] { return !gone.empty(); });
    EXPECT_EQ(gone[0], two.identity);
    EXPECT_EQ(api.state->count("LIST"), 1U);
}

TEST_F(NodeSourceTest, ListsInPagesPackedAndPlain) {
    api.state->page = 7;
    for (std::uint8_t i = 10; i < 40; ++i) add(Node{i}, true);
    start();
    until_synced();
    EXPECT_EQ(names.size(), 30U);
    EXPECT_EQ(api.state->count("LIST more"), 4U);
}

TEST_F(NodeSourceTest, PublishesWithOnePatchAndNoneWhenNothingChanged) {
    start();
    publish(5);
    until([&] { return own("sequence") == "5"; });
    settle();
    EXPECT_EQ(api.state->count("PATCH"), 1U);
    ASSERT_EQ(api.state->patches.size(), 1U);
    EXPECT_EQ(api.state->patches[0]["metadata"]["uid"], "uid-node1");
    publish(5);
    settle();
    EXPECT_EQ(api.state->count("PATCH"), 1U);
    // What others can read is what we meant.
    const auto node = must(parse_node(api.state->nodes["node1"].dump(), "wglan.dev"));
    auto expected = self.record;
    expected.sequence = 5;
    expected.labels.clear();
    EXPECT_EQ(must(read_annotations(keys, node)), expected);
}

TEST_F(NodeSourceTest, RepairsWhatSomebodyRemoves) {
    start();
    publish(5);
    until([&] { return own("sequence") == "5"; });
    auto spoilt = api.state->nodes["node1"];
    spoilt["metadata"]["annotations"].erase("wglan.dev/public-key");
    spoilt["metadata"]["annotations"]["wglan.dev/endpoints"] = "198.51.100.66:1";
    spoilt["metadata"]["annotations"]["wglan.dev/note"] = "rack 7";
    api.state->put(spoilt);
    until([&] { return own("public-key") != ""; });
    EXPECT_EQ(own("endpoints"), "192.0.2.1:51820");
    EXPECT_EQ(own("note"), "rack 7");
    EXPECT_EQ(api.state->count("PATCH"), 2U);
}

TEST_F(NodeSourceTest, RemovesThemAtTheEndAndNothingElse) {
    start();
    publish(5);
    until([&] { return own("sequence") == "5"; });
    auto noted = api.state->nodes["node1"];
    noted["metadata"]["annotations"]["wglan.dev/note"] = "rack 7";
    api.state->put(noted);
    EXPECT_TRUE(test::run(io, source->withdraw(6, Seconds{5})));
    EXPECT_EQ(own("signature"), "");
    EXPECT_EQ(own("note"), "rack 7");
    settle();
    EXPECT_EQ(own("public-key"), "") << "they must not come back";
    api.go_down();
    const auto late = test::run(io, source->withdraw(7, Milliseconds{50}));
    EXPECT_EQ(late.error().kind(), ErrorKind::timeout);
}

TEST_F(NodeSourceTest, AnotherNodeUnderOurNameGetsThemAnew) {
    start();
    publish(5);
    until([&] { return own("sequence") == "5"; });
    const auto before = own("signature");
    api.state->remove("node1");
    until([&] { return source->status().last_error.find("no Node node1") != std::string::npos; });
    auto heir = object_of(self, false);
    heir["metadata"]["uid"] = "uid-other";
    api.state->put(heir);
    until([&] { return own("sequence") == "5"; });
    EXPECT_NE(own("signature"), before);
    until_synced();
}

// The watch has its own connection: it may tell what happened after a patch before the patch's answer is
// there.
TEST_F(NodeSourceTest, AnAnswerThatIsOvertakenCountsForNothing) {
    api.state->patch_delay = Milliseconds{100};
    start();
    publish(5);
    until([&] { return own("sequence") == "5"; });
    auto bare = api.state->nodes["node1"];
    bare["metadata"].erase("annotations");
    api.state->put(bare);
    until([&] { return own("sequence") == "5"; });
    EXPECT_EQ(api.state->count("PATCH"), 2U);
}

TEST_F(NodeSourceTest, TellsASequenceThatIsAheadOfOurs) {
    add(self, true, 70);
    start();
    publish(5);
    until([&] { return own_sequence == 70; });
}

TEST_F(NodeSourceTest, ForgottenStatesAreListedAgain) {
    add(two, true);
    start();
    until_synced();
    // In the stream of an answer 200.
    api.state->compact();
    api.state->end_watches();
    add(three, true);
    api.state->compact();
    until([&] { return names.contains("node3"); });
    EXPECT_EQ(api.state->count("LIST"), 2U);
    // As an answer of its own, at watch and in the midst of a list.
    api.state->watch_status = {410};
    api.state->list_status = {0, 410};
    api.state->page = 1;
    api.state->end_watches();
    const auto lists = api.state->count("LIST");
    until([&] { return api.state->count("LIST") >= lists + 4; });
    until_synced();
    EXPECT_THAT(names, UnorderedElementsAre("node2", "node3"));
    EXPECT_THAT(gone, IsEmpty());
}

TEST_F(NodeSourceTest, AServerThatForgetsAtOnceIsNotAskedWithoutEnd) {
    options.times.backoff_first = options.times.backoff_most = Milliseconds{40};
    api.state->watch_status.assign(1000, 410);
    start();
    test::run(io, test::sleep_for(Milliseconds{400}));
    EXPECT_LT(api.state->count("LIST"), 40U);
    EXPECT_GT(api.state->count("LIST"), 2U);
    EXPECT_EQ(source->status().state, SourceState::degraded);
}

TEST_F(NodeSourceTest, GoesOnWhereAWatchEnded) {
    start();
    until_synced();
    add(two, true);
    until([&] { return names.contains("node2"); });
    api.state->bookmark();
    settle();
    const auto at = std::to_string(api.state->revision);
    api.state->end_watches();
    until([&] { return api.state->log.back() == "WATCH " + at; });
    EXPECT_EQ(api.state->count("LIST"), 1U);
}

TEST_F(NodeSourceTest, WhatItToldStaysWhileTheServerIsAway) {
    add(two, true);
    start();
    until_synced();
    api.go_down();
    api.state->wake();
    until([&] { return source->status().state == SourceState::down; });
    EXPECT_THAT(source->status().last_error, HasSubstr("watch Nodes"));
    EXPECT_EQ(source->status().records, 1U);
    add(three, true);
    api.come_back();
    until([&] { return names.contains("node3"); });
    until_synced();
    EXPECT_EQ(api.state->count("LIST"), 1U) << "it goes on where it was";
}

TEST_F(NodeSourceTest, SilentAndBrokenServersAreLeft) {
    options.times.silence = Milliseconds{80};
    api.state->silent_watch = true;
    api.state->cut_list = 2;
    start();
    until([&] { return api.state->count("WATCH") >= 3; });
    api.state->silent_watch = false;
    api.state->raw("{nonsense");
    until([&] { return api.state->count("LIST") >= 4; });
    api.state->events.clear();
    api.state->raw(R"({"type":"ERROR","object":{"kind":"Status","code":500,"message":"etcd is away"}})");
    until([&] { return source->status().last_error.find("etcd is away") != std::string::npos; });
    api.state->events.clear();
    add(two, true);
    until([&] { return names.contains("node2"); });
}

TEST_F(NodeSourceTest, SaysWhatItLacks) {
    const auto error_is = [&](std::string_view part) {
        until([&] { return source->status().last_error.find(part) != std::string::npos; });
    };
    api.state->list_status = {403, 500, 429};
    start();
    error_is("list Nodes: answer 403: our user lacks the right");
    until_synced();
    api.state->may_patch = false;
    publish(5);
    error_is("patch our Node: answer 403");
    EXPECT_EQ(source->status().state, SourceState::degraded);
    api.state->may_patch = true;
    until_synced();
    EXPECT_EQ(own("sequence"), "5");
}

TEST_F(NodeSourceTest, ATokenIsReadAgain) {
    start();
    until_synced();
    api.state->token = "renewed";
    api.state->end_watches();
    until([&] { return source->status().last_error.find("401") != std::string::npos; });
    std::ofstream(dir / "token") << "renewed\n";
    until_synced();
}

TEST_F(NodeSourceTest, WaitsAsLongAsItIsTold) {
    api.state->list_status = {429};
    api.state->retry_after = "1";
    start();
    test::run(io, test::sleep_for(Milliseconds{500}));
    EXPECT_EQ(api.state->count("LIST"), 1U);
    until_synced();
    EXPECT_EQ(api.state->count("LIST"), 2U);
}

TEST_F(NodeSourceTest, NoServerCanAskToBeHammered) {
    options.times.backoff_first = options.times.backoff_most = Milliseconds{200};
    api.state->retry_after = "0";
    for (const auto status : {&api.state->list_status, &api.state->watch_status, &api.state->patch_status})
        status->assign(1000, 503);
    start();
    test::run(io, test::sleep_for(Milliseconds{700}));
    EXPECT_GE(api.state->count("LIST"), 2U);
    EXPECT_LE(api.state->count("LIST"), 8U);
    api.state->list_status.clear();
    until([&] { return api.state->count("WATCH") > 0; });
    publish(5);
    test::run(io, test::sleep_for(Milliseconds{700}));
    EXPECT_LE(api.state->count("WATCH"), 10U);
    EXPECT_EQ(api.state->count("PATCH"), 1U) << "a second goes by between two";
}

TEST_F(NodeSourceTest, TheRecordWaitsForThePodsThatTheClusterGives) {
    start();
    publish(5);  // before it is known what pods the node has
    until([&] { return own_pods; });
    publish(6);
    until([&] { return !own("sequence").empty(); });
    settle();
    EXPECT_EQ(own("sequence"), "6");
    EXPECT_EQ(api.state->count("PATCH"), 1U);
}

TEST_F(NodeSourceTest, TheRecordWaitsNotForEver) {
    start();
    publish(5);
    until([&] { return own("sequence") == "5"; });
}

TEST_F(NodeSourceTest, RefusedNodesSpoilNothing) {
    add(two, true);
    auto bad = object_of(three, true);
    bad["metadata"]["annotations"]["wglan.dev/endpoints"] = "198.51.100.66:1";
    api.state->put(bad);
    start();
    until_synced();
    EXPECT_THAT(names, UnorderedElementsAre("node2"));
    EXPECT_THAT(refused, ElementsAre(HasSubstr("MAC")));
}

TEST_F(NodeSourceTest, TellsWhereTheApiServersAre) {
    api.state->put_slice({"192.0.2.11", "192.0.2.12"});
    start();
    until([&] { return servers_complete; });
    const HostPort configured{"127.0.0.1", api.port()};
    EXPECT_THAT(servers, ElementsAre(configured, HostPort{"192.0.2.11", 6443}, HostPort{"192.0.2.12", 6443}));
    api.state->put_slice({"2001:db8::13"});
    until([&] { return servers.size() == 2; });
    EXPECT_THAT(servers, ElementsAre(configured, HostPort{"2001:db8::13", 6443}));
    EXPECT_GE(api.state->slice_requests, 2U) << "a list and a watch";
    // An only server that stops takes itself out.
    api.state->put_slice({});
    settle();
    EXPECT_EQ(servers.size(), 2U);
    EXPECT_THAT(source->status().notes, IsEmpty());
}

TEST_F(NodeSourceTest, WithoutTheRightTheConfiguredServerIsKnown) {
    options.publish_status = false;
    options.times.denied_first = options.times.denied_most = Seconds{30};
    start();
    until([&] { return source->status().notes.size() == 1; });
    EXPECT_THAT(source->status().notes[0], HasSubstr("not all API servers are known"));
    EXPECT_THAT(servers, ElementsAre(HostPort{"127.0.0.1", api.port()}));
    EXPECT_FALSE(servers_complete);
    settle();
    EXPECT_EQ(api.state->slice_requests, 1U);
    until_synced();
}

TEST_F(NodeSourceTest, TheConditionIsWrittenWhenItChanges) {
    api.state->may_tell = true;
    start();
    publish(5);
    source->tell_condition({true, "MeshReady", "all is well"});
    const auto condition = [&]() -> json {
        for (const auto& one : api.state->nodes.at("node1")["status"].value("conditions", json::array()))
            if (one["type"] == "WglanReady") return one;
        return json();
    };
    until([&] { return !condition().is_null(); });
    EXPECT_EQ(condition()["status"], "True");
    EXPECT_EQ(condition()["reason"], "MeshReady");
    EXPECT_EQ(condition()["lastTransitionTime"], rfc3339(kNow));
    EXPECT_EQ(api.state->told[0].second["metadata"]["uid"], "uid-node1");
    source->tell_condition({true, "MeshReady", "all is well"});
    settle();
    EXPECT_EQ(api.state->told.size(), 1U) << "nothing has changed";
    EXPECT_TRUE(test::run(io, source->withdraw(6, Seconds{5})));
    EXPECT_TRUE(condition().is_null());
}

TEST_F(NodeSourceTest, EventsAreWholeAndRepeatsAreCounted) {
    api.state->may_tell = true;
    start();
    until_synced();
    source->tell_event({true, "PeerDown", "no tunnel to node2 any more"});
    until([&] { return api.state->told.size() == 1; });
    const auto& [what, event] = api.state->told[0];
    EXPECT_EQ(what, "POST events");
    EXPECT_EQ(event["metadata"]["namespace"], "default");
    EXPECT_EQ(event["regarding"]["uid"], "uid-node1");
    EXPECT_EQ(event["eventTime"], "2026-01-01T00:00:00.000000Z");
    EXPECT_EQ(event["type"], "Warning");
    source->tell_event({true, "PeerDown", "no tunnel to node2 any more"});
    settle();
    EXPECT_EQ(api.state->told.size(), 1U) << "a repeat waits for its minute";
}

TEST_F(NodeSourceTest, WithoutRightsNothingIsToldAndThatIsSaid) {
    start();
    until_synced();
    source->tell_condition({true, "MeshReady", "all is well"});
    for (int i = 0; i < 5; ++i) source->tell_event({true, "PeerDown", "peer " + std::to_string(i)});
    until([&] { return source->status().notes.size() == 3; });
    settle();
    source->tell_event({true, "PeerDown", "another"});
    settle();
    // The condition twice, Events twice: the first refusal may be that of a server that has just started.
    EXPECT_EQ(api.state->told.size(), 4U);
    EXPECT_EQ(source->status().state, SourceState::synced);
}

TEST_F(NodeSourceTest, AServerThatHasJustStartedIsAskedAgain) {
    options.times.denied_first = options.times.denied_most = Milliseconds{300};
    start();
    until_synced();
    source->tell_condition({true, "MeshReady", "all is well"});
    source->tell_event({true, "PeerDown", "no tunnel to node2 any more"});
    until([&] { return source->status().notes.size() == 3; });
    api.state->may_tell = true;
    api.state->put_slice({"192.0.2.10"});
    until([&] { return source->status().notes.empty(); });
    EXPECT_EQ(api.state->told.back().first, "POST events") << "the Event wasn't forgotten";
    EXPECT_TRUE(servers_complete);
}

TEST_F(NodeSourceTest, TellsLagAndNodesWithoutAnAgent) {
    add(two, false);
    start();
    until_synced();
    auto status = source->status();
    ASSERT_TRUE(status.lag);
    EXPECT_LE(*status.lag, Seconds{5});
    EXPECT_EQ(status.agentless, 1U);
    EXPECT_THAT(status.agentless_names, ElementsAre("node2"));
    add(two, true);
    until([&] { return source->status().agentless == 0U; });
    api.state->put(object_of(two, false));
    until([&] { return source->status().agentless == 1U; });
    api.state->remove("node2");
    until([&] { return source->status().agentless == 0U; });
}

TEST_F(NodeSourceTest, APolicyThatDeniesIsNamed) {
    EXPECT_THAT(
        kube_error(422,
                   R"({"kind":"Status","message":"nodes \"n\" is forbidden: ValidatingAdmissionPolicy )"
                   R"('p' with binding 'b' denied request: only ours"})",
                   "patch our Node")
            .message(),
        HasSubstr("an admission policy of the cluster denies it"));
    options.times.denied_first = options.times.denied_most = Seconds{30};
    api.state->patch_status.assign(100, 422);
    start();
    publish(5);
    until([&] { return source->status().last_error.find("422") != std::string::npos; });
    test::run(io, test::sleep_for(Milliseconds{300}));
    EXPECT_EQ(api.state->count("PATCH"), 1U) << "the next try is later";
}

}  // namespace
}  // namespace wglan::testing
