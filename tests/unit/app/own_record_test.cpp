// SPDX-License-Identifier: Apache-2.0
#include "agent/app/own_record.h"

#include <gtest/gtest.h>

#include "tests/support/samples.h"

namespace wglan {
namespace {

using namespace samples;

class ObservedEndpoints : public testing::Test {
protected:
    Peer& add(std::uint8_t number, const char* reached_at) {
        Peer peer;
        peer.name = "node" + std::to_string(number);
        peer.public_key = key(number);
        peer.candidates = {{where("192.0.2.2:51820"), CandidateSource::announced}};
        if (*reached_at != '\0') in_use[peer.public_key] = at(reached_at);
        peers.push_back(peer);
        return peers.back();
    }
    std::map<std::string, Endpoint> run() {
        return observed_endpoints(
            peers,
            [this](const PublicKey& key) -> std::optional<Endpoint> {
                const auto it = in_use.find(key);
                return it == in_use.end() ? std::nullopt : std::optional(it->second);
            },
            [](const HostPort& where) -> std::vector<Endpoint> {
                if (where.host == "node.example") return {at("203.0.113.5:1")};
                return {where.endpoint().value()};
            });
    }
    std::vector<Peer> peers;
    std::map<PublicKey, Endpoint> in_use;
};

TEST_F(ObservedEndpoints, AreThoseThatNobodyAnnounces) {
    add(2, "192.0.2.2:51820");     // as announced
    add(3, "198.51.100.7:40001");  // behind a NAT
    add(4, "");                    // down
    add(5, "[fe80::5]:51820");     // of use to nobody else
    add(6, "203.0.113.5:1").candidates = {{where("node.example:1"), CandidateSource::announced}};
    add(7, "198.51.100.8:1").agentless = true;
    // Its address is known, and its port was a guess.
    add(8, "198.51.100.9:51820").candidates = {{where("198.51.100.9:51820"), CandidateSource::observed}};
    EXPECT_EQ(run(), (std::map<std::string, Endpoint>{{to_string(key(3)), at("198.51.100.7:40001")},
                                                      {to_string(key(8)), at("198.51.100.9:51820")}}));
}

TEST_F(ObservedEndpoints, WhatOtherMembersSayIsNotAnnounced) {
    add(3, "198.51.100.7:40001").candidates = {{where("198.51.100.7:40001"), CandidateSource::peers}};
    EXPECT_EQ(run().size(), 1U) << "two that see a peer would take turns in keeping silent";
}

TEST_F(ObservedEndpoints, AreBounded) {
    for (int i = 0; i < 200; ++i) add(static_cast<std::uint8_t>(i + 2), "198.51.100.7:40001");
    EXPECT_EQ(run().size(), kMostObservedByUs);
}

TEST(TellsMore, OnlyNewOrOtherEndpointsAreNews) {
    const std::map<std::string, Endpoint> one{{"a", at("192.0.2.1:1")}};
    const std::map<std::string, Endpoint> other{{"a", at("192.0.2.1:2")}};
    const std::map<std::string, Endpoint> both{{"a", at("192.0.2.1:1")}, {"b", at("192.0.2.2:1")}};
    EXPECT_FALSE(tells_more(one, one));
    EXPECT_TRUE(tells_more(other, one));
    EXPECT_TRUE(tells_more(both, one));
    EXPECT_FALSE(tells_more(one, both)) << "what is gone is no news";
    EXPECT_FALSE(tells_more({}, one));
}

// When news is told that comes all the time, in seconds.
std::vector<int> told_times(NewsPace& pace, SteadyTime start, int seconds) {
    std::vector<int> times;
    for (int at = 0; at < seconds; ++at) {
        const SteadyTime now = start + Seconds(at);
        if (pace.next(now) > now + Milliseconds(100)) continue;
        pace.told(now);
        times.push_back(at);
    }
    return times;
}

TEST(NewsPace, IsFourInQuickSuccessionAndThenOneInTenSeconds) {
    NewsPace pace;
    const SteadyTime start{std::chrono::hours(1)};
    EXPECT_EQ(told_times(pace, start, 45), (std::vector<int>{0, 1, 2, 3, 10, 20, 30, 40}));
    EXPECT_EQ(told_times(pace, start + Seconds(60), 25), (std::vector<int>{0, 1, 10, 20}))
        << "what wasn't told since is saved up";
    EXPECT_EQ(told_times(pace, start + Seconds(600), 12), (std::vector<int>{0, 1, 2, 3, 10}));
}

TEST(NewsPace, LetsWhatComesTogetherGoTogether) {
    NewsPace pace;
    const SteadyTime start{std::chrono::hours(1)};
    EXPECT_EQ(pace.next(start), start + Milliseconds(100));
    EXPECT_EQ(pace.next(start + Milliseconds(60)), start + Milliseconds(100))
        << "others put it off no further";
    pace.told(start);
    EXPECT_EQ(pace.next(start), start + Seconds(1));
    pace.told(start + Seconds(1));
    EXPECT_EQ(pace.next(start + Seconds(5)), start + Seconds(5) + Milliseconds(100));
}

TEST(SeenBehindNat, OwnAddressesAreNoNat) {
    const std::vector<IpAddress> own{at("192.0.2.1:1").address, at("[2001:db8::1]:1").address};
    EXPECT_EQ(
        seen_behind_nat({at("192.0.2.1:40000"), at("198.51.100.1:51820"), at("[2001:db8::1]:51820")}, own),
        std::vector<Endpoint>{at("198.51.100.1:51820")});
    EXPECT_TRUE(seen_behind_nat({}, own).empty());
}

TEST(EndpointFilters, TheLastMatchDecides) {
    const auto filter = [](const char* text, bool exclude) { return EndpointFilter{net(text), exclude}; };
    const std::vector<EndpointFilter> filters{filter("0.0.0.0/0", false), filter("10.0.0.0/8", true),
                                              filter("10.1.0.0/16", false)};
    EXPECT_TRUE(endpoint_allowed(filters, ip("192.0.2.1")));
    EXPECT_FALSE(endpoint_allowed(filters, ip("10.2.0.1")));
    EXPECT_TRUE(endpoint_allowed(filters, ip("10.1.0.1")));
    EXPECT_FALSE(endpoint_allowed(filters, ip("2001:db8::1")));
    EXPECT_TRUE(endpoint_allowed({filter("10.0.0.0/8", true)}, ip("2001:db8::1")));
}

TEST(OwnRecord, AnnouncesAddressesWithThePortInUse) {
    Config config;
    config.node.name = "node1";
    config.node.pod_prefixes = {{net("10.244.1.0/24")}};
    config.advertise.endpoints = {where("gate.example:4500")};
    config.advertise.prefixes = {net("10.9.0.0/24"), net("10.8.0.0/24")};
    config.advertise.exclude_prefixes = {net("10.8.0.0/16"), net("2001:db8::/32")};
    config.advertise.endpoint_filters = {{net("0.0.0.0/0"), false}};
    HostFacts facts;
    facts.node_addresses = {ip("192.0.2.1"), ip("2001:db8::1")};
    const Record record = build_own_record(config, facts, key(1), identity(1), ip("200:1001::1"), 4000);
    EXPECT_EQ(record.endpoints, (std::vector<HostPort>{where("gate.example:4500"), where("192.0.2.1:4000")}));
    EXPECT_EQ(record.node_addresses, std::vector<IpAddress>{ip("192.0.2.1")});
    EXPECT_EQ(record.prefixes, std::vector<Prefix>{net("10.9.0.0/24")});
    EXPECT_EQ(record.pod_prefixes, std::vector<Prefix>{net("10.244.1.0/24")});
    config.pod_networking = false;
    EXPECT_TRUE(
        build_own_record(config, facts, key(1), identity(1), ip("200:1001::1"), 4000).pod_prefixes.empty());
}

}  // namespace
}  // namespace wglan
