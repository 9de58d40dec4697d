// SPDX-License-Identifier: Apache-2.0
#include "agent/reach/reach_rules.h"

#include <gtest/gtest.h>

#include "agent/reach/reach_codec.h"
#include "tests/support/samples.h"

namespace wglan {
namespace {

using namespace samples;

constexpr SteadyTime kStart = SteadyTime{} + Seconds(1000);

std::string targets(const ReachAsker& asker) {
    std::string text;
    for (const Endpoint& endpoint : knock_targets(asker))
        text += (text.empty() ? "" : " ") + endpoint.to_string();
    return text;
}

TEST(KnockTargets, AreWhereTheAskerIsOrSaysToBe) {
    struct Case {
        const char* what;
        ReachAsker asker;
        const char* expected;
    };
    const Case cases[] = {
        {"nothing known", {key(2), {}, {}}, ""},
        {"where it is seen, even a private address", {key(2), at("10.0.0.7:51820"), {}}, "10.0.0.7:51820"},
        {"each once",
         {key(2), at("198.51.100.7:1"), {at("198.51.100.7:1"), at("198.51.100.7:2")}},
         "198.51.100.7:1 198.51.100.7:2"},
        {"private ones that it announces are somebody else's here",
         {key(2),
          {},
          {at("192.168.1.1:51820"), at("100.64.0.1:51820"), at("[fd00::1]:51820"), at("203.0.113.1:5")}},
         "203.0.113.1:5"},
        {"nor those that are no host's",
         {key(2),
          {},
          {at("127.0.0.1:53"), at("224.0.0.1:53"), at("255.255.255.255:53"), at("169.254.169.254:80"),
           at("[ff02::1]:53"), at("[::1]:53"), at("0.0.0.0:53")}},
         ""},
        {"four at most",
         {key(2),
          at("198.51.100.7:1"),
          {at("203.0.113.1:5"), at("203.0.113.2:5"), at("203.0.113.3:5"), at("203.0.113.4:5")}},
         "198.51.100.7:1 203.0.113.1:5 203.0.113.2:5 203.0.113.3:5"},
    };
    for (const Case& one : cases) EXPECT_EQ(targets(one.asker), one.expected) << one.what;
}

TEST(ReachLimits, APeerHasAFewAndThenOneInFiveSeconds) {
    ReachLimits limits;
    for (int i = 0; i < static_cast<int>(ReachLimits::kBurst); ++i) EXPECT_TRUE(limits.take(key(2), kStart));
    EXPECT_FALSE(limits.take(key(2), kStart));
    EXPECT_FALSE(limits.take(key(2), kStart + Seconds(4)));
    EXPECT_TRUE(limits.take(key(2), kStart + Seconds(5)));
    EXPECT_FALSE(limits.take(key(2), kStart + Seconds(5)));
    EXPECT_TRUE(limits.take(key(3), kStart)) << "others have their own";
}

TEST(ReachLimits, AllTogetherAreBoundedToo) {
    ReachLimits limits;
    unsigned allowed = 0;
    for (std::uint8_t peer = 0; peer < 200; ++peer) allowed += limits.take(key(peer), kStart) ? 1 : 0;
    EXPECT_EQ(allowed, static_cast<unsigned>(ReachLimits::kAllBurst));
    allowed = 0;
    for (std::uint8_t peer = 0; peer < 200; ++peer)
        allowed += limits.take(key(peer), kStart + Seconds(2)) ? 1 : 0;
    EXPECT_EQ(allowed, static_cast<unsigned>(2 * ReachLimits::kAllPerSecond));
}

TEST(ReachLimits, ASpammerTakesNothingOfTheOthersShare) {
    ReachLimits limits;
    for (int i = 0; i < 1000; ++i) (void)limits.take(key(2), kStart);
    EXPECT_TRUE(limits.take(key(3), kStart));
}

TEST(ReachLimits, RemembersNobodyForLong) {
    ReachLimits limits;
    for (unsigned i = 0; i < 250; ++i) (void)limits.take(key(static_cast<std::uint8_t>(i)), kStart);
    (void)limits.take(key(1), kStart + Seconds(3600));
    EXPECT_LE(limits.remembered(), 2U);
}

TEST(ReachLimits, AClockThatRunsBackGivesNothingAway) {
    ReachLimits limits;
    for (int i = 0; i < 10; ++i) (void)limits.take(key(2), kStart);
    EXPECT_FALSE(limits.take(key(2), kStart - Seconds(100)));
    EXPECT_FALSE(limits.take(key(2), kStart));
}

TEST(ChooseAsked, OutsidersFirstThenDifferentAddresses) {
    const std::vector<ReachQuestion> all = {{"near", ip("200:1001::2"), at("192.168.1.2:51820")},
                                            {"far1", ip("200:1001::3"), at("203.0.113.1:1")},
                                            {"far1b", ip("200:1001::4"), at("203.0.113.1:2")},
                                            {"far2", ip("200:1001::5"), at("203.0.113.2:1")},
                                            {"near2", ip("200:1001::6"), at("192.168.1.3:51820")}};
    const auto names = [&](std::size_t most) {
        std::string text;
        for (const ReachQuestion& one : choose_asked(all, {net("192.168.1.0/24")}, most))
            text += (text.empty() ? "" : " ") + one.peer;
        return text;
    };
    EXPECT_EQ(names(8), "far1 far2 near near2 far1b");
    EXPECT_EQ(names(2), "far1 far2");
    EXPECT_EQ(names(0), "");
}

}  // namespace
}  // namespace wglan
