// SPDX-License-Identifier: Apache-2.0
// When peers behind NATs are initiated to: not before both had time to open their own.
#include <gtest/gtest.h>

#include "agent/peers/peer_manager.h"
#include "tests/support/samples.h"

namespace wglan {
namespace {

using namespace samples;

class OpeningTest : public testing::Test {
protected:
    OpeningTest() {
        input.key = key(2);
        input.candidates = {{at("192.168.1.12:51820"), CandidateSource::announced, 10},
                            {at("198.51.100.2:51820"), CandidateSource::peers, 22}};
    }
    void begin() { manager.set_peers({input}, now); }
    void step(Milliseconds time) {
        const SteadyTime end = now + time;
        while (now < end) {
            now += kStep;
            unix_ms += kStep.count();
            manager.tick(now, unix_ms / 1000);
            for (const PublicKey& one : manager.take_new_beginnings()) {
                (void)one;
                beginnings.push_back(unix_ms);
            }
            WgObservedPeer seen;  // it is in the device, and may not initiate unless it has a keepalive
            seen.peer.key = key(2);
            seen.peer.endpoint = manager.wanted_endpoint(key(2));
            manager.observe(seen, now, unix_ms / 1000);
            if (!manager.holding(key(2)) && was_holding) initiated.push_back(unix_ms);
            was_holding = manager.holding(key(2));
        }
    }
    // How long nothing was initiated from now on.
    Milliseconds held(Milliseconds limit) {
        const SteadyTime began = now;
        while (manager.holding(key(2)) && now - began < limit) step(kStep);
        return std::chrono::duration_cast<Milliseconds>(now - began);
    }

    static constexpr Milliseconds kStep{50};
    PeerInput input;
    PeerManager manager{[] { return 0.5; }};
    SteadyTime now = SteadyTime{} + Seconds(1000);
    std::int64_t unix_ms = 1'700'000'000'000;
    std::vector<std::int64_t> beginnings, initiated;
    bool was_holding = false;
};

TEST_F(OpeningTest, APeerBehindANatIsGivenTimeToOpenIt) {
    begin();
    EXPECT_EQ(held(Seconds(2)), Milliseconds(200));
    input.candidates.push_back({at("198.51.100.2:40000"), CandidateSource::peers, 22});
    begin();
    step(Seconds(3));
    ASSERT_EQ(beginnings.size(), 1U);
    ASSERT_EQ(initiated.size(), 2U);
    EXPECT_EQ(initiated[1] - beginnings[0], 200) << "news of it begin alike";
}

TEST_F(OpeningTest, TheHigherKeyWaitsAfterThat) {
    input.yields = true;
    begin();
    EXPECT_EQ(held(Seconds(2)), Milliseconds(600));
}

TEST_F(OpeningTest, NobodyElseIsWaitedFor) {
    input.candidates.pop_back();
    input.candidates.push_back({at("[2001:db8::2]:51820"), CandidateSource::observed, 20});
    begin();
    EXPECT_FALSE(manager.holding(key(2)));
}

TEST_F(OpeningTest, WhereOthersSeeOneThatIsAliveIsOpenedBeforeItIsNeeded) {
    begin();
    WgObservedPeer seen;
    seen.peer.key = key(2);
    seen.peer.endpoint = at("198.51.100.2:51820");
    seen.stats.last_handshake = unix_ms / 1000;
    seen.stats.rx_bytes = 92;
    manager.observe(seen, now, unix_ms / 1000);
    manager.tick(now, unix_ms / 1000);
    ASSERT_TRUE(manager.alive(key(2)));
    EXPECT_TRUE(manager.take_new_places().empty()) << "a search does so itself";
    input.candidates.push_back({at("198.51.100.2:40000"), CandidateSource::peers, 22});
    input.candidates.push_back({at("192.168.1.13:51820"), CandidateSource::announced, 10});
    begin();
    EXPECT_EQ(manager.take_new_places(), std::vector{at("198.51.100.2:40000")});
    begin();
    EXPECT_TRUE(manager.take_new_places().empty()) << "once";
}

}  // namespace
}  // namespace wglan
