// SPDX-License-Identifier: Apache-2.0
#include "tools/wglanctl/render/readiness.h"

#include <gtest/gtest.h>

namespace wglan::ctl {
namespace {

Json status(std::initializer_list<std::pair<const char*, const char*>> sources,
            std::initializer_list<std::pair<const char*, const char*>> peers) {
    Json json = Json::parse(R"({"sources":[],"peers":[]})");
    for (const auto& [name, state] : sources)
        json["sources"].push_back(Json::object({{"name", name}, {"state", state}, {"lastError", ""}}));
    for (const auto& [name, state] : peers)
        json["peers"].push_back(Json::object({{"name", name}, {"state", state}}));
    return json;
}

TEST(Readiness, AllPeersUpAndSourcesSyncedIsReady) {
    EXPECT_EQ(missing_for_ready(
                  status({{"static", "synced"}, {"service:a", "synced"}}, {{"b", "up"}, {"c", "up"}}), {}),
              "");
}

TEST(Readiness, NeedsAtLeastOnePeerUnlessToldOtherwise) {
    auto alone = status({{"static", "synced"}}, {});
    EXPECT_EQ(missing_for_ready(alone, {}), "0 of 1 peers up");
    EXPECT_EQ(missing_for_ready(alone, 0), "");
}

TEST(Readiness, NamesPeersThatAreNotUp) {
    auto some = status({{"static", "synced"}}, {{"b", "up"}, {"c", "down"}, {"d", "unknown"}});
    EXPECT_EQ(missing_for_ready(some, {}), "1 of 3 peers up (c is down, d is unknown)");
    EXPECT_EQ(missing_for_ready(some, 1), "");
    EXPECT_EQ(missing_for_ready(some, 2), "1 of 2 peers up (c is down, d is unknown)");
}

TEST(Readiness, NobodyWaitsForTheNodeThatAnotherReplaced) {
    EXPECT_EQ(missing_for_ready(status({{"static", "synced"}}, {{"b", "up"}, {"b~3q2+7w==", "down"}}), {}),
              "");
    EXPECT_EQ(missing_for_ready(status({{"static", "synced"}}, {{"b", "down"}, {"b~3q2+7w==", "down"}}), {}),
              "0 of 2 peers up (b is down, b~3q2+7w== is down)");
}

TEST(Readiness, AConnectingSourceIsNotSynced) {
    auto json = status({{"service:a", "synced"}, {"service:b", "connecting"}}, {{"b", "up"}});
    json["sources"][1]["lastError"] = "connection refused";
    EXPECT_EQ(missing_for_ready(json, {}), "source service:b is connecting (connection refused)");
}

TEST(Readiness, OneOfSeveralServicesMayBeDown) {
    EXPECT_EQ(missing_for_ready(status({{"service:a", "synced"}, {"service:b", "down"}}, {{"b", "up"}}), {}),
              "");
}

TEST(Readiness, LocalSourcesDoNotStandInForTheService) {
    EXPECT_EQ(
        missing_for_ready(
            status({{"static", "synced"}, {"cache", "synced"}, {"service:a", "down"}}, {{"b", "up"}}), {}),
        "source service:a is down");
}

TEST(Readiness, AnAnswerOfAnotherShapeIsNotReady) {
    EXPECT_NE(missing_for_ready(Json::object(), {}), "");
    EXPECT_NE(missing_for_ready(Json::parse(R"({"peers":[1,null,{"state":7}],"sources":"x"})"), {}), "");
}

}  // namespace
}  // namespace wglan::ctl
