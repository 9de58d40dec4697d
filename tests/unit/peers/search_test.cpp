// SPDX-License-Identifier: Apache-2.0
// Which candidate comes first, when the next is tried, and when a peer is made anew.
#include "agent/peers/search.h"

#include <gtest/gtest.h>

#include "tests/unit/peers/fake_peer.h"

namespace wglan {
namespace {

using namespace samples;

CandidateHistory with(bool worked, unsigned fruitless, int rtt_ms = 0, int lost = 0) {
    CandidateHistory history;
    history.worked = worked;
    history.fruitless = fruitless;
    if (rtt_ms > 0) history.path.answered(Milliseconds(rtt_ms));
    for (int i = 0; i < lost; ++i) history.path.missed();
    return history;
}

TEST(Score, IsHigherForWhatIsLikelierToWork) {
    struct Row {
        const char* what;
        int better_base, worse_base;
        CandidateHistory better, worse;
    };
    const Row rows[] = {
        {"the same network before a public address", 40, 30, {}, {}},
        {"past success before a better place", 30, 40, with(true, 0), {}},
        {"past success before a configured one", 30, 50, with(true, 0), {}},
        {"an untried one before a success that failed often since", 40, 30, {}, with(true, 5)},
        {"the lower round trip", 30, 30, with(true, 0, 2), with(true, 0, 200)},
        {"fewer losses", 30, 30, with(true, 0, 20), with(true, 0, 20, 3)},
        {"losses count more than round trips", 30, 30, with(true, 0, 200), with(true, 0, 20, 4)},
        {"an untried one before one that failed", 30, 30, {}, with(false, 1)},
        {"a family that is here, failed often, before one that isn't", 30, 0, with(false, 9), {}},
    };
    const Endpoint place = at("192.0.2.2:51820");
    for (const Row& row : rows)
        EXPECT_GT(score({place, CandidateSource::announced, row.better_base}, row.better),
                  score({place, CandidateSource::announced, row.worse_base}, row.worse))
            << row.what;
}

TEST(Score, WhatAPeerWithdrewComesLast) {
    CandidateHistory withdrawn = with(true, 0);
    withdrawn.withdrawn = true;
    EXPECT_LT(score({at("192.0.2.2:1"), CandidateSource::roamed, 35}, withdrawn),
              score({at("192.0.2.2:2"), CandidateSource::announced, 25}, {}));
}

class SearchTest : public testing::Test {
protected:
    // Runs a peer that never answers and notes what it is tried at.
    std::vector<std::uint16_t> ports_tried(Milliseconds time) {
        std::vector<std::uint16_t> ports;
        for (Milliseconds passed{}; passed < time; passed += Milliseconds(100)) {
            const auto wanted = peer.manager.wanted_endpoint(peer.input.key);
            if (wanted && (ports.empty() || ports.back() != wanted->port)) ports.push_back(wanted->port);
            peer.run(Milliseconds(100));
        }
        return ports;
    }
    FakePeer peer;
};

TEST_F(SearchTest, TheBestComeFirstWhateverTheirOrder) {
    peer.input.candidates = {{at("10.0.0.2:1"), CandidateSource::announced, 10},
                             {at("192.0.2.2:2"), CandidateSource::announced, 40},
                             {at("203.0.113.2:3"), CandidateSource::observed, 20}};
    peer.begin();
    EXPECT_EQ(ports_tried(Milliseconds(17000)), (std::vector<std::uint16_t>{2, 3, 1}));
}

TEST_F(SearchTest, CloneTargetsAreTheOthersAndBounded) {
    peer.input.candidates.clear();
    for (std::uint16_t i = 1; i <= 12; ++i)
        peer.input.candidates.push_back(
            {at("192.0.2.2:" + std::to_string(i)), CandidateSource::announced, 30});
    peer.begin();
    const auto targets = peer.manager.clone_targets(key(2));
    ASSERT_EQ(targets.size(), kMaxCloneTargets);
    EXPECT_EQ(peer.manager.wanted_endpoint(key(2))->port, 1);
    for (std::size_t i = 0; i < targets.size(); ++i) EXPECT_EQ(targets[i].port, i + 2);
    peer.handshake();
    peer.look();
    peer.tick();
    EXPECT_TRUE(peer.manager.clone_targets(key(2)).empty()) << "none for a peer that is alive";
    EXPECT_TRUE(peer.manager.clone_targets(key(9)).empty()) << "none for a stranger";
}

TEST_F(SearchTest, EachRoundBeginsWithANewPeerInTheDevice) {
    // Its clock was set back: it refuses nothing of ours, and we refuse all of its initiations until the
    // device forgets the newest timestamp.
    peer.come_up();
    peer.run(Milliseconds(60000));
    peer.break_path();
    ASSERT_TRUE(peer.until([&] { return peer.state() == PeerState::down; }, Milliseconds(20000)));
    peer.run(Milliseconds(300000));
    ASSERT_GE(peer.afresh.size(), 7U);
    for (std::size_t i = 1; i < peer.afresh.size(); ++i) {
        EXPECT_GE(peer.afresh[i] - peer.afresh[i - 1], Milliseconds(2000)) << i;
        EXPECT_LE(peer.afresh[i] - peer.afresh[i - 1], Milliseconds(37000)) << i << ": for ever";
    }
}

TEST_F(SearchTest, NewCandidatesProvokeAnInitiationAtOnce) {
    peer.begin();
    peer.look();
    peer.run(Milliseconds(60000));
    const std::size_t before = peer.afresh.size();
    peer.run(Milliseconds(2500));
    peer.input.candidates = {{at("192.0.2.3:51820"), CandidateSource::announced, 30}};
    const SteadyTime since = peer.now;
    peer.begin();
    peer.run(Milliseconds(3000));
    ASSERT_GT(peer.afresh.size(), before);
    EXPECT_LE(peer.afresh.back() - since, Milliseconds(2100));
    EXPECT_EQ(peer.manager.wanted_endpoint(key(2)), at("192.0.2.3:51820"));
}

TEST(Search, WhoIsPreferredForOnceTakesNobodysTurn) {
    const SteadyTime start{std::chrono::hours(1)};
    const SearchTimes times;
    Search search(Backoff(Seconds(1), Seconds(1), [] { return 0.5; }), times);
    search.set_candidates({{at("192.0.2.2:1"), CandidateSource::announced, 40},
                           {at("192.0.2.2:2"), CandidateSource::announced, 30},
                           {at("192.0.2.2:3"), CandidateSource::announced, 20},
                           {at("192.0.2.2:4"), CandidateSource::announced, 10}});
    search.start(std::nullopt, start);
    EXPECT_EQ(search.wanted(), at("192.0.2.2:1"));
    SteadyTime now = start + Milliseconds(150);
    EXPECT_TRUE(search.go_to(at("192.0.2.2:3"), now));
    EXPECT_FALSE(search.go_to(at("192.0.2.2:9"), now)) << "a stranger";
    std::vector<std::uint16_t> ports{search.wanted()->port};
    for (; search.rounds() == 0; now += Milliseconds(100)) {
        (void)search.advance(now);
        if (ports.back() != search.wanted()->port) ports.push_back(search.wanted()->port);
    }
    EXPECT_EQ(ports, (std::vector<std::uint16_t>{3, 1, 2, 4}));
}

TEST_F(SearchTest, ANewRecordRestartsTheBackOff) {
    peer.begin();
    peer.look();
    peer.run(Milliseconds(300000));
    ASSERT_GT(*peer.manager.status(key(2))->next_try - peer.now, Milliseconds(0));
    ++peer.input.version;
    peer.begin();
    EXPECT_LE(*peer.manager.status(key(2))->next_try - peer.now, Milliseconds(5600));
    const std::size_t before = peer.afresh.size();
    peer.run(Milliseconds(2100));
    EXPECT_GT(peer.afresh.size(), before);
    peer.begin();  // the same record again
    const std::size_t after = peer.afresh.size();
    peer.run(Milliseconds(2100));
    EXPECT_EQ(peer.afresh.size(), after);
}

TEST_F(SearchTest, AHandshakeThatThePeerBeganIsNotCutOff) {
    peer.begin();
    peer.look();
    peer.run(Milliseconds(60000));
    peer.stats.rx_bytes += 148;
    peer.look();
    peer.manager.restart_searches(peer.now);
    const std::size_t before = peer.afresh.size();
    peer.run(Milliseconds(1000));
    EXPECT_EQ(peer.afresh.size(), before);
    peer.run(Milliseconds(3000));
    EXPECT_EQ(peer.afresh.size(), before + 1) << "but it isn't waited for for ever";
}

TEST_F(SearchTest, WhoIsHeardWithoutASessionIsBegunWithAnew) {
    peer.begin();
    peer.run(Milliseconds(1000));
    const std::size_t before = peer.afresh.size();
    // Both initiate at once: each answers as responder, and forgets what it began.
    peer.stats.rx_bytes += 148 + 92;
    peer.look();
    peer.run(Milliseconds(1000));
    EXPECT_EQ(peer.afresh.size(), before) << "it may still come";
    peer.run(Milliseconds(1500));
    EXPECT_EQ(peer.afresh.size(), before + 1);
    peer.run(Milliseconds(2000));
    EXPECT_EQ(peer.afresh.size(), before + 1) << "once for each time that it is heard";
}

TEST_F(SearchTest, AChangeHereMakesLivePeersBeLookedAt) {
    peer.come_up();
    peer.run(Milliseconds(2500));
    const SteadyTime since = peer.now;
    peer.manager.restart_searches(peer.now);
    peer.run(Milliseconds(200));
    EXPECT_EQ(peer.sent_since(since), 1U) << "so that it learns our new address at once";
    for (int i = 0; i < 20; ++i) {
        peer.manager.restart_searches(peer.now);
        peer.run(Milliseconds(50));
    }
    EXPECT_LE(peer.sent_since(since), 6U) << "four a second";
}

TEST_F(SearchTest, AMovedPeerIsLookedForWhereItSaysFirst) {
    peer.come_up();
    peer.run(Milliseconds(30000));
    peer.break_path();
    peer.input.candidates = {{at("192.0.2.77:51820"), CandidateSource::announced, 30}};
    peer.begin();
    ASSERT_TRUE(peer.until([&] { return peer.state() == PeerState::down; }, Milliseconds(20000)));
    EXPECT_EQ(peer.manager.wanted_endpoint(key(2)), at("192.0.2.77:51820")) << "not where it was";
}

TEST_F(SearchTest, EndpointChangesAreToldOnceWithTheirReason) {
    peer.come_up();
    EXPECT_TRUE(peer.manager.take_endpoint_changes().empty());
    peer.endpoint = at("198.51.100.1:40000");
    peer.look();
    peer.look();
    const auto changes = peer.manager.take_endpoint_changes();
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_EQ(changes[0].before, at("192.0.2.2:51820"));
    EXPECT_EQ(changes[0].after, at("198.51.100.1:40000"));
    EXPECT_EQ(changes[0].reason, "its packets come from there");
    EXPECT_TRUE(peer.manager.take_endpoint_changes().empty());
    EXPECT_EQ(peer.manager.tick(peer.now, peer.unix_ms / 1000), std::vector<PublicKey>{key(2)})
        << "the data plane lets its packets out there";
}

TEST_F(SearchTest, TotalsOutliveTheirPeers) {
    peer.come_up();
    peer.run(Milliseconds(60000));
    const PeerTotals before = peer.manager.totals();
    EXPECT_GE(before.probes_sent, 10U);
    peer.manager.set_peers({}, peer.now);
    EXPECT_EQ(peer.manager.totals().probes_sent, before.probes_sent);
}

}  // namespace
}  // namespace wglan
