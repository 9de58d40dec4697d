// SPDX-License-Identifier: Apache-2.0
// Five hundred nodes, each with its own peer manager, over a lossy network of a virtual clock: the mesh
// comes together, stays together, notices who is gone, finds who moved, and at what rate of messages.
#include <algorithm>
#include <iostream>
#include <random>

#include <gtest/gtest.h>

#include "agent/peers/peer_manager.h"

namespace wglan {
namespace {

constexpr Milliseconds kStep{25};
constexpr std::size_t kSlots = 16;  // nothing is longer on its way than so many steps
constexpr Milliseconds kRekeyTimeout{5000};
constexpr Milliseconds kTickInterval{100};

struct Message {
    enum class Kind : std::uint8_t { initiation, response, keepalive, echo, reply };
    Kind kind = Kind::initiation;
    std::uint16_t from = 0, to = 0;  // nodes
    std::uint32_t address = 0;       // where it is sent
    std::uint32_t session = 0;
    std::uint64_t number = 0;
};

// A peer in a node's device: as much of WireGuard as matters here.
struct Half {
    bool there = false, keepalive = false;
    std::uint32_t endpoint = 0;           // address; 0 = none
    std::uint32_t session = 0, next = 0;  // `next`: made as responder, not confirmed yet
    bool responded = false;               // since its own last initiation, which is void by that
    bool thought_up = false;
    WgPeerStats stats;
    SteadyTime may_initiate{};
    bool initiating = false;
};

struct Node {
    PeerManager manager{[] { return 0.5; }};
    std::vector<Half> halves;
    std::vector<PeerInput> inputs;
    std::uint32_t address = 0;
    bool runs = true;
    SteadyTime next_dump{}, next_tick{};
};

class Simulation {
public:
    Simulation(std::size_t nodes, double loss) : nodes_(nodes), loss_(loss), slots_(kSlots) {
        at_.resize(nodes * 4 + 1, -1);
        for (std::size_t i = 0; i < nodes; ++i) {
            nodes_[i].address = static_cast<std::uint32_t>(i + 1);
            at_[i + 1] = static_cast<int>(i);
        }
        for (std::size_t i = 0; i < nodes; ++i) start(i);
    }

    void run(Milliseconds time) {
        for (const SteadyTime end = now_ + time; now_ < end;) {
            now_ += kStep;
            unix_ms_ += kStep.count();
            auto& slot = slots_[++slot_ % kSlots];
            const std::vector<Message> arriving = std::exchange(slot, {});
            for (const Message& message : arriving) deliver(message);
            retry_initiations();
            for (std::size_t i = 0; i < nodes_.size(); ++i)
                if (nodes_[i].runs) work(i);
        }
    }

    void stop(std::size_t node) {
        nodes_[node].runs = false;
        at_[nodes_[node].address] = -1;
    }

    // It comes back elsewhere with its key, no session, and a new record that all read.
    void come_back(std::size_t node) {
        Node& back = nodes_[node];
        back.runs = true;
        back.address += static_cast<std::uint32_t>(nodes_.size());
        at_[back.address] = static_cast<int>(node);
        back.manager = PeerManager([] { return 0.5; });
        start(node);
        for (std::size_t i = 0; i < nodes_.size(); ++i) {
            if (i == node || !nodes_[i].runs) continue;
            PeerInput input = input_of(node, i);
            input.version = 2;
            input.candidates.front() =
                PeerCandidate(endpoint_at(back.address), CandidateSource::announced, 30);
            nodes_[i].manager.set_peer(input, now_);
        }
    }

    // Pairs of running nodes, each way, that aren't in this state.
    std::size_t others_than_up() const {
        std::size_t count = 0;
        for (std::size_t i = 0; i < nodes_.size(); ++i)
            for (std::size_t j = 0; j < nodes_.size(); ++j)
                if (i != j && nodes_[i].runs && nodes_[j].runs &&
                    nodes_[i].manager.state(key_of(j)) != PeerState::up)
                    ++count;
        return count;
    }
    std::size_t thought_alive(std::size_t node) const {
        std::size_t count = 0;
        for (std::size_t i = 0; i < nodes_.size(); ++i)
            if (i != node && nodes_[i].runs && nodes_[i].manager.alive(key_of(node))) ++count;
        return count;
    }

    struct Counts {
        std::uint64_t initiations = 0, probes = 0, downs = 0, beginnings = 0;
    };
    Counts take_counts() { return std::exchange(counts_, {}); }
    std::uint64_t probes_sent(std::size_t node) const { return nodes_[node].manager.totals().probes_sent; }

    static PublicKey key_of(std::size_t node) {
        PublicKey key;
        key.bytes[0] = static_cast<std::uint8_t>(node >> 8);
        key.bytes[1] = static_cast<std::uint8_t>(node);
        key.bytes[31] = 1;
        return key;
    }

private:
    static std::size_t number_of(const PublicKey& key) {
        return static_cast<std::size_t>(key.bytes[0]) << 8 | key.bytes[1];
    }
    static Endpoint endpoint_at(std::uint32_t address) {
        return {IpAddress::v4(
                    {10, 0, static_cast<std::uint8_t>(address >> 8), static_cast<std::uint8_t>(address)}),
                51820};
    }
    static std::uint32_t address_of(const Endpoint& endpoint) {
        const auto bytes = endpoint.address.bytes();
        return static_cast<std::uint32_t>(bytes[2]) << 8 | bytes[3];
    }
    UnixTime unix_now() const { return unix_ms_ / 1000; }

    // For every third node a wrong candidate is worth as much as the right one, and comes first.
    PeerInput input_of(std::size_t node, std::size_t for_node) const {
        PeerInput input;
        input.key = key_of(node);
        input.address =
            IpAddress::v6({2, 0, 16, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(node >> 8),
                           static_cast<std::uint8_t>(node)});
        const auto nowhere = static_cast<std::uint32_t>(nodes_.size() * 3 + node);
        input.candidates = {PeerCandidate(endpoint_at(nodes_[node].address), CandidateSource::announced, 30),
                            PeerCandidate(endpoint_at(nowhere), CandidateSource::announced, 30)};
        if (node % 3 == 0) std::swap(input.candidates[0], input.candidates[1]);
        input.version = 1;
        input.yields = node < for_node;
        return input;
    }

    void start(std::size_t i) {
        Node& node = nodes_[i];
        node.manager.set_probing(true);
        node.halves.assign(nodes_.size(), {});
        std::vector<PeerInput> inputs;
        for (std::size_t j = 0; j < nodes_.size(); ++j)
            if (j != i) inputs.push_back(input_of(j, i));
        node.manager.set_peers(inputs, now_);
        node.next_dump = now_ + Milliseconds(37 * i % 2000);
        for (std::size_t j = 0; j < nodes_.size(); ++j)
            if (j != i) configure(i, j);
    }

    // What the reconciler would do.
    void configure(std::size_t i, std::size_t j) {
        Half& half = nodes_[i].halves[j];
        half.there = true;
        const PublicKey key = key_of(j);
        if (const auto wanted = nodes_[i].manager.wanted_endpoint(key)) half.endpoint = address_of(*wanted);
        const bool keepalive = !nodes_[i].manager.holding(key);
        if (keepalive && !half.keepalive) initiate(i, j);
        half.keepalive = keepalive;
    }

    void work(std::size_t i) {
        Node& node = nodes_[i];
        const bool looked = now_ >= node.next_dump;
        if (looked) dump(i);
        if (!looked && (now_ < node.manager.next_tick() || now_ < node.next_tick)) return;
        node.next_tick = now_ + kTickInterval;
        for (const PublicKey& key : node.manager.tick(now_, unix_now())) {
            Half& half = node.halves[number_of(key)];
            const bool down = node.manager.state(key) == PeerState::down;
            if (down && std::exchange(half.thought_up, false)) ++counts_.downs;
            if (node.manager.alive(key)) half.thought_up = true;
            configure(i, number_of(key));
        }
        for (const Probe& probe : node.manager.take_probes()) {
            ++counts_.probes;
            send_data(i, number_of(probe.key), Message::Kind::echo, probe.number);
        }
        for (const PublicKey& key : node.manager.take_new_beginnings()) {
            ++counts_.beginnings;
            const std::size_t j = number_of(key);
            node.halves[j] = {};
            configure(i, j);
        }
        (void)node.manager.take_endpoint_changes();
        const Milliseconds most = node.manager.suspecting()  ? Milliseconds(500)
                                  : node.manager.searching() ? Milliseconds(1000)
                                                             : LivenessTimes{}.dump_interval();
        node.next_dump = std::min(node.next_dump, now_ + most);
    }

    void dump(std::size_t i) {
        Node& node = nodes_[i];
        for (std::size_t j = 0; j < nodes_.size(); ++j) {
            const Half& half = node.halves[j];
            if (i == j) continue;
            WgObservedPeer seen;
            seen.peer.key = key_of(j);
            if (half.endpoint != 0) seen.peer.endpoint = endpoint_at(half.endpoint);
            seen.peer.keepalive_s = half.keepalive ? 25 : 0;
            seen.stats = half.stats;
            node.manager.observe(seen, now_, unix_now());
        }
        node.next_dump = now_ + LivenessTimes{}.dump_interval();
    }

    void send(Message message) {
        if (std::uniform_real_distribution<double>(0, 1)(random_) < loss_) return;
        const std::size_t delay = 1 + (message.from * 7U + message.to * 13U) % 3;  // 25 to 75 ms one way
        slots_[(slot_ + delay) % kSlots].push_back(message);
    }

    void initiate(std::size_t i, std::size_t j) {
        Half& half = nodes_[i].halves[j];
        if (now_ < half.may_initiate || half.endpoint == 0) return;
        // Up to 333 ms of jitter (whitepaper section 6.1).
        half.may_initiate = now_ + kRekeyTimeout + Milliseconds(random_() % 334);
        if (!std::exchange(half.initiating, true)) initiating_.push_back({i, j});
        half.responded = false;
        half.stats.tx_bytes += 148;
        ++counts_.initiations;
        send({Message::Kind::initiation, static_cast<std::uint16_t>(i), static_cast<std::uint16_t>(j),
              half.endpoint, 0, 0});
    }

    void retry_initiations() {
        std::erase_if(initiating_, [&](const std::pair<std::size_t, std::size_t>& pair) {
            Half& half = nodes_[pair.first].halves[pair.second];
            if (!half.initiating) return true;
            if (half.session != 0 || !half.there || !nodes_[pair.first].runs) {
                half.initiating = false;
                return true;
            }
            if (now_ >= half.may_initiate) initiate(pair.first, pair.second);
            return false;
        });
    }

    void send_data(std::size_t i, std::size_t j, Message::Kind kind, std::uint64_t number) {
        Half& half = nodes_[i].halves[j];
        if (half.session == 0) {
            initiate(i, j);
            return;
        }
        half.stats.tx_bytes += 112;
        send({kind, static_cast<std::uint16_t>(i), static_cast<std::uint16_t>(j), half.endpoint, half.session,
              number});
    }

    void new_session(Half& half, std::uint32_t session) {
        half.session = session;
        half.next = 0;
        half.stats.last_handshake = unix_now();
        half.stats.last_handshake_ns = static_cast<std::uint32_t>(session);
    }

    void deliver(const Message& message) {
        if (at_[message.address] != static_cast<int>(message.to)) return;
        Node& node = nodes_[message.to];
        Half& half = node.halves[message.from];
        if (!node.runs || !half.there) return;
        const std::uint32_t back = nodes_[message.from].address;
        if (message.kind == Message::Kind::initiation) {
            half.stats.rx_bytes += 148;
            half.stats.tx_bytes += 92;
            half.endpoint = back;
            half.next = ++sessions_;
            half.responded = true;
            // Who has begun a handshake of his own drops it for this one.
            send({Message::Kind::response, message.to, message.from, back, half.next, 0});
            return;
        }
        if (message.kind == Message::Kind::response) {
            // The other side's own initiation came in between: this answer fits no longer.
            if (half.responded || half.session != 0 || !half.initiating) return;
            half.stats.rx_bytes += 92;
            half.endpoint = back;
            new_session(half, message.session);
            send_data(message.to, message.from, Message::Kind::keepalive, 0);
            return;
        }
        if (message.session != half.session && message.session != half.next) return;
        if (message.session == half.next) new_session(half, message.session);
        half.endpoint = back;
        half.stats.rx_bytes += 112;
        if (message.kind == Message::Kind::echo)
            send_data(message.to, message.from, Message::Kind::reply, message.number);
        if (message.kind == Message::Kind::reply) node.manager.echoed(message.number, now_);
    }

    std::vector<Node> nodes_;
    double loss_;
    std::vector<std::vector<Message>> slots_;
    std::size_t slot_ = 0;
    std::vector<int> at_;  // node at an address
    std::vector<std::pair<std::size_t, std::size_t>> initiating_;
    std::uint32_t sessions_ = 0;
    Counts counts_;
    std::mt19937 random_{11};
    SteadyTime now_ = SteadyTime{} + Seconds(1000);
    std::int64_t unix_ms_ = 1'700'000'000'000;
};

void print(const char* what, const Simulation::Counts& counts) {
    std::cout << what << ": " << counts.initiations << " initiations, " << counts.probes << " probes, "
              << counts.beginnings << " new beginnings, " << counts.downs << " downs\n";
}

TEST(Simulation, FiveHundredNodesConvergeAtBoundedRates) {
    constexpr std::size_t kNodes = 500, kPeers = kNodes - 1, kPairs = kNodes * kPeers;
    Simulation mesh(kNodes, 0.03);
    int seconds = 0;
    const auto until_up = [&](std::size_t left) {
        for (seconds = 0; mesh.others_than_up() > left && seconds < 60; ++seconds)
            mesh.run(Milliseconds(1000));
        return seconds;
    };
    EXPECT_LE(until_up(kPairs / 500), 15) << mesh.others_than_up() << " pairs aren't up";
    std::cout << "99.8 % of all pairs up after " << seconds << " s\n";
    EXPECT_LE(until_up(0), 45) << mesh.others_than_up() << " pairs aren't up";
    std::cout << "the last one after " << seconds << " s more\n";
    auto counts = mesh.take_counts();
    print("coming together", counts);
    EXPECT_LE(counts.initiations, kPairs * 4);

    mesh.run(Milliseconds(10000));
    counts = mesh.take_counts();
    print("10 s idle", counts);
    EXPECT_EQ(mesh.others_than_up(), 0U);
    EXPECT_EQ(counts.downs, 0U) << "false alarms";
    EXPECT_EQ(counts.initiations, 0U);
    EXPECT_LE(counts.probes, kPairs * 2 * 14 / 10) << "one in 5 s, and a few after losses";

    for (std::size_t node = 0; node < 10; ++node) mesh.stop(node * 49);
    mesh.run(Milliseconds(10000));
    for (std::size_t node = 0; node < 10; ++node)
        EXPECT_EQ(mesh.thought_alive(node * 49), 0U) << "10 s after node " << node * 49 << " died";
    EXPECT_EQ(mesh.others_than_up(), 0U) << "nobody else is suspected";
    counts = mesh.take_counts();
    print("10 nodes die", counts);
    EXPECT_EQ(counts.downs, 10 * (kNodes - 10));

    mesh.run(Milliseconds(10000));
    counts = mesh.take_counts();
    print("10 s without them", counts);
    EXPECT_EQ(counts.downs, 0U);
    // 490 nodes look for 10 each; WireGuard alone would initiate twice in 10 s.
    EXPECT_LE(counts.initiations, 490U * 10 * 4);
    EXPECT_LE(counts.beginnings, 490U * 10 * 2);

    for (std::size_t node = 0; node < 10; ++node) mesh.come_back(node * 49);
    EXPECT_LE(until_up(10), 30) << mesh.others_than_up() << " pairs aren't up";
    std::cout << "they are back, elsewhere, after " << seconds << " s\n";
    print("coming back", mesh.take_counts());
}

}  // namespace
}  // namespace wglan
