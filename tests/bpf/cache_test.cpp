// SPDX-License-Identifier: Apache-2.0
// Answers of the tries are kept for one generation, and never for another.
#include <random>

#include "maps/convert.h"
#include "tests/bpf/steer_fixture.h"

namespace wglan::test {

namespace {

Bytes to(const std::string& destination) {
    const bool v4 = destination.find(':') == std::string::npos;
    return frame({.source = v4 ? "192.0.2.1" : "2001:db8:1::1", .destination = destination});
}

}  // namespace

TEST_F(Steer, KeepsAnswersForOneGeneration) {
    for (const auto& [prefix, destination] :
         {std::pair{"10.7.0.0/16", "10.7.1.1"}, {"fd07::/32", "fd07::1"}}) {
        cache(true);
        expect_untouched(to(destination), kNext);  // a miss is kept too
        const auto parsed = Prefix::parse(prefix);
        const auto value = encode_route({*parsed, SteerAction::steer, kPeer, 0});
        ASSERT_TRUE(parsed->family() == Family::v4 ? object().tables().route4.put(to_key4(*parsed), value)
                                                   : object().tables().route6.put(to_key6(*parsed), value));
        expect_untouched(to(destination), kNext);
        route(prefix, SteerAction::steer, kPeer);  // the same, and a new generation
        EXPECT_EQ(run(to(destination)).verdict, kRedirect);
        ASSERT_TRUE(parsed->family() == Family::v4 ? object().tables().route4.remove(to_key4(*parsed))
                                                   : object().tables().route6.remove(to_key6(*parsed)));
        EXPECT_EQ(run(to(destination)).verdict, kRedirect);
        cache(false);
        expect_untouched(to(destination), kNext);
    }
}

// The same sixteen bytes, in an IPv6 header: nobody's, and no answer for the other family.
TEST_F(Steer, MappedAddressesInIpv6HeadersArentIpv4) {
    for (const bool cached : {true, false}) {
        cache(cached);
        expect_untouched(to("::ffff:10.1.2.3"), kNext);
        EXPECT_EQ(run(to("10.1.2.3")).verdict, kRedirect);
        expect_untouched(to("::ffff:10.1.2.3"), kNext);
        EXPECT_EQ(run(to("10.1.2.4")).verdict, kRedirect);
        expect_untouched(to("::ffff:10.1.2.4"), kNext);
    }
    // Not even by a default route.
    route("::/0", SteerAction::steer, kPeer);
    expect_untouched(to("::ffff:10.1.2.3"), kNext);
}

TEST_F(Steer, APeersStateHoldsFromTheNextGeneration) {
    EXPECT_EQ(run(to("10.1.2.3")).verdict, kRedirect);
    peer(PeerState::down);
    EXPECT_EQ(run(to("10.1.2.3")).verdict, kDrop);
    peer(PeerState::up);
    EXPECT_EQ(run(to("10.1.2.3")).verdict, kRedirect);
}

TEST_F(Steer, CountsByKeptAnswers) {
    for (int i = 0; i < 3; ++i) {
        const Bytes inner = Ip{.source = "8.0.0.1", .destination = "8.0.3.4"}.bytes();
        EXPECT_EQ(run(inner, {.program = "wglan_tun_out"}).verdict, kNext);
    }
    EXPECT_EQ(peer_counters().tx_packets, 3U);
}

// More destinations than slots, so that they push each other out, while routes come and go.
TEST_F(Steer, AnswersTheSameWithAndWithoutCache) {
    std::mt19937 random(7);
    const auto any = [&](unsigned below) {
        return std::uniform_int_distribution<unsigned>(0, below - 1)(random);
    };
    const auto verdict_of = [&](const Bytes& packet) { return run(packet).verdict; };
    for (int round = 0; round < 60; ++round) {
        const std::string net = "10.9." + std::to_string(any(8)) + ".0/24";
        route(net,
              any(2) == 0   ? SteerAction::steer
              : any(2) == 0 ? SteerAction::pass
                            : SteerAction::drop,
              kPeer);
        std::vector<std::pair<Bytes, int>> seen;
        for (int i = 0; i < 200; ++i) {
            const Bytes packet =
                any(3) == 0 ? to("fd0" + std::to_string(1 + any(3)) + "::" + std::to_string(any(5000)))
                            : to("10.9." + std::to_string(any(9)) + "." + std::to_string(1 + any(250)));
            seen.emplace_back(packet, verdict_of(packet));
        }
        for (const auto& [packet, verdict] : seen) ASSERT_EQ(verdict_of(packet), verdict) << hex(packet);
        cache(false);
        for (const auto& [packet, verdict] : seen) ASSERT_EQ(verdict_of(packet), verdict) << hex(packet);
        cache(true);
    }
}

}  // namespace wglan::test
