// SPDX-License-Identifier: Apache-2.0
#include "agent/peers/peer_manager.h"

#include <gtest/gtest.h>

#include "tests/support/samples.h"

namespace wglan {
namespace {

using namespace samples;

class PeerManagerTest : public testing::Test {
protected:
    void step(Milliseconds time) {
        now += time;
        unix_ms += time.count();
        manager.tick(now, unix_ms / 1000);
    }
    void add(std::vector<Endpoint> candidates) {
        PeerInput input;
        input.key = key(2);
        input.candidates.assign(candidates.begin(), candidates.end());
        inputs.push_back(input);
        manager.set_peers(inputs, now);
    }
    // A dump of the device.
    void seen(std::uint8_t number = 2) {
        WgObservedPeer peer;
        peer.peer.key = key(number);
        peer.peer.endpoint = endpoint;
        peer.stats = stats;
        manager.observe(peer, now, unix_ms / 1000);
    }
    void handshake() {
        stats.last_handshake = unix_ms / 1000;
        stats.rx_bytes += 92;
        stats.tx_bytes += 148;
        seen();
        manager.tick(now, unix_ms / 1000);
    }

    std::vector<PeerInput> inputs;
    std::optional<Endpoint> endpoint = at("192.0.2.2:51820");
    WgPeerStats stats;
    SteadyTime now = SteadyTime{} + Seconds(1000);
    std::int64_t unix_ms = 1'700'000'000'000;
    PeerManager manager{[] { return 0.5; }};
};

TEST_F(PeerManagerTest, IsUnknownUntilTheFirstHandshake) {
    add({at("192.0.2.2:51820")});
    EXPECT_EQ(manager.state(key(2)), PeerState::unknown);
    EXPECT_EQ(manager.wanted_endpoint(key(2)), at("192.0.2.2:51820"));
    EXPECT_TRUE(manager.searching());
    handshake();
    EXPECT_EQ(manager.state(key(2)), PeerState::up);
    EXPECT_EQ(manager.wanted_endpoint(key(2)), std::nullopt) << "roaming is WireGuard's";
    EXPECT_FALSE(manager.searching());
}

TEST_F(PeerManagerTest, TriesEveryCandidateIncludingTheLast) {
    add({at("192.0.2.2:1"), at("192.0.2.2:2"), at("192.0.2.2:3")});
    std::vector<std::uint16_t> ports;
    for (int i = 0; i < 400; ++i) {
        const auto wanted = manager.wanted_endpoint(key(2));
        ASSERT_TRUE(wanted);
        if (ports.empty() || ports.back() != wanted->port) ports.push_back(wanted->port);
        step(Milliseconds(100));
    }
    ASSERT_GE(ports.size(), 6U) << "it goes on for ever";
    EXPECT_EQ(std::vector<std::uint16_t>(ports.begin(), ports.begin() + 6),
              (std::vector<std::uint16_t>{1, 2, 3, 1, 2, 3}));
}

TEST_F(PeerManagerTest, GivesWireGuardTimeForOneInitiationACandidate) {
    add({at("192.0.2.2:1"), at("192.0.2.2:2")});
    step(Milliseconds(5500));
    EXPECT_EQ(manager.wanted_endpoint(key(2))->port, 1);
    step(Milliseconds(200));
    EXPECT_EQ(manager.wanted_endpoint(key(2))->port, 2);
}

TEST_F(PeerManagerTest, PausesBetweenRoundsLongerEachTimeUpToALimit) {
    add({at("192.0.2.2:1")});
    std::vector<std::int64_t> pauses;
    std::optional<SteadyTime> previous;
    for (int i = 0; i < 20000 && pauses.size() < 16; ++i) {
        const auto next = manager.status(key(2))->next_try;
        if (next && next != previous)
            pauses.push_back(std::chrono::duration_cast<Milliseconds>(*next - now).count());
        previous = next;
        step(Milliseconds(50));
    }
    ASSERT_GE(pauses.size(), 16U);
    for (const auto pause : pauses) EXPECT_LE(pause, 30000);
    EXPECT_GT(*std::max_element(pauses.begin(), pauses.end()), 15000);
}

TEST_F(PeerManagerTest, AChangeOfTheWorldStartsOver) {
    add({at("192.0.2.2:1"), at("192.0.2.2:2")});
    step(Milliseconds(6000));
    step(Milliseconds(6000));
    manager.restart_searches(now);
    seen();
    EXPECT_EQ(manager.wanted_endpoint(key(2))->port, 1);
}

TEST_F(PeerManagerTest, KeepsARoamedEndpointWhileUp) {
    add({at("192.0.2.2:51820")});
    handshake();
    endpoint = at("198.51.100.1:40000");
    handshake();
    inputs[0].candidates = {at("192.0.2.9:51820")};
    manager.set_peers(inputs, now);
    step(Milliseconds(100));
    EXPECT_EQ(manager.wanted_endpoint(key(2)), std::nullopt);
    EXPECT_EQ(manager.status(key(2))->endpoint_changes, 1U);
    EXPECT_EQ(manager.status(key(2))->candidates.front().result, "in use (roamed)");
}

TEST_F(PeerManagerTest, IsDownWhenNothingIsHeardForThreeKeepalives) {
    add({at("192.0.2.2:51820")});
    handshake();
    for (int i = 0; i < 84; ++i) {
        if (i % 25 == 0) {
            stats.tx_bytes += 32;
            seen();
        }
        step(Milliseconds(1000));
    }
    EXPECT_EQ(manager.state(key(2)), PeerState::up);
    stats.tx_bytes += 32;
    seen();
    step(Milliseconds(3000));
    EXPECT_EQ(manager.state(key(2)), PeerState::down);
    EXPECT_EQ(manager.status(key(2))->reason, "nothing received for 87 s");
    EXPECT_EQ(manager.wanted_endpoint(key(2)), at("192.0.2.2:51820")) << "the search begins";
    handshake();
    EXPECT_EQ(manager.state(key(2)), PeerState::up);
}

TEST_F(PeerManagerTest, StaysUpOnKeepalivesAlone) {
    add({at("192.0.2.2:51820")});
    handshake();
    for (int i = 0; i < 40; ++i) {
        step(Milliseconds(25000));
        stats.rx_bytes += 32;
        stats.tx_bytes += 32;
        if (i % 5 == 4) stats.last_handshake = unix_ms / 1000;
        seen();
        manager.tick(now, unix_ms / 1000);
        ASSERT_EQ(manager.state(key(2)), PeerState::up) << i;
    }
}

TEST_F(PeerManagerTest, AnAgentlessPeerIsJudgedByHandshakes) {
    add({at("192.0.2.2:51820")});
    inputs[0].agentless = true;
    manager.set_peers(inputs, now);
    handshake();
    for (int i = 0; i < 27; ++i) {
        step(Milliseconds(10000));
        stats.tx_bytes += 32;
        seen();
        manager.tick(now, unix_ms / 1000);
    }
    EXPECT_EQ(manager.state(key(2)), PeerState::up);
    step(Milliseconds(10000));
    EXPECT_EQ(manager.state(key(2)), PeerState::down);
}

TEST_F(PeerManagerTest, ADeviceMadeAnewLeavesItDownNotUnknown) {
    add({at("192.0.2.2:51820")});
    handshake();
    stats = {};
    endpoint.reset();
    seen();
    step(Milliseconds(10));
    EXPECT_EQ(manager.state(key(2)), PeerState::down) << "whenDown, not whenUnknown, rules now";
}

TEST_F(PeerManagerTest, TheHigherKeyLetsTheOtherInitiateFirst) {
    PeerInput input;
    input.key = key(2);
    input.candidates = {at("192.0.2.2:51820")};
    input.yields = true;
    manager.set_peers({input}, now);
    EXPECT_TRUE(manager.holding(key(2)));
    step(Milliseconds(300));
    EXPECT_TRUE(manager.holding(key(2)));
    now += Milliseconds(200);
    EXPECT_EQ(manager.tick(now, unix_ms / 1000), std::vector<PublicKey>{key(2)}) << "its keepalive changes";
    EXPECT_FALSE(manager.holding(key(2)));
}

TEST_F(PeerManagerTest, NothingIsHeldWhereASessionOrAPredecessorIs) {
    PeerInput input;
    input.key = key(2);
    input.candidates = {at("192.0.2.2:51820")};
    input.yields = true;
    manager.set_peers({input}, now);
    handshake();
    EXPECT_FALSE(manager.holding(key(2)));
    input.key = key(3);
    manager.set_peers({input}, now);
    WgObservedPeer adopted;
    adopted.peer.key = key(3);
    adopted.peer.keepalive_s = 25;
    manager.observe(adopted, now, unix_ms / 1000);
    EXPECT_FALSE(manager.holding(key(3)));
}

TEST_F(PeerManagerTest, SearchesFirstWhereItAnsweredLast) {
    add({at("192.0.2.2:1"), at("192.0.2.2:2")});
    endpoint = at("198.51.100.9:40000");  // it roamed
    handshake();
    EXPECT_EQ(manager.state(key(2)), PeerState::up);
    stats = {};  // taken out of the device
    endpoint.reset();
    seen();
    step(Milliseconds(10));
    EXPECT_EQ(manager.state(key(2)), PeerState::down);
    EXPECT_EQ(manager.wanted_endpoint(key(2)), at("198.51.100.9:40000"));
    step(Milliseconds(6000));
    EXPECT_EQ(manager.wanted_endpoint(key(2)), at("192.0.2.2:1")) << "the announced ones come next";
}

TEST_F(PeerManagerTest, ASuccessorSeesAnAdoptedSessionAtOnce) {
    PeerInput input;
    input.key = key(2);
    input.candidates = {at("192.0.2.3:1"), at("192.0.2.2:51820")};
    input.was_up = true;
    manager.set_peers({input}, now);
    stats.last_handshake = unix_ms / 1000 - 100;
    seen();
    manager.tick(now, unix_ms / 1000);
    EXPECT_EQ(manager.state(key(2)), PeerState::up);
}

TEST_F(PeerManagerTest, ASuccessorOfAnUpPeerWithoutSessionIsDown) {
    PeerInput input;
    input.key = key(2);
    input.was_up = true;
    manager.set_peers({input}, now);
    seen();
    manager.tick(now, unix_ms / 1000);
    EXPECT_EQ(manager.state(key(2)), PeerState::down);
}

TEST_F(PeerManagerTest, ANewKeyAtTheSameEndpointReplacesASilentPeer) {
    add({at("192.0.2.2:51820")});
    PeerInput second;
    second.key = key(3);
    second.candidates = {at("192.0.2.2:51820")};
    inputs.push_back(second);
    manager.set_peers(inputs, now);
    handshake();
    step(Milliseconds(2000));
    const WgPeerStats old = stats;
    stats.last_handshake = unix_ms / 1000;
    stats.rx_bytes = 1;
    seen(3);
    manager.tick(now, unix_ms / 1000);
    EXPECT_EQ(manager.state(key(3)), PeerState::up);
    EXPECT_EQ(manager.state(key(2)), PeerState::up) << "it may still speak";
    for (int i = 0; i < 30; ++i) step(Milliseconds(1000));  // a leap of time is no silence
    stats = old;
    seen(2);
    manager.tick(now, unix_ms / 1000);
    EXPECT_EQ(manager.state(key(2)), PeerState::down);
    EXPECT_EQ(manager.status(key(2))->reason, "another key answers at its endpoint");
}

TEST_F(PeerManagerTest, WithoutCandidatesItWaitsToBeCalled) {
    add({});
    EXPECT_EQ(manager.wanted_endpoint(key(2)), std::nullopt);
    step(Milliseconds(60000));
    EXPECT_EQ(manager.status(key(2))->reason, "no endpoint known: waiting for it to call");
    handshake();
    EXPECT_EQ(manager.state(key(2)), PeerState::up);
}

TEST_F(PeerManagerTest, TickNamesWhatChanged) {
    add({at("192.0.2.2:51820")});
    EXPECT_TRUE(manager.tick(now, unix_ms / 1000).empty());
    stats.last_handshake = unix_ms / 1000;
    seen();
    EXPECT_EQ(manager.tick(now, unix_ms / 1000), std::vector<PublicKey>{key(2)});
    EXPECT_TRUE(manager.tick(now, unix_ms / 1000).empty());
}

TEST_F(PeerManagerTest, StrangersAreIgnored) {
    seen(77);
    EXPECT_EQ(manager.state(key(77)), PeerState::unknown);
    EXPECT_FALSE(manager.status(key(77)));
}

}  // namespace
}  // namespace wglan
