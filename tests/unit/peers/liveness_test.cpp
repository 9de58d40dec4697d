// SPDX-License-Identifier: Apache-2.0
// Probed peers: dead ones are found in time, live ones are never called dead.
#include "agent/peers/liveness.h"

#include <random>

#include <gtest/gtest.h>

#include "tests/unit/peers/fake_peer.h"

namespace wglan {
namespace {

using namespace samples;

constexpr Milliseconds kMinute{60000};

class LivenessTest : public testing::Test {
protected:
    // A path that loses this share of the packets each way; probes and echoes are lost each by itself.
    void lose(double share) {
        peer.loses = [this, share] {
            std::uniform_real_distribution<double> one(0, 1);
            return one(random_) < share || one(random_) < share;
        };
    }
    auto is(PeerState state) {
        return [this, state] { return peer.state() == state; };
    }
    FakePeer peer;
    std::mt19937_64 random_{7};
};

TEST_F(LivenessTest, DetectsADeadPathInTimeWheneverItDies) {
    for (int phase = 0; phase < 120; ++phase) {
        FakePeer one;
        one.come_up();
        one.run(kMinute + Milliseconds(phase * 50));
        ASSERT_EQ(one.state(), PeerState::up);
        one.break_path();
        const auto took = one.until([&] { return one.state() == PeerState::down; }, Milliseconds(20000));
        ASSERT_TRUE(took) << phase;
        EXPECT_LE(*took, Milliseconds(10000)) << phase;
        EXPECT_NE(one.reason().find("no answer to"), std::string::npos) << one.reason();
    }
}

TEST_F(LivenessTest, DetectsADeadPathInTimeUnderTraffic) {
    for (int phase = 0; phase < 60; ++phase) {
        FakePeer one;
        one.come_up();
        one.traffic = true;
        one.run(kMinute + Milliseconds(phase * 50));
        one.break_path();
        const auto took = one.until([&] { return one.state() == PeerState::down; }, Milliseconds(20000));
        ASSERT_TRUE(took) << phase;
        EXPECT_LE(*took, Milliseconds(10000)) << phase;
    }
}

TEST_F(LivenessTest, TheTimeToDetectIsASetting) {
    for (const Seconds limit : {Seconds(5), Seconds(10), Seconds(30), Seconds(120)}) {
        FakePeer one;
        one.times.liveness = LivenessTimes::within(limit);
        one.manager.set_times(one.times);
        one.come_up();
        one.run(Milliseconds(300000));
        EXPECT_EQ(one.state(), PeerState::up) << limit.count();
        one.break_path();
        const auto took = one.until([&] { return one.state() == PeerState::down; }, 2 * limit);
        ASSERT_TRUE(took) << limit.count();
        EXPECT_LE(*took, Milliseconds(limit)) << limit.count();
        EXPECT_GE(*took, Milliseconds(limit) / 4) << limit.count();
    }
}

TEST_F(LivenessTest, AnIdleHealthyPeerStaysUpAtOneProbeInFiveSeconds) {
    peer.come_up();
    const SteadyTime since = peer.now;
    for (int i = 0; i < 60; ++i) {
        peer.run(kMinute);
        ASSERT_EQ(peer.state(), PeerState::up) << i;
    }
    EXPECT_LE(peer.sent_since(since), 720U);
    EXPECT_GE(peer.sent_since(since), 600U) << "idle paths are watched too";
    for (std::size_t i = 2; i < peer.sent.size(); ++i)
        ASSERT_GE(peer.sent[i] - peer.sent[i - 1], Milliseconds(5000)) << i;
}

TEST_F(LivenessTest, TrafficSparesProbes) {
    peer.come_up();
    peer.traffic = true;
    peer.run(Milliseconds(10000));
    const SteadyTime since = peer.now;
    peer.run(5 * kMinute);
    EXPECT_EQ(peer.sent_since(since), 0U);
    EXPECT_EQ(peer.state(), PeerState::up);
}

TEST_F(LivenessTest, TenPercentLossIsNoDeath) {
    lose(0.1);
    peer.come_up();
    for (int i = 0; i < 24 * 60; ++i) {
        peer.run(kMinute);
        ASSERT_EQ(peer.state(), PeerState::up) << "after " << i << " min";
    }
    const PathStats path = peer.manager.status(key(2))->path;
    EXPECT_NEAR(static_cast<double>(path.lost()) / static_cast<double>(path.sent()), 0.19, 0.03);
}

TEST_F(LivenessTest, AHandfulOfProbesDecides) {
    peer.come_up();
    peer.run(kMinute);
    const SteadyTime since = peer.now;
    peer.break_path();
    ASSERT_TRUE(peer.until(is(PeerState::degraded), Milliseconds(10000)));
    EXPECT_NE(peer.reason().find("no answer to the last"), std::string::npos) << peer.reason();
    ASSERT_TRUE(peer.until(is(PeerState::down), Milliseconds(10000)));
    EXPECT_LE(peer.sent_since(since), 14U);
    const std::size_t by_then = peer.sent.size();
    peer.run(5 * kMinute);
    EXPECT_EQ(peer.sent.size(), by_then) << "who is down is searched, not probed";
}

TEST_F(LivenessTest, ADegradedPeerThatAnswersIsUpAgain) {
    peer.come_up();
    peer.run(kMinute);
    peer.break_path();
    ASSERT_TRUE(peer.until(is(PeerState::degraded), Milliseconds(10000)));
    peer.answers = true;
    const auto took = peer.until(is(PeerState::up), Milliseconds(2000));
    ASSERT_TRUE(took);
    EXPECT_LE(*took, Milliseconds(400));
    EXPECT_TRUE(peer.afresh.empty());
}

TEST_F(LivenessTest, SuspendAndResumeRaiseNoAlarm) {
    for (const Seconds asleep : {Seconds(8), Seconds(60), Seconds(3600), Seconds(86400)}) {
        FakePeer one;
        one.come_up();
        one.run(kMinute + Milliseconds(1234));
        one.sleep(asleep);
        one.answers = false;  // the link comes back a few seconds later, the old session has expired
        one.run(Milliseconds(6000));
        EXPECT_EQ(one.state(), PeerState::up) << asleep.count();
        one.answers = true;
        one.handshake();
        one.run(kMinute);
        EXPECT_EQ(one.state(), PeerState::up) << asleep.count();
        EXPECT_TRUE(one.afresh.empty()) << asleep.count();
        one.break_path();
        EXPECT_LE(one.until([&] { return one.state() == PeerState::down; }, kMinute).value_or(kMinute),
                  Milliseconds(10000));
    }
}

TEST_F(LivenessTest, APathThatDiedDuringTheSleepIsFound) {
    peer.come_up();
    peer.run(kMinute);
    peer.sleep(Seconds(3600));
    peer.break_path();
    const auto took = peer.until(is(PeerState::down), kMinute);
    ASSERT_TRUE(took);
    EXPECT_LE(*took, Milliseconds(20000));
}

TEST_F(LivenessTest, AStoppedProcessIsNoSilence) {
    // Held up in the middle of a burst: what was sent may have been answered.
    peer.come_up();
    peer.run(kMinute);
    peer.answers = false;
    ASSERT_TRUE(peer.until([&] { return peer.manager.suspecting(); }, Milliseconds(10000)));
    peer.sleep(Milliseconds(5000));
    peer.answers = true;
    peer.run(Milliseconds(2000));
    EXPECT_EQ(peer.state(), PeerState::up);
}

TEST_F(LivenessTest, AClockThatIsSetIsNoDeath) {
    for (const std::int64_t by : {7200, -7200}) {
        FakePeer one;
        one.come_up();
        one.run(kMinute);
        one.unix_ms += by * 1000;
        one.run(kMinute);
        EXPECT_EQ(one.state(), PeerState::up) << by;
        one.handshake();
        one.run(kMinute);
        EXPECT_EQ(one.state(), PeerState::up) << by;
    }
}

TEST_F(LivenessTest, APeerThatAnswersNoEchoLivesByWireGuardsOwnAnswers) {
    peer.answers = false;  // a firewall there
    peer.come_up();
    for (int i = 0; i < 120; ++i) {
        peer.run(Milliseconds(30000));
        ASSERT_EQ(peer.state(), PeerState::up) << i;
    }
    const SteadyTime since = peer.now;
    peer.run(Milliseconds(600000));
    EXPECT_LE(peer.sent_since(since), 120U) << "and no bursts at it";
    peer.break_path();
    const auto took = peer.until(is(PeerState::down), Milliseconds(60000));
    ASSERT_TRUE(took);
    EXPECT_LE(*took, Milliseconds(32000));
    EXPECT_NE(peer.reason().find("nothing received for"), std::string::npos) << peer.reason();
}

TEST_F(LivenessTest, AFirewallThatIsPutUpCostsOneAlarmAtMost) {
    peer.come_up();
    peer.run(kMinute);
    peer.answers = false;
    int alarms = 0;
    for (int i = 0; i < 600; ++i) {
        const PeerState before = peer.state();
        peer.run(Milliseconds(500));
        if (before != PeerState::down && peer.state() == PeerState::down) {
            ++alarms;
            peer.run(Milliseconds(100));
            peer.handshake();  // made anew, it answers at once
        }
    }
    EXPECT_LE(alarms, 1);
    EXPECT_EQ(peer.state(), PeerState::up);
}

TEST_F(LivenessTest, InitiationsAloneAreNoProofOfLife) {
    // One direction is dead: the peer, which hears nothing, initiates again and again.
    peer.come_up();
    peer.run(kMinute);
    peer.answers = peer.peer_speaks = peer.passive_keepalives = false;
    Milliseconds took{};
    for (; peer.state() != PeerState::down && took < kMinute; took += Milliseconds(2500)) {
        peer.stats.rx_bytes += 148;
        peer.run(Milliseconds(2500));
    }
    EXPECT_LE(took, Milliseconds(10000));
    EXPECT_NE(peer.reason().find("it calls"), std::string::npos) << peer.reason();
}

TEST_F(LivenessTest, OnlyANewSessionEndsADeath) {
    peer.come_up();
    peer.run(kMinute);
    peer.break_path();
    ASSERT_TRUE(peer.until(is(PeerState::down), Milliseconds(20000)));
    peer.run(Milliseconds(200));
    ASSERT_EQ(peer.afresh.size(), 1U) << "the device forgets the dead session at once";
    peer.run(Milliseconds(5000));
    EXPECT_EQ(peer.state(), PeerState::down);
    peer.answers = peer.peer_speaks = true;
    peer.handshake();
    peer.look();
    peer.tick();
    EXPECT_EQ(peer.state(), PeerState::up);
}

TEST_F(LivenessTest, CountersGoOnOverANewBeginning) {
    peer.come_up();
    peer.run(kMinute);
    const auto before = peer.manager.status(key(2));
    peer.break_path();
    ASSERT_TRUE(peer.until(is(PeerState::down), Milliseconds(20000)));
    peer.run(Milliseconds(5000));
    const auto after = peer.manager.status(key(2));
    EXPECT_GE(after->rx_bytes, before->rx_bytes);
    EXPECT_GE(after->tx_bytes, before->tx_bytes);
    EXPECT_EQ(after->last_handshake, before->last_handshake) << "people are told of the last one";
}

TEST_F(LivenessTest, WithoutASocketKeepalivesHaveToDo) {
    peer.manager.set_probing(false);
    peer.come_up();
    peer.run(10 * kMinute);
    EXPECT_TRUE(peer.sent.empty());
    EXPECT_EQ(peer.state(), PeerState::down) << "no handshake for 275 s";
}

TEST_F(LivenessTest, AgentlessPeersAreNotProbed) {
    peer.input.agentless = true;
    peer.come_up();
    peer.break_path();
    peer.run(Milliseconds(200000));
    EXPECT_TRUE(peer.sent.empty());
    EXPECT_EQ(peer.state(), PeerState::up);
}

TEST_F(LivenessTest, MeasuresTheRoundTripOncePerSession) {
    peer.rtt = Milliseconds(100);
    peer.come_up();
    const auto status = peer.manager.status(key(2));
    ASSERT_TRUE(status->path.rtt_ms());
    EXPECT_NEAR(*status->path.rtt_ms(), 100, 1);
    ASSERT_EQ(status->candidates.size(), 1U);
    EXPECT_NEAR(status->candidates[0].rtt_ms.value_or(0), 100, 1) << "of the endpoint too";
}

TEST(PathStats, SmoothsAndRemembersTheLeast) {
    PathStats path;
    EXPECT_FALSE(path.rtt_ms());
    EXPECT_EQ(path.loss(), 0);
    path.answered(Milliseconds(80));
    path.answered(Milliseconds(160));
    EXPECT_NEAR(*path.rtt_ms(), 90, 0.01);
    EXPECT_NEAR(*path.min_ms(), 80, 0.01);
    path.missed();
    path.missed();
    EXPECT_DOUBLE_EQ(path.loss(), 0.5);
    for (int i = 0; i < 32; ++i) path.answered(Milliseconds(80));
    EXPECT_DOUBLE_EQ(path.loss(), 0) << "of the last 32";
    EXPECT_EQ(path.lost(), 2U);
    EXPECT_EQ(path.sent(), 36U);
}

}  // namespace
}  // namespace wglan
