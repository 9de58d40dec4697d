// SPDX-License-Identifier: Apache-2.0
// The hash tables beside the tries: the same answers, whatever comes and goes.
#include <random>
#include <set>

#include "agent/dataplane/steering_maps.h"
#include "tests/bpf/steer_fixture.h"

namespace wglan::test {

namespace {

constexpr std::size_t kFrom = 40;  // routes from which on there are tables

class Exact : public Steer {
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
    wglan_lengths lengths(std::uint32_t family = 0) const {
        wglan_lengths value{};
        const RawTable table(duplicate(object().map_fd("wglan_lengths")).value(), "wglan_lengths", 4, 8);
        EXPECT_TRUE(table.get(&family, &value));
        return value;
    }
    static SteerRoute route_to(const std::string& prefix, SteerAction action = SteerAction::steer) {
        return {Prefix::parse(prefix).value(), action, action == SteerAction::steer ? kPeer : 0};
    }
    int verdict(const std::string& destination) {
        const bool v4 = destination.find(':') == std::string::npos;
        return run(frame({.source = v4 ? "192.0.2.1" : "2001:db8:1::1", .destination = destination})).verdict;
    }
    void put_many(int count, int first = 0) {
        std::vector<SteerRoute> routes;
        for (int i = first; i < first + count; ++i) {
            routes.push_back(route_to("10.20." + std::to_string(i) + ".0/24"));
            routes.push_back(route_to("fd20:" + std::to_string(i) + "::/32"));
        }
        ASSERT_TRUE(maps().put_routes(routes));
        ASSERT_TRUE(maps().heartbeat());
    }
    SteeringMaps& maps() { return *maps_; }

private:
    std::optional<SteeringMaps> maps_;
};

std::vector<int> listed(const wglan_lengths& lengths) {
    return {lengths.lengths, lengths.lengths + lengths.count};
}

}  // namespace

TEST_F(Exact, ComesWithManyRoutesAndGoesWithFew) {
    put_many(10);
    EXPECT_EQ(lengths().count, 0);
    put_many(60);
    EXPECT_EQ(listed(lengths(0)), (std::vector{24, 16}));
    EXPECT_EQ(listed(lengths(1)), (std::vector{32}));
    for (int i = 0; i < 60; ++i) EXPECT_EQ(verdict("10.20." + std::to_string(i) + ".7"), kRedirect) << i;
    EXPECT_EQ(verdict("10.20.60.7"), kNext);
    EXPECT_EQ(verdict("10.1.7.7"), kRedirect);
    EXPECT_EQ(verdict("fd20:59::7"), kRedirect);
    EXPECT_EQ(verdict("fd20:60::7"), kNext);

    ASSERT_TRUE(maps().put_routes({route_to("10.20.5.9/32", SteerAction::drop)}));
    EXPECT_EQ(listed(lengths()), (std::vector{32, 24, 16}));
    EXPECT_EQ(verdict("10.20.5.9"), kDrop);
    EXPECT_EQ(verdict("10.20.5.8"), kRedirect);
    ASSERT_TRUE(maps().remove_routes({Prefix::parse("10.20.5.9/32").value()}));
    EXPECT_EQ(listed(lengths()), (std::vector{24, 16}));
    EXPECT_EQ(verdict("10.20.5.9"), kRedirect);

    std::vector<Prefix> all;
    for (int i = 0; i < 60; ++i) all.push_back(Prefix::parse("10.20." + std::to_string(i) + ".0/24").value());
    ASSERT_TRUE(maps().remove_routes(all));
    EXPECT_EQ(lengths(0).count, 0);
    EXPECT_EQ(lengths(1).count, 1);
    EXPECT_EQ(verdict("10.20.5.9"), kNext);
    EXPECT_EQ(verdict("10.1.7.7"), kRedirect);
}

TEST_F(Exact, GrowsBeyondItsRoom) {
    put_many(50);
    put_many(150, 50);
    ASSERT_EQ(lengths().count, 2);
    for (int i = 0; i < 200; ++i) EXPECT_EQ(verdict("10.20." + std::to_string(i) + ".1"), kRedirect) << i;
}

TEST_F(Exact, IsForFewPrefixLengths) {
    put_many(60);
    for (const int length : {32, 31, 30, 29, 28}) {
        ASSERT_TRUE(maps().put_routes({route_to("10.77.0.0/" + std::to_string(length), SteerAction::drop)}));
        ASSERT_GT(lengths().count, 0) << length;
    }
    ASSERT_TRUE(maps().put_routes({route_to("10.77.0.0/27", SteerAction::drop)}));
    EXPECT_EQ(lengths().count, 0);
    EXPECT_EQ(verdict("10.77.0.31"), kDrop);
    EXPECT_EQ(verdict("10.20.5.9"), kRedirect);
}

TEST_F(Exact, AnAdoptersTablesAreMadeFromTheTries) {
    put_many(60);
    auto next = SteeringMaps::open(object(), kFrom);
    ASSERT_TRUE(next);
    ASSERT_TRUE(next->read());
    ASSERT_TRUE(next->heartbeat());
    EXPECT_EQ(listed(lengths()), (std::vector{24, 16}));
    EXPECT_EQ(verdict("10.20.5.9"), kRedirect);
}

// Both structures get the same random changes of nested prefixes; the answers come first from the tables,
// then from the tries alone.
TEST_F(Exact, AnswersAsTheTriesDo) {
    std::mt19937 random(11);
    const auto any = [&](int below) { return std::uniform_int_distribution<int>(0, below - 1)(random); };
    const auto some_prefix = [&] {
        static constexpr int kLengths4[] = {8, 12, 20, 24, 28, 32}, kLengths6[] = {0, 16, 48, 64, 65, 128};
        if (any(2) == 0)
            return "10." + std::to_string(any(2) * 16) + "." + std::to_string(any(20) * 8) + "." +
                   std::to_string(any(4) * 16) + "/" + std::to_string(kLengths4[any(6)]);
        return "fd0" + std::to_string(any(2)) + ":0:" + std::to_string(any(40)) + ":" +
               std::to_string(any(2)) + ":" + std::to_string(any(2) * 8000) + "::/" +
               std::to_string(kLengths6[any(6)]);
    };
    const auto parsed = [](const std::string& text) {
        const auto slash = text.find('/');
        const auto address = IpAddress::parse(text.substr(0, slash)).value();
        return Prefix::make(address, static_cast<unsigned>(std::stoi(text.substr(slash + 1)))).value();
    };
    std::set<Prefix> present;
    int on = 0;
    for (int round = 0; round < 40; ++round) {
        std::vector<SteerRoute> put;
        for (int i = 0; i < 30; ++i) {
            const auto prefix = parsed(some_prefix());
            const auto action = any(3) == 0 ? SteerAction::drop : SteerAction::steer;
            put.push_back({prefix, action, action == SteerAction::steer ? kPeer : 0});
            present.insert(prefix);
        }
        ASSERT_TRUE(maps().put_routes(put));
        ASSERT_TRUE(maps().heartbeat());
        std::vector<Prefix> gone;
        for (const Prefix& prefix : present)
            if (any(6) == 0) gone.push_back(prefix);
        for (const Prefix& prefix : gone) present.erase(prefix);
        ASSERT_TRUE(maps().remove_routes(gone));
        on += lengths(0).count > 0 ? 1 : 0;

        std::vector<std::pair<std::string, int>> seen;
        for (int i = 0; i < 60; ++i) {
            std::string to = some_prefix();
            to.resize(to.find('/'));
            seen.emplace_back(to, verdict(to));
        }
        const wglan_lengths none{};
        const wglan_lengths before[] = {lengths(0), lengths(1)};
        const RawTable table(duplicate(object().map_fd("wglan_lengths")).value(), "wglan_lengths", 4, 8);
        for (std::uint32_t family = 0; family < 2; ++family) ASSERT_TRUE(table.put(&family, &none, 0));
        cache(true);
        for (const auto& [to, was] : seen) EXPECT_EQ(verdict(to), was) << to << " in round " << round;
        for (std::uint32_t family = 0; family < 2; ++family)
            ASSERT_TRUE(table.put(&family, &before[family], 0));
    }
    EXPECT_GT(on, 20);
}

}  // namespace wglan::test
