// SPDX-License-Identifier: Apache-2.0
#include "agent/app/handshake_clones.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace wglan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Endpoint at(const char* text) { return Endpoint::parse(text).value(); }

// 192.0.2.0/24 and 2001:db8::/64 are on the link of device 2, 10.0.0.0/8 nowhere, all else by a gateway; by
// another one behind device 3 where the address begins with 203.
class FakeTable final : public CloneTable {
public:
    void put(const CloneList& list) override {
        lists.insert_or_assign(list.used, list);
        ++writes;
    }
    void remove(const Endpoint& used) override {
        EXPECT_EQ(lists.erase(used), 1U);
        ++writes;
    }
    Result<Route> route_to(const IpAddress& address) override {
        ++asked;
        const std::string text = address.to_string();
        if (text.starts_with("10.")) return fail(ErrorKind::not_found, "no route");
        Route route;
        route.ifindex = text.starts_with("203.") ? 3 : 2;
        route.preferred_source = IpAddress::parse(route.ifindex == 3 ? "198.18.0.1" : "192.0.2.1").value();
        if (!text.starts_with("192.0.2.") && !text.starts_with("2001:db8:"))
            route.gateway = IpAddress::parse(text.starts_with("203.") ? "198.18.0.9" : "192.0.2.254").value();
        return route;
    }
    std::map<Endpoint, CloneList> lists;
    int writes = 0, asked = 0;
};

class FakeOpener final : public WayOpener {
public:
    void open_way(const Endpoint& to) override { opened.push_back(to.to_string()); }
    std::vector<std::string> opened;
};

class Clones : public testing::Test {
protected:
    static PublicKey key(std::uint8_t number) {
        PublicKey made{};
        made.bytes[0] = number;
        return made;
    }
    void peer(std::uint8_t number, const std::vector<const char*>& endpoints) {
        PeerInput input;
        input.key = key(number);
        int worth = 100;
        for (const char* endpoint : endpoints)
            input.candidates.emplace_back(at(endpoint), CandidateSource::announced, worth--);
        inputs.push_back(input);
        manager.set_peers(inputs, now);
        clones.update_all(manager);
    }
    std::vector<std::string> others(const char* used) {
        std::vector<std::string> texts;
        const auto list = table.lists.find(at(used));
        if (list == table.lists.end()) return texts;
        for (const auto& other : list->second.others)
            texts.push_back(other.endpoint.to_string() + (other.same_way ? " same way" : "") +
                            (other.source ? " from " + other.source->to_string() : ""));
        return texts;
    }

    SteadyTime now{std::chrono::hours(1)};
    PeerManager manager{[] { return 0.5; }};
    FakeTable table;
    FakeOpener opener;
    HandshakeClones clones{table, opener};
    std::vector<PeerInput> inputs;
};

TEST_F(Clones, GoToTheOthersOfTheFamily) {
    peer(1, {"198.51.100.1:1", "198.51.100.2:2", "[2001:4860::1]:3", "192.0.2.7:4", "203.0.113.1:5",
             "10.0.0.1:6"});
    EXPECT_THAT(others("198.51.100.1:1"),
                ElementsAre("198.51.100.2:2 same way", "192.0.2.7:4", "203.0.113.1:5 from 198.18.0.1"));
}

TEST_F(Clones, OfALinkHaveNoWayInCommon) {
    peer(1, {"192.0.2.7:4", "192.0.2.8:4"});
    EXPECT_THAT(others("192.0.2.7:4"), ElementsAre("192.0.2.8:4"));
}

TEST_F(Clones, AreNoneForAPeerWithOnePlace) {
    peer(1, {"198.51.100.1:1"});
    peer(2, {"198.51.100.2:1", "[2001:4860::1]:3"});
    peer(3, {});
    EXPECT_THAT(table.lists, IsEmpty());
}

TEST_F(Clones, AreWrittenOnce) {
    peer(1, {"198.51.100.1:1", "198.51.100.2:2"});
    const int writes = table.writes, asked = table.asked;
    clones.update_all(manager);
    clones.update(manager, key(1));
    EXPECT_EQ(table.writes, writes);
    EXPECT_EQ(table.asked, asked);
    clones.network_changed();
    clones.update_all(manager);
    EXPECT_EQ(table.writes, writes);
    EXPECT_GT(table.asked, asked);
}

TEST_F(Clones, EndWithTheSearch) {
    peer(1, {"198.51.100.1:1", "198.51.100.2:2"});
    peer(2, {"198.51.100.3:1", "198.51.100.4:2"});
    WgObservedPeer seen;
    seen.peer.key = key(1);
    seen.peer.endpoint = at("198.51.100.2:2");
    seen.stats.last_handshake = 1'700'000'000;
    seen.stats.rx_bytes = 92;
    manager.observe(seen, now, 1'700'000'001);
    (void)manager.tick(now, 1'700'000'001);
    ASSERT_TRUE(manager.alive(key(1)));
    clones.update(manager, key(1));
    EXPECT_THAT(others("198.51.100.1:1"), IsEmpty());
    EXPECT_EQ(table.lists.size(), 1U);
    inputs.erase(inputs.begin(), inputs.end());
    manager.set_peers(inputs, now);
    clones.update_all(manager);
    EXPECT_THAT(table.lists, IsEmpty());
}

TEST_F(Clones, TellWhatAFirstInitiationCannotReach) {
    peer(1, {"198.51.100.1:1", "192.0.2.7:4"});
    peer(2, {"198.51.100.2:1", "[2001:4860::1]:3"});
    peer(3, {"198.51.100.3:1", "198.51.100.4:1"});
    const auto incomplete = clones.take_incomplete();
    ASSERT_EQ(incomplete.size(), 2U);
    EXPECT_EQ(incomplete[0].key, key(1));
    EXPECT_THAT(incomplete[0].neighbours, ElementsAre(std::pair(2, IpAddress::parse("192.0.2.7").value())));
    EXPECT_TRUE(incomplete[0].own_family);
    EXPECT_FALSE(incomplete[0].other_family);
    EXPECT_EQ(incomplete[1].key, key(2));
    EXPECT_THAT(incomplete[1].neighbours, IsEmpty());
    EXPECT_TRUE(incomplete[1].other_family);
    clones.update_all(manager);
    EXPECT_THAT(clones.take_incomplete(), IsEmpty());
}

TEST_F(Clones, AreTriedASecondTimeInEachSearchAndRound) {
    peer(1, {"198.51.100.1:1", "192.0.2.7:4"});
    EXPECT_EQ(clones.take_incomplete().size(), 1U);
    manager.restart_searches(now);  // an address of this host changed, say
    clones.update_all(manager);
    EXPECT_EQ(clones.take_incomplete().size(), 1U);
    clones.update_all(manager);
    EXPECT_THAT(clones.take_incomplete(), IsEmpty());
    std::size_t rounds = 0;
    for (int i = 0; i < 300; ++i) {
        now += Milliseconds(100);
        (void)manager.tick(now, 1'700'000'000);
        clones.update(manager, key(1));
        rounds += clones.take_incomplete().size();
    }
    EXPECT_EQ(rounds, 2U) << "of two candidates, 5.6 s each, and a pause";
}

TEST_F(Clones, NatsAreOpenedWhereARouterComesFirst) {
    peer(1, {"198.51.100.1:1", "192.0.2.7:4", "[2001:4860::1]:3", "203.0.113.1:5", "10.0.0.1:6"});
    EXPECT_THAT(opener.opened, ElementsAre("198.51.100.1:1", "203.0.113.1:5"));
    clones.update_all(manager);
    EXPECT_EQ(opener.opened.size(), 2U) << "once";
    manager.restart_searches(now);
    clones.update_all(manager);
    EXPECT_EQ(opener.opened.size(), 4U) << "in each search";
}

TEST_F(Clones, NeighboursOfTheOtherFamilyAreAskedForToo) {
    peer(1, {"198.51.100.1:1", "[2001:db8::7]:3"});
    const auto incomplete = clones.take_incomplete();
    ASSERT_EQ(incomplete.size(), 1U);
    EXPECT_THAT(incomplete[0].neighbours, ElementsAre(std::pair(2, IpAddress::parse("2001:db8::7").value())));
    EXPECT_FALSE(incomplete[0].own_family) << "the first initiation leaves";
    EXPECT_TRUE(incomplete[0].other_family);
}

TEST_F(Clones, OfDataWhileABetterPathIsTried) {
    manager.set_probing(true);
    peer(1, {"192.0.2.7:1", "198.51.100.1:1", "198.51.100.3:1", "198.51.100.4:1", "198.51.100.2:1"});
    inputs[0].address = IpAddress::parse("200:1001::1").value();
    manager.set_peers(inputs, now);
    WgObservedPeer seen;
    seen.peer.key = key(1);
    seen.peer.endpoint = at("198.51.100.2:1");
    seen.stats.last_handshake = 1'700'000'000;
    seen.stats.rx_bytes = 92;
    bool tried = false;
    for (int step = 0; step < 400; ++step) {
        now += Milliseconds(50);
        manager.observe(seen, now, 1'700'000'001);
        (void)manager.tick(now, 1'700'000'001);
        for (const Probe& probe : manager.take_probes()) manager.echoed(probe.number, now);
        for (const PublicKey& changed : manager.take_copy_changes()) clones.update(manager, changed);
        if (const auto list = table.lists.find(at("198.51.100.2:1")); list != table.lists.end()) {
            tried = true;
            EXPECT_EQ(list->second.what, CloneList::What::data);
        }
    }
    EXPECT_TRUE(tried);
    EXPECT_THAT(table.lists, IsEmpty()) << "for a moment";
    ASSERT_TRUE(manager.alive(key(1)));
}

TEST_F(Clones, BeginWhereAnInitiationLeavesThisHost) {
    peer(1, {"192.0.2.7:1", "192.0.2.8:2", "198.51.100.1:3", "[2001:db8::7]:4", "[2001:4860::1]:5"});
    const auto carrier = [&](bool other_family, const std::set<std::string>& dead) {
        const auto found =
            clones.carrier(manager, key(1), other_family, [&](int, const IpAddress& address, bool gateway) {
                EXPECT_EQ(gateway, address.to_string() == "192.0.2.254");
                return !dead.contains(address.to_string());
            });
        return found ? found->to_string() : "";
    };
    EXPECT_EQ(carrier(false, {}), "192.0.2.7:1");
    EXPECT_EQ(carrier(false, {"192.0.2.7"}), "192.0.2.8:2");
    EXPECT_EQ(carrier(false, {"192.0.2.7", "192.0.2.8"}), "198.51.100.1:3");
    EXPECT_EQ(carrier(false, {"192.0.2.7", "192.0.2.8", "192.0.2.254"}), "");
    EXPECT_EQ(carrier(true, {}), "[2001:db8::7]:4");
    EXPECT_EQ(carrier(true, {"2001:db8::7"}), "[2001:4860::1]:5");
}

}  // namespace
}  // namespace wglan
