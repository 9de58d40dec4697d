// SPDX-License-Identifier: Apache-2.0
// Every look-up counts once, for the route that answered it.
#include <random>
#include <tuple>

#include <fmt/format.h>

#include "agent/dataplane/hub.h"
#include "agent/dataplane/steering_maps.h"
#include "tests/bpf/steer_fixture.h"

namespace wglan::test {

namespace {

constexpr std::size_t kFrom = 40;  // routes from which on there are tables beside the tries

class Hits : public Steer {
protected:
    void SetUp() override {
        Steer::SetUp();
        if (HasFatalFailure()) return;
        auto maps = SteeringMaps::open(object(), kFrom);
        ASSERT_TRUE(maps) << maps.error().message();
        maps_ = std::move(*maps);
    }
    void TearDown() override {
        maps_.reset();
        Steer::TearDown();
    }
    static SteerRoute to(const std::string& prefix, SteerAction action = SteerAction::steer) {
        return {Prefix::parse(prefix).value(), action, action == SteerAction::steer ? kPeer : 0};
    }
    void put(const std::vector<SteerRoute>& routes) { ASSERT_TRUE(maps().put_routes(routes)); }
    void remove(const std::string& prefix) {
        ASSERT_TRUE(maps().remove_routes({Prefix::parse(prefix).value()}));
    }
    void send(const std::string& destination, int times = 1) {
        const bool v4 = destination.find(':') == std::string::npos;
        const Bytes packet =
            frame({.source = v4 ? "192.0.2.1" : "2001:db8:1::1", .destination = destination});
        for (int i = 0; i < times; ++i) run(packet);
    }
    std::uint64_t hits(const std::string& prefix) {
        const auto all = maps().hits();
        EXPECT_TRUE(all);
        const auto it = all->find(Prefix::parse(prefix).value());
        return it == all->end() ? ~std::uint64_t{0} : it->second;
    }
    SteeringMaps& maps() { return *maps_; }

private:
    std::optional<SteeringMaps> maps_;
};

}  // namespace

TEST_F(Hits, AreCountedForTheLongestPrefix) {
    for (const auto& [wide, narrow, address, other] :
         {std::tuple{"10.1.0.0/16", "10.1.2.0/24", "10.1.2.3", "10.1.9.9"},
          {"fd01::/32", "fd01:0:7::/48", "fd01:0:7::3", "fd01:0:9::9"}}) {
        send(address, 10);
        EXPECT_EQ(hits(wide), 10U);
        put({to(narrow)});
        send(address, 5);
        send(other, 2);
        EXPECT_EQ(hits(wide), 12U);
        EXPECT_EQ(hits(narrow), 5U);
        remove(narrow);
        send(address);
        EXPECT_EQ(hits(wide), 13U);
        EXPECT_EQ(hits(narrow), ~std::uint64_t{0});
    }
}

TEST_F(Hits, CountWhateverBecomesOfThePacket) {
    put({to("10.7.0.0/16", SteerAction::drop), to("10.8.0.0/16", SteerAction::pass), to("0.0.0.0/0")});
    send("10.7.1.1", 3);
    send("10.8.1.1", 4);
    send("203.0.113.1", 5);
    EXPECT_EQ(hits("10.7.0.0/16"), 3U);
    EXPECT_EQ(hits("10.8.0.0/16"), 4U);
    EXPECT_EQ(hits("0.0.0.0/0"), 5U);
    EXPECT_EQ(hits("10.1.0.0/16"), 0U);
}

TEST_F(Hits, WhatNobodyHasIsNobodysLater) {
    send("10.7.1.1", 3);
    put({to("10.7.0.0/16")});
    send("10.7.1.1", 2);
    EXPECT_EQ(hits("10.7.0.0/16"), 2U);
}

TEST_F(Hits, BeginAnewWithTheRoute) {
    send("10.1.1.1", 3);
    put({to("10.1.0.0/16")});
    put({to("10.9.0.0/16")});
    EXPECT_LE(hits("10.1.0.0/16"), 3U);  // what a slot still held
    remove("10.1.0.0/16");
    put({to("10.2.0.0/16")});
    send("10.1.1.1");
    put({to("10.1.0.0/16")});
    EXPECT_EQ(hits("10.1.0.0/16"), 0U);
}

TEST_F(Hits, WithoutKeptAnswers) {
    cache(false);
    send("10.1.1.1", 3);
    cache(true);
    send("10.1.1.1", 3);
    EXPECT_EQ(hits("10.1.0.0/16"), 6U);
}

TEST_F(Hits, OutliveTheTablesBesideTheTries) {
    std::vector<SteerRoute> many;
    for (int i = 0; i < 60; ++i) many.push_back(to("10.20." + std::to_string(i) + ".0/24"));
    put(many);
    send("10.20.5.5", 3);
    ASSERT_TRUE(maps().heartbeat());  // here they are made
    send("10.20.5.5", 4);
    EXPECT_EQ(hits("10.20.5.0/24"), 7U);
    for (int i = 60; i < 200; ++i) {
        put({to("10.20." + std::to_string(i) + ".0/24")});
        ASSERT_TRUE(maps().heartbeat());
        if (i % 10 == 0) send("10.20.5.5");
    }
    EXPECT_EQ(hits("10.20.5.0/24"), 21U);
    for (int i = 10; i < 200; ++i) remove("10.20." + std::to_string(i) + ".0/24");
    send("10.20.5.5");
    EXPECT_EQ(hits("10.20.5.0/24"), 22U);
    remove("10.20.5.0/24");
    put({to("10.20.5.0/24")});
    EXPECT_EQ(hits("10.20.5.0/24"), 0U);
}

TEST_F(Hits, OutliveTheirAgent) {
    send("10.1.1.1", 5);
    auto next = SteeringMaps::open(object(), kFrom);
    ASSERT_TRUE(next);
    send("10.1.1.1", 2);
    EXPECT_EQ(next->hits()->at(Prefix::parse("10.1.0.0/16").value()), 7U);
}

// More destinations than slots: they push each other out, and nothing is lost.
TEST_F(Hits, AddUpWhateverIsPushedOut) {
    std::mt19937 random(5);
    const auto any = [&](int below) { return std::uniform_int_distribution<int>(0, below - 1)(random); };
    put({to("10.30.0.0/16"), to("10.31.0.0/16"), to("fd30::/32")});
    std::uint64_t sent[3] = {};
    for (int i = 0; i < 12'000; ++i) {
        const int which = any(3);
        const int host = any(2) == 0 ? any(20) : any(60'000);
        ++sent[which];
        send(which == 2 ? fmt::format("fd30::{:x}", host + 1)
                        : fmt::format("10.{}.{}.{}", 30 + which, host / 256, host % 256));
        if (any(500) == 0) put({to("10.40.0.0/16")});  // another generation
    }
    EXPECT_EQ(hits("10.30.0.0/16"), sent[0]);
    EXPECT_EQ(hits("10.31.0.0/16"), sent[1]);
    EXPECT_EQ(hits("fd30::/32"), sent[2]);
}

// A packet that one program leaves to the stack meets another one, which counts it then.
TEST_F(Hits, OnceWhereTwoProgramsLook) {
    auto hub = HubObject::load([this](const char* name) { return object().map_fd(name); });
    if (!hub) GTEST_SKIP() << hub.error().message();
    constexpr PeerId kOther = 9;
    ASSERT_TRUE(object().tables().peer_stats.ensure(kOther));
    ASSERT_TRUE(maps().put_peers({{kOther, {}, PeerState::up, Fallback::bypass, Fallback::drop, "other"}}));
    put({{Prefix::parse("10.9.0.0/16").value(), SteerAction::steer, kOther}});
    const How at_ingress{.fd = hub->program().fd, .ifindex = tunnel().ifindex()};
    Ip packet{.source = "8.0.0.1", .destination = "10.9.1.1", .transport = udp(1000, 2000)};
    for (int i = 0; i < 3; ++i) EXPECT_EQ(run(packet.bytes(), at_ingress).verdict, kRedirect);
    packet.ttl = 1;
    for (int i = 0; i < 4; ++i) EXPECT_EQ(run(packet.bytes(), at_ingress).verdict, kNext);
    packet.destination = "10.9.2.2";
    EXPECT_EQ(run(packet.bytes(), at_ingress).verdict, kNext);
    EXPECT_EQ(hits("10.9.0.0/16"), 3U);
    EXPECT_EQ(hits("8.0.0.0/16"), 8U);
}

}  // namespace wglan::test
