// SPDX-License-Identifier: Apache-2.0
// Peers that are looked for in vain: when they are called down, what is said of why, and what happens to
// packets.
#include <gtest/gtest.h>

#include "tests/unit/peers/fake_peer.h"

namespace wglan {
namespace {

using namespace samples;

class InVainTest : public testing::Test {
protected:
    InVainTest() {
        peer.input.candidates = {{at("192.168.1.12:51820"), CandidateSource::announced, 40},
                                 {at("198.51.100.2:40001"), CandidateSource::peers, 22}};
        peer.input.announced = true;
        peer.manager.set_services_heard(true);
    }
    std::optional<Milliseconds> down_after(Milliseconds limit) {
        return peer.until([&] { return peer.state() == PeerState::down; }, limit);
    }
    FakePeer peer;
};

TEST_F(InVainTest, APeerThatNeverWasUpIsDownAfterAWholeRound) {
    peer.begin();
    peer.look();
    EXPECT_EQ(peer.reason(), "no handshake yet");
    const auto took = down_after(Seconds(60));
    ASSERT_TRUE(took);
    EXPECT_GE(*took, Milliseconds(11200)) << "each candidate has its turn";
    EXPECT_LE(*took, Milliseconds(12000));
    EXPECT_EQ(peer.manager.steering_state(key(2)), PeerState::unknown) << "whenUnknown goes on to hold";
    EXPECT_TRUE(peer.manager.searching());
    EXPECT_TRUE(peer.manager.status(key(2))->next_try) << "and it is still looked for";
}

TEST_F(InVainTest, NewsThatStartTheSearchOverPutThatOffToHalfAMinute) {
    peer.begin();
    peer.look();
    Milliseconds passed{};
    for (; passed < Seconds(60) && peer.state() == PeerState::unknown; passed += Seconds(5)) {
        ++peer.input.version;
        peer.begin();
        peer.run(Seconds(5));
    }
    EXPECT_EQ(passed, Seconds(30) + Seconds(5));
    EXPECT_EQ(peer.state(), PeerState::down);
}

TEST_F(InVainTest, WithoutEndpointsItIsWaitedForInstead) {
    peer.input.candidates = {};
    peer.begin();
    peer.look();
    peer.run(Seconds(120));
    EXPECT_EQ(peer.state(), PeerState::unknown);
    EXPECT_EQ(peer.reason(), "no endpoint known: waiting for it to call");
    EXPECT_FALSE(peer.manager.status(key(2))->needs_relay);
    peer.input.unresolved = true;
    ++peer.input.version;
    peer.begin();
    EXPECT_EQ(peer.reason(), "no address of its endpoints is known: waiting for it to call");
}

TEST_F(InVainTest, TheReasonIsWhatIsKnownNow) {
    peer.input.candidates.pop_back();
    peer.input.announced = false;
    peer.begin();
    peer.look();
    ASSERT_TRUE(down_after(Seconds(60)));
    EXPECT_EQ(peer.reason(), "no answer from its only endpoint");
    EXPECT_FALSE(peer.manager.status(key(2))->needs_relay);
    peer.input.candidates = {{at("198.51.100.2:40001"), CandidateSource::peers, 22},
                             {at("198.51.100.2:40002"), CandidateSource::peers, 22}};
    peer.input.announced = true;
    peer.manager.set_own_seen({at("203.0.113.1:51820")});
    peer.begin();  // the third is where the device still sends to
    EXPECT_EQ(
        peer.reason(),
        "no answer from any of 3 endpoints; both nodes are behind NATs, and the peer's uses another port for "
        "each destination: a relay is needed");
    EXPECT_TRUE(peer.manager.status(key(2))->needs_relay);
    EXPECT_EQ(peer.state(), PeerState::down) << "news alone don't make it unknown again";
}

TEST_F(InVainTest, ItComesUpLikeAnyOther) {
    peer.begin();
    peer.look();
    ASSERT_TRUE(down_after(Seconds(60)));
    peer.handshake();
    peer.look();
    peer.tick();
    EXPECT_EQ(peer.state(), PeerState::up);
    EXPECT_EQ(peer.manager.steering_state(key(2)), PeerState::up);
    EXPECT_FALSE(peer.manager.status(key(2))->needs_relay);
}

TEST_F(InVainTest, APeerThatWasUpKeepsItsReasonAndSaysMore) {
    peer.come_up();
    peer.run(Seconds(10));
    peer.break_path();
    ASSERT_TRUE(down_after(Seconds(20)));
    EXPECT_EQ(peer.manager.steering_state(key(2)), PeerState::down) << "whenDown holds";
    EXPECT_EQ(peer.reason().find("; "), std::string::npos) << peer.reason();
    EXPECT_FALSE(peer.manager.status(key(2))->needs_relay) << "it is looked for first";
    peer.run(Seconds(40));
    EXPECT_EQ(peer.reason(), "no answer to 13 probes; no answer from any of 3 endpoints")
        << "its record would still be there if it had died";
    peer.run(Seconds(90));
    const std::string known =
        "no answer to 13 probes; no answer from any of 3 endpoints; others reach it at 198.51.100.2:40001, "
        "but UDP "
        "between it and this node seems to be blocked: a relay is needed";
    EXPECT_EQ(peer.reason(), known);
    EXPECT_TRUE(peer.manager.status(key(2))->needs_relay);
    peer.manager.set_services_heard(false);
    EXPECT_FALSE(peer.manager.status(key(2))->needs_relay) << "what the services said is old";
}

}  // namespace
}  // namespace wglan
