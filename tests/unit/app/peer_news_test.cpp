// SPDX-License-Identifier: Apache-2.0
#include "agent/app/peer_news.h"

#include <gmock/gmock.h>

namespace wglan {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

PeerChange change(std::string name, PeerState before, PeerState after) {
    return {std::move(name), before, after, "no answer for 10s"};
}

TEST(PeerNews, OnlyWhatWasUpGoesDownAndOnlyWhatWasDownComesBack) {
    const auto of = [](PeerState before, PeerState after) {
        return events_of({change("node2", before, after)}, "node1", 3);
    };
    ASSERT_EQ(of(PeerState::up, PeerState::down).size(), 1U);
    const auto down = of(PeerState::degraded, PeerState::down).at(0);
    EXPECT_TRUE(down.warning);
    EXPECT_EQ(down.reason, "PeerDown");
    EXPECT_THAT(down.note, HasSubstr("node2 any more: no answer for 10s"));
    const auto up = of(PeerState::down, PeerState::up).at(0);
    EXPECT_FALSE(up.warning);
    EXPECT_EQ(up.reason, "PeerUp");
    EXPECT_THAT(of(PeerState::unknown, PeerState::up), IsEmpty()) << "a mesh that begins";
    EXPECT_THAT(of(PeerState::unknown, PeerState::down), IsEmpty()) << "it never was up";
    EXPECT_THAT(of(PeerState::up, PeerState::degraded), IsEmpty());
}

TEST(PeerNews, ManyAtOnceAreOneEvent) {
    std::vector<PeerChange> changes;
    for (int i = 0; i < 12; ++i)
        changes.push_back(change("n" + std::to_string(i), PeerState::up, PeerState::down));
    changes.push_back(change("back", PeerState::down, PeerState::up));
    const auto events = events_of(changes, "node1", 14);
    ASSERT_EQ(events.size(), 2U);
    EXPECT_THAT(events[0].note, HasSubstr("12 peers any more: n0, n1, n2, n3, n4, ..."));
    EXPECT_THAT(events[1].note, HasSubstr("back works again"));
}

TEST(PeerNews, InALargeClusterSomeTenTell) {
    for (const std::size_t nodes : {20U, 100U, 5000U}) {
        int witnesses = 0;
        for (std::size_t i = 0; i < nodes; ++i)
            witnesses += is_witness("node" + std::to_string(i), "the dead one", nodes) ? 1 : 0;
        EXPECT_GE(witnesses, nodes == 20 ? 20 : 2) << nodes;
        EXPECT_LE(witnesses, 25) << nodes;
    }
    EXPECT_EQ(is_witness("a", "b", 5000), is_witness("a", "b", 5000));
}

TEST(PeerNews, OnePeerOfManyIsNoReasonToCallTheNodeUnready) {
    EXPECT_EQ(condition_of("", 10, 9), condition_of("", 10, 1));
    EXPECT_TRUE(condition_of("", 10, 1).ready);
    EXPECT_TRUE(condition_of("", 0, 0).ready);
    EXPECT_EQ(condition_of("", 3, 0).reason, "NoPeerUp");
    EXPECT_FALSE(condition_of("", 3, 0).ready);
    EXPECT_EQ(condition_of("wglan0 is missing", 3, 3).reason, "TunnelFailed");
    EXPECT_THAT(condition_of("wglan0 is missing", 3, 3).message, HasSubstr("wglan0"));
}

}  // namespace
}  // namespace wglan
