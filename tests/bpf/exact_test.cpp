// SPDX-License-Identifier: Apache-2.0
// The tables beside the tries: the same answers, whatever comes and goes.
#include <random>
#include <set>

#include <bpf/bpf.h>

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
    // Of IPv6.
    wglan_lengths lengths() const {
        wglan_lengths value{};
        EXPECT_EQ(bpf_map_lookup_elem(object().map_fd("wglan_lengths"), &kSlot, &value), 0);
        return value;
    }
    // Of IPv4.
    bool has_strides() const {
        std::uint32_t id = 0;
        return bpf_map_lookup_elem(object().map_fd("wglan_strides"), &kSlot, &id) == 0;
    }
    // The answer of the tries.
    std::vector<int> verdicts_without_tables(const std::vector<std::string>& destinations) {
        const int outer = object().map_fd("wglan_strides"), list = object().map_fd("wglan_lengths");
        const wglan_lengths none{}, before = lengths();
        std::uint32_t id = 0;
        UniqueFd strides;
        if (bpf_map_lookup_elem(outer, &kSlot, &id) == 0) strides.reset(bpf_map_get_fd_by_id(id));
        EXPECT_EQ(bpf_map_update_elem(list, &kSlot, &none, BPF_ANY), 0);
        if (strides.valid()) {
            EXPECT_EQ(bpf_map_delete_elem(outer, &kSlot), 0);
        }
        cache(true);
        std::vector<int> verdicts;
        for (const std::string& to : destinations) verdicts.push_back(verdict(to));
        EXPECT_EQ(bpf_map_update_elem(list, &kSlot, &before, BPF_ANY), 0);
        const int fd = strides.get();
        if (strides.valid()) {
            EXPECT_EQ(bpf_map_update_elem(outer, &kSlot, &fd, BPF_ANY), 0);
        }
        return verdicts;
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
    static constexpr std::uint32_t kSlot = 0;
    std::optional<SteeringMaps> maps_;
};

std::vector<int> listed(const wglan_lengths& lengths) {
    return {lengths.lengths, lengths.lengths + lengths.count};
}

}  // namespace

TEST_F(Exact, ComesWithManyRoutesAndGoesWithFew) {
    put_many(10);
    EXPECT_EQ(lengths().count, 0);
    EXPECT_FALSE(has_strides());
    put_many(60);
    EXPECT_TRUE(has_strides());
    EXPECT_EQ(listed(lengths()), (std::vector{32}));
    for (int i = 0; i < 60; ++i) EXPECT_EQ(verdict("10.20." + std::to_string(i) + ".7"), kRedirect) << i;
    EXPECT_EQ(verdict("10.20.60.7"), kNext);
    EXPECT_EQ(verdict("10.1.7.7"), kRedirect);
    EXPECT_EQ(verdict("fd20:59::7"), kRedirect);
    EXPECT_EQ(verdict("fd20:60::7"), kNext);

    ASSERT_TRUE(maps().put_routes({route_to("fd20:5::9/128", SteerAction::drop)}));
    EXPECT_EQ(listed(lengths()), (std::vector{128, 32}));
    EXPECT_EQ(verdict("fd20:5::9"), kDrop);
    EXPECT_EQ(verdict("fd20:5::8"), kRedirect);
    ASSERT_TRUE(maps().remove_routes({Prefix::parse("fd20:5::9/128").value()}));
    EXPECT_EQ(listed(lengths()), (std::vector{32}));
    EXPECT_EQ(verdict("fd20:5::9"), kRedirect);

    std::vector<Prefix> all;
    for (int i = 0; i < 60; ++i) {
        all.push_back(Prefix::parse("10.20." + std::to_string(i) + ".0/24").value());
        all.push_back(Prefix::parse("fd20:" + std::to_string(i) + "::/32").value());
    }
    ASSERT_TRUE(maps().remove_routes(all));
    EXPECT_FALSE(has_strides());
    EXPECT_EQ(lengths().count, 0);
    EXPECT_EQ(verdict("10.20.5.9"), kNext);
    EXPECT_EQ(verdict("10.1.7.7"), kRedirect);
    EXPECT_EQ(verdict("fd20:59::7"), kNext);
}

// What is around a route answers when it goes, in each stride.
TEST_F(Exact, StridesNest) {
    put_many(60);
    const std::pair<const char*, const char*> kNested[] = {
        {"0.0.0.0/0", "9.9.9.9"},        {"10.20.0.0/14", "10.21.9.9"},   {"10.20.0.0/16", "10.20.200.1"},
        {"10.20.7.0/24", "10.20.7.200"}, {"10.20.7.64/26", "10.20.7.70"}, {"10.20.7.96/32", "10.20.7.96"}};
    std::vector<int> expected;
    for (const auto& [prefix, inside] : kNested) {
        const bool drop = expected.size() % 2 == 0;
        ASSERT_TRUE(maps().put_routes({route_to(prefix, drop ? SteerAction::drop : SteerAction::steer)}));
        expected.push_back(drop ? kDrop : kRedirect);
        for (std::size_t i = 0; i < expected.size(); ++i)
            EXPECT_EQ(verdict(kNested[i].second), expected[i]) << prefix << " " << kNested[i].second;
    }
    ASSERT_TRUE(has_strides());
    // From the middle outwards, so that both narrower and wider ones are there still.
    for (const int gone : {3, 2, 4, 1, 5}) {
        ASSERT_TRUE(maps().remove_routes({Prefix::parse(kNested[gone].first).value()}));
        std::vector<std::string> places;
        for (const auto& [prefix, inside] : kNested) places.emplace_back(inside);
        std::vector<int> with;
        for (const auto& place : places) with.push_back(verdict(place));
        EXPECT_EQ(with, verdicts_without_tables(places)) << "without " << kNested[gone].first;
    }
    ASSERT_TRUE(has_strides());
    EXPECT_EQ(verdict("10.20.7.96"), kDrop);
}

TEST_F(Exact, GrowsBeyondItsRoom) {
    put_many(50);
    put_many(150, 50);
    ASSERT_EQ(lengths().count, 1);
    ASSERT_TRUE(has_strides());
    for (int i = 0; i < 200; ++i) {
        EXPECT_EQ(verdict("10.20." + std::to_string(i) + ".1"), kRedirect) << i;
        EXPECT_EQ(verdict("fd20:" + std::to_string(i) + "::1"), kRedirect) << i;
    }
    // A route's place isn't used again, so that the table fills up with what comes and goes too.
    for (int i = 0; i < 600; ++i) {
        const auto prefix = "10.21." + std::to_string(i % 250) + ".0/24";
        ASSERT_TRUE(maps().put_routes({route_to(prefix)}));
        EXPECT_EQ(verdict("10.21." + std::to_string(i % 250) + ".1"), kRedirect) << i;
        ASSERT_TRUE(maps().remove_routes({Prefix::parse(prefix).value()}));
        EXPECT_EQ(verdict("10.21." + std::to_string(i % 250) + ".1"), kNext) << i;
        ASSERT_TRUE(maps().heartbeat());
        EXPECT_TRUE(has_strides()) << i;
    }
}

TEST_F(Exact, IsForFewPrefixLengths) {
    put_many(60);
    for (const int length : {128, 127, 126, 125, 124, 123}) {
        ASSERT_TRUE(maps().put_routes({route_to("fd77::/" + std::to_string(length), SteerAction::drop)}));
        ASSERT_GT(lengths().count, 0) << length;
    }
    ASSERT_TRUE(maps().put_routes({route_to("fd77::/122", SteerAction::drop)}));
    EXPECT_EQ(lengths().count, 0);
    EXPECT_EQ(verdict("fd77::3f"), kDrop);
    EXPECT_EQ(verdict("fd20:5::9"), kRedirect);
}

TEST_F(Exact, AnAdoptersTablesAreMadeFromTheTries) {
    put_many(60);
    auto next = SteeringMaps::open(object(), kFrom);
    ASSERT_TRUE(next);
    ASSERT_TRUE(next->read());
    ASSERT_TRUE(next->heartbeat());
    EXPECT_TRUE(has_strides());
    EXPECT_EQ(listed(lengths()), (std::vector{32}));
    EXPECT_EQ(verdict("10.20.5.9"), kRedirect);
    EXPECT_EQ(verdict("fd20:5::9"), kRedirect);
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
        on += lengths().count > 0 && has_strides() ? 1 : 0;

        std::vector<std::string> places;
        std::vector<int> seen;
        for (int i = 0; i < 60; ++i) {
            places.push_back(some_prefix());
            places.back().resize(places.back().find('/'));
            seen.push_back(verdict(places.back()));
        }
        const auto by_tries = verdicts_without_tables(places);
        for (std::size_t i = 0; i < places.size(); ++i)
            EXPECT_EQ(seen[i], by_tries[i]) << places[i] << " in round " << round;
    }
    EXPECT_GT(on, 20);
}

}  // namespace wglan::test
