// SPDX-License-Identifier: Apache-2.0
// What real API servers and the files that lead to them do, besides answering.
#include <gmock/gmock.h>

#include "agent/discovery/kubernetes/api.h"
#include "node_source_fixture.h"

namespace wglan::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

using ServerTest = NodeSourceTest;

TEST_F(ServerTest, AccessThatComesLateIsFound) {
    add(two, true);
    readable = false;
    start();
    until([&] { return source->status().last_error.find("no kubeconfig") != std::string::npos; });
    EXPECT_EQ(source->status().state, SourceState::down);
    EXPECT_THAT(message(test::run(io, source->withdraw(6, Seconds{5}))), HasSubstr("no kubeconfig"));
    readable = true;
    until_synced();
    EXPECT_THAT(names, UnorderedElementsAre("node2"));
}

TEST_F(ServerTest, AKubeconfigThatIsRenewedIsReadAgain) {
    access.token_file.clear();
    access.token = std::make_shared<const Secret>(Secret::copy_of(as_bytes("secret")));
    start();
    until_synced();
    api.state->token = "renewed";
    api.state->end_watches();
    until([&] { return source->status().last_error.find("401") != std::string::npos; });
    readable = false;  // being written: what there was stays in use
    settle();
    access.token = std::make_shared<const Secret>(Secret::copy_of(as_bytes("renewed")));
    readable = true;
    until_synced();
    // The same for another address.
    api.go_down();
    api.state->wake();
    until([&] { return source->status().state == SourceState::down; });
    FakeApi other(io);
    other.state->token = "renewed";
    other.state->nodes = api.state->nodes;
    other.state->revision = api.state->revision;
    access.server = must(Url::parse("http://127.0.0.1:" + std::to_string(other.port())));
    until_synced();
    EXPECT_GE(other.state->count("WATCH"), 1U);
    source.reset();
    io.poll();
}

TEST_F(ServerTest, PagesThatAreTooLargeAreAskedForInParts) {
    options.times.most_body = 64U << 10;
    for (std::uint8_t i = 10; i < 40; ++i) {
        auto object = object_of(Node{i}, true);
        std::string text(8 << 10, 'x');
        for (std::size_t at = 0; at < text.size(); ++at) text[at] = static_cast<char>('a' + at * at % 23);
        object["metadata"]["annotations"]["example.com/large"] = text;
        api.state->put(object);
    }
    start();
    until_synced();
    EXPECT_EQ(names.size(), 30U);
    EXPECT_GE(api.state->count("LIST more"), 4U);
}

TEST_F(ServerTest, AHistoryThatIsSetBackIsListedAnew) {
    add(two, true);
    start();
    until_synced();
    api.state->raw(R"({"type":"BOOKMARK","object":{"kind":"Node","metadata":{"resourceVersion":"7"}}})");
    until([&] { return api.state->count("LIST") == 2; });
    until_synced();
}

// No bookmark comes where nothing has changed since the watch began.
TEST_F(ServerTest, AnIdleClusterIsNoTrouble) {
    options.times.silence = Milliseconds{40};
    add(two, true);
    start();
    until_synced();
    for (int i = 0; i < 80; ++i) {
        test::run(io, test::sleep_for(Milliseconds{10}));
        ASSERT_EQ(source->status().state, SourceState::synced) << source->status().last_error;
    }
    EXPECT_GE(api.state->count("WATCH"), 4U);
    EXPECT_EQ(api.state->count("LIST"), 1U);
    EXPECT_GE(api.state->count("LOOK"), 3U);
    EXPECT_LE(*source->status().lag, Seconds{1});
    add(three, true);
    until([&] { return names.contains("node3"); });
    // A server that is gone without a word is found out all the same.
    api.go_down();
    until([&] { return source->status().state == SourceState::down; });
}

TEST_F(ServerTest, AServerThatWaitsForItsOldHistoryIsListed) {
    options.times.silence = Milliseconds{80};
    start();
    until_synced();
    api.state->events.clear();
    api.state->revision = 5;
    add(two, true);  // at a number that our watch is past
    until([&] { return names.contains("node2"); });
    EXPECT_EQ(api.state->count("LIST"), 2U);
}

TEST_F(ServerTest, SlicesOfAServerThatWaitsForItsOldHistoryAreListed) {
    options.times.silence = Milliseconds{80};
    api.state->put_slice({"192.0.2.11"});
    start();
    until([&] { return servers.size() == 2; });
    api.state->events.clear();
    api.state->revision = 5;
    api.state->put_slice({"192.0.2.11", "192.0.2.12"});  // at a number that our watch is past
    until([&] { return servers.size() == 3; });
}

TEST_F(ServerTest, ANodeMadeAnewUnderAPatchIsWrittenToAtOnce) {
    start();
    until_synced();
    // The watch tells of the new one before the old one's patch is answered.
    api.state->before_patch = [this] {
        api.state->remove("node1");
        auto heir = object_of(self, false);
        heir["metadata"]["uid"] = "uid-other";
        api.state->put(heir);
    };
    publish(5);
    until([&] { return own("sequence") == "5"; });
    EXPECT_EQ(api.state->nodes["node1"]["metadata"]["uid"], "uid-other");
    until_synced();
    EXPECT_THAT(source->status().last_error, IsEmpty());
}

TEST_F(ServerTest, AConditionIsWrittenToANodeMadeAnew) {
    api.state->may_tell = true;
    start();
    until_synced();
    auto heir = object_of(self, false);
    heir["metadata"]["uid"] = "uid-other";
    heir["metadata"]["resourceVersion"] = "1";
    api.state->nodes["node1"] = heir;  // and no watch has told of it
    source->tell_condition({true, "MeshReady", "all is well"});
    until([&] { return api.state->told.size() == 1; });
    settle();
    api.state->put(heir);
    until([&] { return api.state->nodes["node1"]["status"].contains("conditions"); });
    EXPECT_THAT(source->status().notes.size(), 1U) << "of the slices alone";
}

TEST_F(ServerTest, ConflictsAndLostObjectsAreTriedAgain) {
    api.state->may_tell = true;
    api.state->patch_status = {409, 404, 500};
    api.state->told_status = {409, 404, 500};
    start();
    publish(5);
    until([&] { return own("sequence") == "5"; });
    EXPECT_EQ(api.state->count("PATCH"), 4U) << "though no watch tells of anything";
    source->tell_condition({true, "MeshReady", "all is well"});
    until([&] { return api.state->nodes["node1"]["status"].contains("conditions"); });
    EXPECT_EQ(api.state->told.size(), 4U);
    api.state->patch_status = {409};
    EXPECT_TRUE(test::run(io, source->withdraw(6, Seconds{5})));
    EXPECT_EQ(own("signature"), "");
}

TEST(KubeAnswers, AUidThatWouldChangeIsAnotherObject) {
    EXPECT_TRUE(is_another(404, ""));
    EXPECT_FALSE(is_another(409, R"({"kind":"Status","message":"metadata.uid"})"));
    EXPECT_TRUE(is_another(
        422,
        R"({"kind":"Status","message":"Node \"n\" is invalid: metadata.uid: Invalid value: \"u\": field is immutable"})"));
    EXPECT_FALSE(is_another(422, R"({"kind":"Status","message":"metadata.annotations: Too long"})"));
    EXPECT_FALSE(is_another(403, "metadata.uid"));
}

TEST(KubeAnswers, VersionsAreComparedAsNumbers) {
    EXPECT_TRUE(is_later("10", "9"));
    EXPECT_TRUE(is_later("18446744073709551616", "18446744073709551615"));
    EXPECT_FALSE(is_later("9", "9"));
    EXPECT_FALSE(is_later("9", "10"));
    for (const char* odd : {"", "x", "1x", "0", "-1"}) {
        EXPECT_FALSE(is_later(odd, "1")) << odd;
        EXPECT_FALSE(is_later("1", odd)) << odd;
    }
}

}  // namespace
}  // namespace wglan::testing
