// SPDX-License-Identifier: Apache-2.0
#include "agent/reach/asking.h"

#include <limits>

#include <gtest/gtest.h>

#include "tests/support/samples.h"

namespace wglan {
namespace {

using namespace samples;

constexpr UnixTime kUnix = 1'800'000'000;

ReachNonce nonce(std::uint8_t byte) {
    ReachNonce bytes;
    bytes.fill(byte);
    return bytes;
}

class AskingTest : public testing::Test {
protected:
    AskingTest()
        : asking({{"node2", ip("200:1001::2"), at("198.51.100.2:51820")},
                  {"node3", ip("200:1001::3"), at("198.51.100.3:51820")}},
                 {nonce(2), nonce(3)}, start) {}

    static ReachAnswer answer(std::uint8_t number,
                              std::vector<Endpoint> targets = {at("203.0.113.7:51820")}) {
        ReachAnswer said;
        said.nonce = nonce(number);
        said.seen = at("203.0.113.7:51820");
        said.time = kUnix;
        said.targets = std::move(targets);
        return said;
    }
    void answered(const char* from, const ReachAnswer& said, Milliseconds after = Milliseconds(10)) {
        asking.take(ip(from), said, start + after, kUnix);
    }
    const ReachOutcome& of(std::size_t index) { return asking.all()[index].outcome; }

    SteadyTime start = SteadyTime{} + Seconds(1000);
    Asking asking;
};

TEST_F(AskingTest, AnAnswerBelongsToWhomWasAskedWithThatNonce) {
    answered("200:1001::3", answer(2));
    answered("200:1001::9", answer(2));
    answered("200:1001::2", answer(9));
    EXPECT_FALSE(of(0).answer);
    EXPECT_FALSE(of(1).answer);
    answered("200:1001::2", answer(2));
    EXPECT_EQ(of(0).answer, answer(2));
    EXPECT_FALSE(of(1).answer);
}

TEST_F(AskingTest, OfTwoAnswersTheOneWithMoreTargetsCounts) {
    ReachAnswer refused = answer(2, {});
    refused.status = ReachAnswer::Status::too_many;
    answered("200:1001::2", refused);
    answered("200:1001::2", answer(2));
    EXPECT_EQ(of(0).answer, answer(2));
    answered("200:1001::2", refused);
    EXPECT_EQ(of(0).answer, answer(2));
}

TEST_F(AskingTest, KnocksAreTakenByTheirNonceAndAsFarAsTheyGot) {
    const Endpoint target = at("203.0.113.7:51820");
    asking.take(Knock{nonce(9), target}, KnockStage::delivered);
    asking.take(Knock{nonce(2), target}, KnockStage::delivered);
    asking.take(Knock{nonce(2), target}, KnockStage::device);
    asking.take(Knock{nonce(3), target}, KnockStage::device);
    ASSERT_EQ(of(0).arrivals.size(), 1U);
    EXPECT_EQ(of(0).arrivals[0].stage, KnockStage::delivered);
    EXPECT_EQ(of(1).arrivals[0].stage, KnockStage::device);
    for (std::uint16_t port = 1; port < 100; ++port)
        asking.take(Knock{nonce(2), {ip("203.0.113.9"), port}}, KnockStage::device);
    EXPECT_EQ(of(0).arrivals.size(), kMostKnocks) << "who knows a nonce can't fill our memory";
}

TEST_F(AskingTest, EndsWhenAllIsThereOrOverdue) {
    const Endpoint target = at("203.0.113.7:51820");
    EXPECT_FALSE(asking.settled(start + Seconds(10))) << "nobody answered";
    answered("200:1001::2", answer(2));
    answered("200:1001::3", answer(3));
    asking.take(Knock{nonce(2), target}, KnockStage::delivered);
    EXPECT_FALSE(asking.settled(start + Milliseconds(20)));
    asking.take(Knock{nonce(3), target}, KnockStage::device);
    EXPECT_FALSE(asking.settled(start + Milliseconds(20)));
    EXPECT_TRUE(asking.settled(start + Milliseconds(720))) << "the firewall has it";
    asking.take(Knock{nonce(3), target}, KnockStage::delivered);
    EXPECT_TRUE(asking.settled(start + Milliseconds(20)));
}

TEST_F(AskingTest, WhoKnocksNowhereIsNotWaitedFor) {
    answered("200:1001::2", answer(2, {}));
    answered("200:1001::3", answer(3, {}));
    EXPECT_TRUE(asking.settled(start + Milliseconds(10)));
}

TEST_F(AskingTest, ClocksAreComparedInTheMiddleOfTheRoundTrip) {
    ReachAnswer ahead = answer(2);
    ahead.time = kUnix + 100;
    answered("200:1001::2", ahead, Seconds(4));
    EXPECT_EQ(of(0).clock_offset_s, 102);
    for (const UnixTime odd :
         {std::numeric_limits<UnixTime>::max(), std::numeric_limits<UnixTime>::min(), UnixTime{-1}}) {
        Asking another({{"node2", ip("200:1001::2"), at("198.51.100.2:51820")}}, {nonce(2)}, start);
        ReachAnswer said = answer(2);
        said.time = odd;
        another.take(ip("200:1001::2"), said, start, kUnix);
        EXPECT_FALSE(another.all()[0].outcome.clock_offset_s) << odd;
    }
}

TEST(Asking, NobodyIsSettledAtOnce) { EXPECT_TRUE(Asking({}, {}, SteadyTime{}).settled(SteadyTime{})); }

}  // namespace
}  // namespace wglan
