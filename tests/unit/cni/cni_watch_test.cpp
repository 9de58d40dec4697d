// SPDX-License-Identifier: Apache-2.0
#include "agent/cni/cni_watch.h"

#include <gtest/gtest.h>

#include "agent/cni/cni_notice.h"
#include "tests/support/samples.h"

namespace wglan {
namespace {

using namespace samples;
using std::chrono::milliseconds;
using std::chrono::seconds;

class CniWatchTest : public testing::Test {
protected:
    CniWatchTest() {
        there[pods4] = {peer, "node2", "dev flannel.1", false, "", false};
        there[pods6] = {peer, "node2", "dev flannel.1", false, "", false};
    }
    bool update() { return watch.update(there, now); }
    bool left(const Prefix& prefix) { return watch.find(prefix)->left; }
    void break4(const char* fault = "a blackhole route") {
        there[pods4].way = "";
        there[pods4].fault = fault;
        (void)update();
    }
    void mend4() {
        there[pods4].way = "dev flannel.1";
        there[pods4].fault = "";
        (void)update();
    }
    void pass(milliseconds time) {
        now += time;
        (void)update();
    }

    Prefix pods4 = net("10.244.2.0/24"), pods6 = net("fd00:2::/64");
    PublicKey peer = key(2);
    std::map<Prefix, CniPrefix> there;
    SteadyTime now{seconds(1000)};
    CniWatch watch;
};

TEST_F(CniWatchTest, SoundRoutesAreLeftToTheCniAtOnce) {
    EXPECT_TRUE(update());
    EXPECT_EQ(watch.left(), 2U);
    EXPECT_EQ(watch.find(pods4)->reason, "dev flannel.1");
    EXPECT_TRUE(watch.down().empty());
    EXPECT_FALSE(watch.next());
    EXPECT_FALSE(update());
}

TEST_F(CniWatchTest, WithoutARouteThePrefixIsSteered) {
    there[pods4].way = "";
    EXPECT_TRUE(update());
    EXPECT_FALSE(left(pods4));
    EXPECT_EQ(watch.find(pods4)->reason, "the CNI has no route for it");
    EXPECT_EQ(watch.down().at(peer), (CniDown{true, false}));
    EXPECT_EQ(watch.failovers(), 0U) << "it was never left";
}

TEST_F(CniWatchTest, AFaultActsAtOnceAndARecoveryAfterAWhile) {
    (void)update();
    break4();
    EXPECT_FALSE(left(pods4));
    EXPECT_TRUE(left(pods6));
    EXPECT_EQ(watch.find(pods4)->reason, "the CNI's route leads nowhere: a blackhole route");
    EXPECT_EQ(watch.failovers(), 1U);
    mend4();
    EXPECT_FALSE(left(pods4));
    EXPECT_EQ(watch.down().at(peer), (CniDown{true, false})) << "peers follow until it is trusted";
    ASSERT_TRUE(watch.next());
    EXPECT_EQ(*watch.next(), now + CniWatch::kLeastHold);
    pass(CniWatch::kLeastHold - milliseconds(1));
    EXPECT_FALSE(left(pods4));
    pass(milliseconds(1));
    EXPECT_TRUE(left(pods4));
    EXPECT_TRUE(watch.down().empty());
    EXPECT_FALSE(watch.next());
}

TEST_F(CniWatchTest, WhatFailsAgainWhileItIsWatchedBeginsAnew) {
    (void)update();
    break4();
    mend4();
    pass(milliseconds(2000));
    break4();
    mend4();
    pass(milliseconds(2000));
    EXPECT_FALSE(left(pods4));
    pass(milliseconds(1000));
    EXPECT_TRUE(left(pods4));
}

TEST_F(CniWatchTest, FlappingIsTrustedLaterAndLater) {
    (void)update();
    milliseconds expected = CniWatch::kLeastHold;
    for (int flap = 0; flap < 8; ++flap) {
        break4();
        mend4();
        EXPECT_EQ(*watch.next() - now, expected) << flap;
        pass(expected);
        EXPECT_TRUE(left(pods4));
        pass(milliseconds(100));
        expected = std::min(2 * expected, CniWatch::kMostHold);
    }
    pass(CniWatch::kSteady);
    break4();
    mend4();
    EXPECT_EQ(*watch.next() - now, CniWatch::kLeastHold) << "it had been good for long";
}

TEST_F(CniWatchTest, APeersWordIsFollowedAndNotPassedOn) {
    (void)update();
    watch.told(peer, {true, false}, now);
    EXPECT_TRUE(update());
    EXPECT_FALSE(left(pods4));
    EXPECT_TRUE(left(pods6));
    EXPECT_EQ(watch.find(pods4)->reason, "node2 says that its CNI doesn't reach this node");
    EXPECT_TRUE(watch.down().empty()) << "else the two would never go back";
    watch.told(peer, {}, now);
    EXPECT_TRUE(update());
    EXPECT_TRUE(left(pods4)) << "the peer has waited already";
    EXPECT_EQ(watch.failovers(), 1U);
}

TEST_F(CniWatchTest, APeerThatFallsSilentIsForgotten) {
    (void)update();
    watch.told(peer, {true, true}, now);
    (void)update();
    EXPECT_EQ(watch.left(), 0U);
    EXPECT_EQ(*watch.next(), now + CniWatch::kToldHolds);
    pass(CniWatch::kToldHolds);
    EXPECT_EQ(watch.left(), 2U);
}

TEST_F(CniWatchTest, WhatAPredecessorSteeredIsWatchedFirst) {
    there[pods4].steered = true;
    (void)update();
    EXPECT_FALSE(left(pods4));
    EXPECT_TRUE(left(pods6));
    EXPECT_EQ(watch.down().at(peer), (CniDown{true, false}));
    there[pods4].steered = false;  // no matter: it is known now
    pass(CniWatch::kLeastHold);
    EXPECT_TRUE(left(pods4));
}

TEST_F(CniWatchTest, PrefixesThatGoAreForgotten) {
    (void)update();
    break4();
    there.erase(pods4);
    EXPECT_TRUE(update());
    EXPECT_EQ(watch.find(pods4), nullptr);
    EXPECT_TRUE(watch.down().empty());
}

TEST(CniNotice, IsReadAsItWasWritten) {
    for (const CniDown down : {CniDown{}, CniDown{true, false}, CniDown{false, true}, CniDown{true, true}})
        EXPECT_EQ(decode_cni_notice(encode_cni_notice(down)), down);
}

TEST(CniNotice, AnythingElseIsRefused) {
    const auto good = encode_cni_notice({true, true});
    EXPECT_FALSE(decode_cni_notice({}));
    EXPECT_FALSE(decode_cni_notice(std::span(good).first(good.size() - 1)));
    std::vector<std::uint8_t> longer(good.begin(), good.end());
    longer.push_back(0);
    EXPECT_FALSE(decode_cni_notice(longer));
    for (std::size_t i = 0; i < good.size(); ++i) {
        auto bent = good;
        bent[i] ^= 0x80;
        EXPECT_FALSE(decode_cni_notice(bent)) << i;
    }
}

}  // namespace
}  // namespace wglan
