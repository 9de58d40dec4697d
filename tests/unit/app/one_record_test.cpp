// SPDX-License-Identifier: Apache-2.0
// A record that was put alone, merged and diffed for its peer alone, gives what a whole pass gives.
#include <random>

#include <gtest/gtest.h>

#include "agent/app/desired.h"
#include "agent/reconcile/part.h"
#include "agent/reconcile/plan.h"
#include "tests/support/samples.h"

namespace wglan {
namespace {

using namespace samples;

// What the agent keeps, with its calls in its order; the kernel does what plans say.
class Node {
public:
    explicit Node(bool may_do_one) : may_do_one_(may_do_one) {
        facts_.all_addresses = facts_.node_addresses = {ip("192.0.2.1")};
        facts_.networks = {net("192.0.2.0/24")};
        facts_.gateways = {ip("192.0.2.254")};
        facts_.uplinks = {{2, "eth0"}};
        config_.steering.exclude = {net("10.244.77.0/24")};
        own_.name = "node1";
        own_.public_key = key(1);
        own_.identity = identity(1);
        own_.address = ip("200:1001::1");
        own_.node_addresses = facts_.node_addresses;
        own_.gateways = facts_.gateways;
        own_.networks = facts_.networks;
        own_.prefixes = {net("10.244.1.0/24")};
        own_.depended_on = {ip("198.51.100.1")};
        observed.interface.emplace();
        observed.interface->link.ifindex = 7;
        observed.wireguard.emplace();
        observed.attachments = {{2, "eth0", Attachment::Hook::tc_egress, Attachment::Kind::tcx, ""},
                                {7, "wglan0", Attachment::Hook::tc_egress, Attachment::Kind::tcx, ""},
                                {7, "wglan0", Attachment::Hook::tc_ingress, Attachment::Kind::tcx, ""}};
    }

    static RegistryPolicy policy() {
        RegistryPolicy policy;
        policy.overlay = net("200:1001::/64");
        policy.accept_default_route_from = {"node9"};
        return policy;
    }

    // Returns true if it was done for one peer.
    bool reconcile(bool whole) {
        if (may_do_one_ && !whole && one()) return true;
        merged = registry.merge(own_, [this](const PublicKey& k) { return manager.state(k); }, now_);
        std::vector<PeerInput> inputs;
        for (const Peer& peer : merged.peers) inputs.push_back(input_of(peer));
        manager.set_peers(inputs, now_);
        ids_.keep_only(merged.peers);
        const Desired wanted = desired(merged.peers);
        observed = assume_applied(wanted, std::move(observed));
        EXPECT_EQ(describe(diff(wanted, observed), "wglan0"), std::vector<std::string>{});
        return false;
    }

    void see(std::uint8_t number, bool up, const std::optional<Endpoint>& from) {
        WgObservedPeer seen;
        seen.peer.key = key(number);
        seen.peer.endpoint = from;
        seen.stats.last_handshake = up ? 1000 : 0;
        manager.observe(seen, now_, 1000);
        (void)manager.tick(now_, 1000);
    }

    Registry registry{policy()};
    PeerManager manager{[] { return 0.5; }};
    MergeResult merged;
    Observed observed;

private:
    bool one() {
        const auto touched = registry.merge_one(own_, merged);
        if (!touched) return false;
        const auto peer = std::find_if(merged.peers.begin(), merged.peers.end(),
                                       [&](const Peer& p) { return p.public_key == touched->key; });
        Desired before = desired(touched->before ? std::vector{*touched->before} : std::vector<Peer>{});
        manager.set_peer(input_of(*peer), now_);
        Desired after = desired({*peer});
        keep_differences(before, after);
        for (const Desired* desired : {&before, &after})
            for (const SteerEndpoint& steered : desired->steer_endpoints)
                if (manager.other_at(steered.endpoint.address, touched->key)) return false;
        Observed part = part_of(observed, before, after);
        put_back(observed, before, after, assume_applied(after, std::move(part)));
        return true;
    }

    static std::vector<Endpoint> endpoints_of(const Peer& peer) {
        std::vector<Endpoint> list;
        for (const Candidate& candidate : peer.candidates)
            if (const auto endpoint = candidate.where.endpoint()) list.push_back(*endpoint);
        return list;
    }

    static PeerInput input_of(const Peer& peer) {
        PeerInput input;
        input.key = peer.public_key;
        for (const Endpoint& endpoint : endpoints_of(peer)) input.candidates.emplace_back(endpoint);
        return input;
    }

    Desired desired(const std::vector<Peer>& peers) {
        return build_desired({config_,
                              facts_,
                              own_.public_key,
                              own_.address,
                              overlay_,
                              peers,
                              manager,
                              ids_,
                              [](const Peer&) { return SecretFingerprint{}; },
                              endpoints_of,
                              own_.depended_on,
                              {}});
    }

    bool may_do_one_;
    PeerIds ids_;
    OwnClaims own_;
    HostFacts facts_;
    Config config_;
    Prefix overlay_ = net("200:1001::/64");
    SteadyTime now_ = SteadyTime{} + Seconds(100000);
};

// A small world, so that members collide often: same names, keys, addresses, prefixes within prefixes.
class World {
public:
    explicit World(unsigned seed) : random_(seed) {}

    unsigned any(unsigned below) { return std::uniform_int_distribution<unsigned>(0, below - 1)(random_); }
    bool once_in(unsigned times) { return any(times) == 0; }
    template <class T>
    T one_of(const std::vector<T>& list) {
        return list[any(static_cast<unsigned>(list.size()))];
    }

    Record record() {
        const auto number = static_cast<std::uint8_t>(2 + any(8));
        Record made = node(number, ++sequence_);
        if (once_in(12)) made.name = "node" + std::to_string(1 + any(9));
        if (once_in(15)) made.public_key = key(static_cast<std::uint8_t>(1 + any(12)));
        if (once_in(10)) made.address = ip("200:1001::" + std::to_string(1 + any(9)));
        if (once_in(3)) made.endpoints = {where("198.51.100." + std::to_string(any(20)) + ":51820")};
        if (once_in(12)) made.endpoints.push_back(where("gateway.example:51820"));
        if (once_in(12)) made.endpoints.push_back(where("10.244.4.9:51820"));
        if (once_in(6)) made.node_addresses.push_back(ip("198.51.100." + std::to_string(any(20))));
        while (once_in(2))
            made.pod_prefixes.push_back(net("10.244." + std::to_string(any(90)) +
                                            one_of<std::string>({".0/24", ".0/25", ".128/25"})));
        if (once_in(5)) made.prefixes.push_back(net("10.9." + std::to_string(number) + ".0/24"));
        if (once_in(25))
            made.prefixes.push_back(net(one_of<std::string>(
                {"10.244.0.0/16", "198.51.100.0/24", "0.0.0.0/0", "192.0.2.128/25", "10.8.0.0/13"})));
        return made;
    }

private:
    std::mt19937 random_;
    std::uint64_t sequence_ = 0;
};

std::vector<WgPeer> sorted_peers(const Observed& observed) {
    std::vector<WgPeer> peers;
    for (const WgObservedPeer& peer : observed.wireguard->peers) peers.push_back(peer.peer);
    std::sort(peers.begin(), peers.end(), [](const WgPeer& a, const WgPeer& b) { return a.key < b.key; });
    return peers;
}

std::vector<std::string> text(const std::vector<Peer>& peers) {
    std::vector<std::string> lines;
    for (const Peer& peer : peers) {
        std::string line = peer.name + " " + to_string(peer.public_key);
        for (const OwnedPrefix& owned : peer.prefixes)
            line += " " + owned.prefix.to_string() + "(" + std::string(to_string(owned.cls)) + "," +
                    owned.source + ")";
        for (const Candidate& candidate : peer.candidates) line += " @" + candidate.where.to_string();
        for (const std::string& source : peer.sources) line += " <" + source;
        lines.push_back(line);
    }
    return lines;
}

std::vector<std::string> text(const std::map<Prefix, SteerRoute>& routes) {
    std::vector<std::string> lines;
    for (const auto& [prefix, route] : routes)
        lines.push_back(prefix.to_string() +
                        (route.action == SteerAction::pass ? " pass" : " to " + std::to_string(route.peer)));
    return lines;
}

std::vector<std::string> text(const std::vector<Refusal>& refused) {
    std::vector<std::string> lines;
    for (const Refusal& refusal : refused)
        lines.push_back(refusal.peer + ": " + refusal.prefix + ": " + refusal.reason);
    return lines;
}

void expect_same(const Node& one, const Node& all) {
    EXPECT_EQ(text(one.merged.peers), text(all.merged.peers));
    EXPECT_EQ(one.merged.peers, all.merged.peers);
    EXPECT_EQ(text(one.merged.refused), text(all.merged.refused));
    EXPECT_EQ(one.registry.ownership(), all.registry.ownership());
    EXPECT_EQ(sorted_peers(one.observed), sorted_peers(all.observed));
    EXPECT_EQ(one.observed.routes, all.observed.routes);
    EXPECT_EQ(text(one.observed.steer_routes), text(all.observed.steer_routes));
    EXPECT_EQ(one.observed.steer_routes, all.observed.steer_routes);
    EXPECT_EQ(one.observed.steer_peers, all.observed.steer_peers);
    EXPECT_EQ(one.observed.steer_endpoints, all.observed.steer_endpoints);
    EXPECT_EQ(one.observed.steer_config, all.observed.steer_config);
}

class OneRecord : public testing::TestWithParam<unsigned> {};

TEST_P(OneRecord, GivesWhatAWholePassGives) {
    World world(GetParam());
    Node one(true), all(false);
    const SteadyTime now = SteadyTime{} + Seconds(100000);
    int alone = 0;
    for (int round = 0; round < 300; ++round) {
        bool whole = round == 0;
        const unsigned what = world.any(20);
        if (what == 0) {
            const Record gone = world.record();
            for (Node* node : {&one, &all}) node->registry.gone("service:a", gone.identity, now);
        } else if (what == 1) {
            Record entry = world.record();
            entry.identity = {};
            for (Node* node : {&one, &all})
                node->registry.snapshot("static", {said(entry, SourceKind::static_entry, "static")}, now);
        } else if (what == 2) {
            for (Node* node : {&one, &all}) node->registry.snapshot("static", {}, now);
        } else if (what == 3) {
            const auto number = static_cast<std::uint8_t>(2 + world.any(8));
            const bool up = world.once_in(2);
            const auto from = at("198.51.100." + std::to_string(world.any(20)) + ":51820");
            for (Node* node : {&one, &all}) node->see(number, up, from);
            whole = true;  // as the agent does where somebody's state changed
        } else {
            const auto source = world.one_of<std::string>({"service:a", "service:b", "kubernetes"});
            const auto record =
                said(world.record(), source == "kubernetes" ? SourceKind::kubernetes : SourceKind::service,
                     source);
            for (Node* node : {&one, &all}) node->registry.put(record, now);
        }
        alone += one.reconcile(whole) ? 1 : 0;
        EXPECT_FALSE(all.reconcile(whole));
        expect_same(one, all);
        if (HasFailure()) FAIL() << "in round " << round;
    }
    EXPECT_GT(alone, 5) << "the short way was hardly ever taken";
}

INSTANTIATE_TEST_SUITE_P(Seeds, OneRecord, testing::Range(1U, 61U));

}  // namespace
}  // namespace wglan
