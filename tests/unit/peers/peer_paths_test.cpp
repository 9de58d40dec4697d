// SPDX-License-Identifier: Apache-2.0
// Paths of peers that are alive: doubtful ones are left for others in time, better ones are tried beside.
#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "agent/peers/peer_manager.h"
#include "tests/support/samples.h"

namespace wglan {
namespace {

using namespace samples;

constexpr Milliseconds kStep{50};
const Endpoint kFar = at("198.51.100.2:51820"), kNear = at("192.0.2.2:51820"), kOther = at("192.0.2.3:51820"),
               kSix = at("[2001:db8::2]:51820");

// One node with peers, each behind ways of its own; what is sent to several places is taken where it comes
// first, and the device follows.
class Paths : public testing::Test {
protected:
    struct Peer {
        PeerInput input;
        std::map<Endpoint, Milliseconds> ways;  // round trips of those that work
        std::optional<Endpoint> endpoint;
        WgPeerStats stats;
        std::uint64_t traffic = 0;  // bytes a step
        std::function<bool()> loses;
    };
    Paths() { manager.set_probing(true); }

    Peer& add(std::uint8_t number, std::vector<PeerCandidate> candidates, const Endpoint& in_use) {
        Peer& peer = peers[number];
        peer.input.key = key(number);
        peer.input.address = ip(("200:1001::" + std::to_string(number)).c_str());
        peer.input.candidates = std::move(candidates);
        peer.endpoint = in_use;
        peer.ways[in_use] = Milliseconds(20);
        peer.stats = {unix_ms / 1000, 1, 92, 148};
        tell();
        look();
        return peer;
    }
    void tell() {
        std::vector<PeerInput> inputs;
        for (const auto& [number, peer] : peers) inputs.push_back(peer.input);
        manager.set_peers(inputs, now);
    }
    void look() {
        for (auto& [number, peer] : peers) {
            WgObservedPeer seen;
            seen.peer.key = peer.input.key;
            seen.peer.endpoint = peer.endpoint;
            seen.peer.keepalive_s = 25;
            seen.stats = peer.stats;
            manager.observe(seen, now, unix_ms / 1000);
        }
        looked = now;
    }
    void send(Peer& peer, const Probe& probe) {
        ++probes;
        peer.stats.tx_bytes += 112;
        std::vector<Endpoint> places{*peer.endpoint};
        const auto copies = manager.copies(peer.input.key);
        if (copies && copies->used == *peer.endpoint)
            places.insert(places.end(), copies->others.begin(), copies->others.end());
        const auto first = std::min_element(places.begin(), places.end(), [&](const auto& a, const auto& b) {
            return rtt(peer, a) < rtt(peer, b);
        });
        if (rtt(peer, *first) == Milliseconds::max() || (peer.loses && peer.loses())) return;
        echoes.push_back({now + rtt(peer, *first), peer.input.key, *first, probe.number});
    }
    static Milliseconds rtt(const Peer& peer, const Endpoint& place) {
        const auto way = peer.ways.find(place);
        return way == peer.ways.end() ? Milliseconds::max() : way->second;
    }
    Peer& of(const PublicKey& wanted) {
        for (auto& [number, peer] : peers)
            if (peer.input.key == wanted) return peer;
        throw std::out_of_range("no such peer");
    }
    void run(Milliseconds time) {
        for (const SteadyTime end = now + time; now < end;) {
            now += kStep;
            unix_ms += kStep.count();
            for (auto& [number, peer] : peers) peer.stats.rx_bytes += peer.traffic;
            std::erase_if(echoes, [&](const Echo& echo) {
                if (echo.at > now) return false;
                Peer& peer = of(echo.key);
                peer.endpoint = echo.from;
                peer.stats.rx_bytes += 112;
                manager.echoed(echo.number, echo.at);
                return true;
            });
            const Milliseconds interval = manager.searching()    ? kStep
                                          : manager.suspecting() ? Milliseconds(500)
                                                                 : manager.dump_interval();
            if (now - looked >= interval) look();
            (void)manager.tick(now, unix_ms / 1000);
            for (const Probe& probe : manager.take_probes()) send(of(probe.key), probe);
            std::size_t trials = 0;
            for (auto& [number, peer] : peers) {
                if (const auto wanted = manager.wanted_endpoint(peer.input.key)) {
                    if (peer.endpoint != wanted) ++moves;
                    peer.endpoint = wanted;
                }
                const auto copies = manager.copies(peer.input.key);
                if (copies && copies->data) ++trials;
                EXPECT_LE(copies ? copies->others.size() : 0, kMaxCloneTargets);
            }
            most_trials = std::max(most_trials, trials);
            if (trials > 0 && last_trial + Seconds(2) < now) trial_times.push_back(now);
            if (trials > 0) last_trial = now;
            afresh += manager.take_new_beginnings().size();
            for (const EndpointChange& change : manager.take_endpoint_changes())
                reasons.push_back(change.reason);
        }
    }
    std::optional<Milliseconds> until(const std::function<bool()>& holds, Milliseconds limit) {
        for (Milliseconds passed{}; passed <= limit; passed += kStep) {
            if (holds()) return passed;
            run(kStep);
        }
        return std::nullopt;
    }
    PeerState state(std::uint8_t number = 2) const { return manager.state(key(number)); }

    struct Echo {
        SteadyTime at;
        PublicKey key;
        Endpoint from;
        std::uint64_t number;
    };
    SteadyTime now = SteadyTime{} + Seconds(1000), looked = now, last_trial{};
    std::int64_t unix_ms = 1'700'000'000'000;
    PeerManager manager{[] { return 0.5; }};
    std::map<std::uint8_t, Peer> peers;
    std::vector<Echo> echoes;
    std::vector<SteadyTime> trial_times;
    std::vector<std::string> reasons;
    std::size_t most_trials = 0, afresh = 0, probes = 0, moves = 0;
};

PeerCandidate worth(const Endpoint& endpoint, int base) {
    return {endpoint, CandidateSource::announced, base};
}

TEST_F(Paths, ABetterOneIsTakenBesideTheOneInUse) {
    Peer& peer = add(2, {worth(kNear, 40), worth(kFar, 30)}, kFar);
    peer.ways[kNear] = Milliseconds(1);
    ASSERT_TRUE(until([&] { return peer.endpoint == kNear; }, Milliseconds(5000)));
    run(Milliseconds(2000));
    EXPECT_EQ(state(), PeerState::up);
    EXPECT_EQ(moves, 0U) << "it comes by itself";
    EXPECT_EQ(afresh, 0U);
    EXPECT_EQ(reasons, std::vector<std::string>{"a better path"});
    EXPECT_FALSE(manager.copies(key(2)));
    run(Milliseconds(3'600'000));
    EXPECT_EQ(peer.endpoint, kNear);
    EXPECT_EQ(trial_times.size(), 1U) << "and stays";
    EXPECT_EQ(manager.totals().trials_won, 1U);
    EXPECT_EQ(manager.totals().trials_lost, 0U);
}

TEST_F(Paths, TheFasterOneStaysAndTrialsGetRare) {
    Peer& peer = add(2, {worth(kNear, 40), worth(kFar, 30)}, kFar);
    peer.ways[kNear] = Milliseconds(80);
    run(Milliseconds(3'600'000));
    EXPECT_EQ(peer.endpoint, kFar);
    EXPECT_EQ(state(), PeerState::up);
    EXPECT_GE(trial_times.size(), 4U);
    EXPECT_LE(trial_times.size(), 8U);
    const auto near = manager.status(key(2))->candidates.front();
    EXPECT_EQ(near.endpoint, kNear);
    EXPECT_EQ(near.result.find("no better ("), 0U) << near.result;
    EXPECT_TRUE(near.next_try);
    EXPECT_EQ(manager.totals().trials_won, 0U);
    EXPECT_EQ(manager.totals().trials_lost, trial_times.size());
}

TEST_F(Paths, ADeadOneDoesNoHarm) {
    Peer& peer = add(2, {worth(kNear, 40), worth(kFar, 30)}, kFar);
    peer.traffic = 5000;
    run(Milliseconds(600'000));
    EXPECT_EQ(peer.endpoint, kFar);
    EXPECT_EQ(state(), PeerState::up);
    EXPECT_TRUE(reasons.empty());
    EXPECT_GE(trial_times.size(), 3U);
}

TEST_F(Paths, ALittleBetterIsNotWorthAChange) {
    Peer& peer = add(2, {worth(kNear, 32), worth(kFar, 30), worth(kOther, 40)}, kFar);
    peer.ways[kNear] = Milliseconds(1);
    peer.input.candidates.pop_back();
    tell();
    run(Milliseconds(600'000));
    EXPECT_EQ(peer.endpoint, kFar);
    EXPECT_TRUE(trial_times.empty());
}

TEST_F(Paths, OfEqualPlacesTheOneThatLosesLessIsTaken) {
    Peer& peer = add(2, {worth(kFar, 30), worth(kNear, 30)}, kFar);
    peer.ways[kNear] = Milliseconds(20);
    unsigned count = 0;
    peer.loses = [&] { return peer.endpoint == kFar && ++count % 2 == 0; };
    ASSERT_TRUE(until([&] { return !trial_times.empty(); }, Milliseconds(600'000)));
}

TEST_F(Paths, WhatIsLostOnAllPathsIsNoReason) {
    Peer& peer = add(2, {worth(kFar, 30), worth(kNear, 30), worth(kSix, 30)}, kFar);
    peer.ways[kNear] = peer.ways[kSix] = Milliseconds(20);
    unsigned count = 0;
    peer.loses = [&] { return ++count % 5 == 0; };
    run(Milliseconds(1'800'000));
    EXPECT_TRUE(trial_times.empty());
    EXPECT_EQ(moves, 0U);
    EXPECT_EQ(state(), PeerState::up);
}

TEST_F(Paths, ALoadedOneIsLeftAlone) {
    Peer& peer = add(2, {worth(kNear, 40), worth(kFar, 30)}, kFar);
    peer.ways[kNear] = Milliseconds(1);
    peer.traffic = 2'000'000;  // 40 MB a second
    run(Milliseconds(60'000));
    EXPECT_TRUE(trial_times.empty());
    peer.traffic = 1000;
    EXPECT_TRUE(until([&] { return peer.endpoint == kNear; }, Milliseconds(20'000)));
}

TEST_F(Paths, OneTrialAtATime) {
    for (std::uint8_t number = 2; number < 30; ++number) {
        Peer& peer = add(number, {worth(kNear, 40), worth(kFar, 30)}, kFar);
        peer.ways[kNear] = Milliseconds(1);
    }
    run(Milliseconds(60'000));
    EXPECT_EQ(most_trials, 1U);
    for (const auto& [number, peer] : peers) EXPECT_EQ(peer.endpoint, kNear) << int{number};
}

TEST_F(Paths, TheOtherFamilyIsTriedWhereNothingIsMissed) {
    Peer& peer = add(2, {worth(kSix, 33), worth(kFar, 30)}, kFar);
    peer.ways[kSix] = Milliseconds(10);
    peer.traffic = 5000;
    run(Milliseconds(60'000));
    EXPECT_EQ(peer.endpoint, kFar);
    EXPECT_EQ(moves, 0U);
    peer.traffic = 0;
    ASSERT_TRUE(until([&] { return peer.endpoint == kSix; }, Milliseconds(30'000)));
    run(Milliseconds(600'000));
    EXPECT_EQ(peer.endpoint, kSix);
    EXPECT_EQ(state(), PeerState::up);
    EXPECT_EQ(moves, 1U);
}

TEST_F(Paths, ADeadOneOfTheOtherFamilyIsLeftAtOnce) {
    Peer& peer = add(2, {worth(kSix, 33), worth(kFar, 30)}, kFar);
    ASSERT_TRUE(until([&] { return peer.endpoint == kSix; }, Milliseconds(30'000)));
    const auto back = until([&] { return peer.endpoint == kFar; }, Milliseconds(5000));
    ASSERT_TRUE(back);
    EXPECT_LE(*back, Milliseconds(500));
    run(Milliseconds(50'000));
    EXPECT_EQ(moves, 2U);
    EXPECT_EQ(state(), PeerState::up);
}

TEST_F(Paths, ADoubtfulOneIsLeftForAnotherBeforeItIsDown) {
    for (const Endpoint& other : {kNear, kSix}) {
        Peer& peer = add(2, {worth(kFar, 40), worth(other, 40)}, kFar);
        peer.ways[other] = Milliseconds(20);
        run(Milliseconds(20'000));
        ASSERT_EQ(peer.endpoint, kFar);
        peer.ways.erase(kFar);
        const auto took =
            until([&] { return peer.endpoint == other && state() == PeerState::up; }, Milliseconds(20'000));
        ASSERT_TRUE(took);
        EXPECT_LE(*took, Milliseconds(10'000));
        EXPECT_EQ(afresh, 0U) << "the session stays";
        run(Milliseconds(60'000));
        EXPECT_EQ(peer.endpoint, other);
        peers.clear();
        tell();
    }
}

TEST_F(Paths, AFamilyThatIsNotHereIsNoWayOut) {
    Peer& peer = add(2, {worth(kFar, 40), worth(kSix, 0)}, kFar);
    run(Milliseconds(20'000));
    peer.ways.erase(kFar);
    ASSERT_TRUE(until([&] { return state() == PeerState::degraded; }, Milliseconds(10'000)));
    run(Milliseconds(800));  // past the time at which another family is tried
    EXPECT_EQ(moves, 0U);
    peer.ways[kFar] = Milliseconds(20);
    run(Milliseconds(2000));
    EXPECT_EQ(state(), PeerState::up) << "the last probes went the way that came back";
}

TEST_F(Paths, OneWithoutAWayIsLeftAtOnce) {
    Peer& peer = add(2, {worth(kFar, 40), worth(kSix, 40)}, kFar);
    peer.ways[kSix] = Milliseconds(20);
    run(Milliseconds(10'000));
    peer.ways.erase(kFar);
    manager.restart_searches(now, [](const IpAddress& address) { return !address.is_v4(); });
    EXPECT_EQ(manager.wanted_endpoint(key(2)), kSix);
    run(Milliseconds(1000));
    EXPECT_EQ(state(), PeerState::up);
    EXPECT_EQ(peer.endpoint, kSix);
    EXPECT_EQ(manager.wanted_endpoint(key(2)), std::nullopt);
    EXPECT_EQ(reasons.back(), "there is no way to the other one");
}

TEST_F(Paths, WhoHasNoOtherCandidateTakesTheFirstThatIsTold) {
    Peer& peer = add(2, {worth(kFar, 40)}, kFar);
    run(Milliseconds(10'000));
    peer.ways = {{kSix, Milliseconds(20)}};
    manager.restart_searches(now, [](const IpAddress& address) { return !address.is_v4(); });
    run(Milliseconds(500));
    EXPECT_EQ(manager.wanted_endpoint(key(2)), std::nullopt);
    peer.input.candidates = {worth(kSix, 40)};
    tell();
    EXPECT_EQ(manager.wanted_endpoint(key(2)), kSix);
    run(Milliseconds(1000));
    EXPECT_EQ(state(), PeerState::up);
    EXPECT_EQ(afresh, 0U);
}

TEST_F(Paths, AfterAChangeHereTheOthersAreAskedAtOnce) {
    Peer& peer = add(2, {worth(kFar, 40), worth(kNear, 40)}, kFar);
    peer.ways[kNear] = Milliseconds(20);
    run(Milliseconds(10'000));
    peer.ways.erase(kFar);
    manager.restart_searches(now);
    const auto took = until([&] { return peer.endpoint == kNear; }, Milliseconds(10'000));
    ASSERT_TRUE(took);
    EXPECT_LE(*took, Milliseconds(1000));
    EXPECT_EQ(state(), PeerState::up);
    // A path that is as good as before is left alone.
    run(Milliseconds(30'000));
    peer.ways[kFar] = Milliseconds(1);
    manager.restart_searches(now);
    run(Milliseconds(30'000));
    EXPECT_EQ(peer.endpoint, kNear);
}

TEST_F(Paths, WhoIsNotHeardIsFoundDeadThoughItSpeaks) {
    Peer& peer = add(2, {worth(kFar, 40)}, kFar);
    run(Milliseconds(20'000));
    peer.traffic = 500;
    peer.ways.clear();
    run(Milliseconds(6000));
    EXPECT_EQ(state(), PeerState::up) << "what is received proves life";
    for (int i = 0; i < 80 && state() != PeerState::down; ++i) {
        if (i % 5 == 0) manager.told_deaf(peer.input.address, now);
        run(kStep);
    }
    EXPECT_EQ(state(), PeerState::down);
    EXPECT_NE(manager.status(key(2))->reason.find("doesn't hear us"), std::string::npos);
}

TEST_F(Paths, WhoLiesAboutItsEarsCostsAFewProbes) {
    Peer& peer = add(2, {worth(kFar, 40)}, kFar);
    run(Milliseconds(20'000));
    const std::size_t before = probes;
    for (int i = 0; i < 1200; ++i) {
        manager.told_deaf(peer.input.address, now);
        run(kStep);
    }
    EXPECT_EQ(state(), PeerState::up);
    EXPECT_LE(probes - before, 61U);
}

}  // namespace
}  // namespace wglan
