// SPDX-License-Identifier: Apache-2.0
// Which endpoints of peers are refused, and when a pod prefix goes before an endpoint inside it.
#include <gtest/gtest.h>

#include "agent/registry/registry.h"
#include "tests/support/samples.h"

namespace wglan {
namespace {

using namespace samples;

class RegistryEndpoints : public testing::Test {
protected:
    RegistryEndpoints() : registry(policy()) {
        own.name = "node1";
        own.public_key = key(1);
        own.identity = identity(1);
        own.address = ip("200:1001::1");
        own.node_addresses = {ip("192.0.2.1"), ip("2001:db8::1")};
        own.networks = {net("192.0.2.0/24")};
        own.reached_at = [this](const PublicKey& one) -> std::optional<IpAddress> {
            const auto it = reached.find(one);
            return it == reached.end() ? std::nullopt : std::optional(it->second);
        };
    }
    static RegistryPolicy policy() {
        RegistryPolicy made;
        made.overlay = net("200:1001::/64");
        return made;
    }
    void put(Record record) { registry.put(said(std::move(record)), now); }
    // node2 with these endpoints besides node3, whose pods are in 10.244.3.0/24.
    void put_both(const std::vector<const char*>& endpoints) {
        put(node(3));
        Record odd = node(2);
        odd.endpoints.clear();
        for (const char* endpoint : endpoints) odd.endpoints.push_back(where(endpoint));
        put(odd);
    }
    MergeResult merge() {
        return registry.merge(
            own, [this](const PublicKey& k) { return up.contains(k) ? PeerState::up : PeerState::down; },
            now);
    }
    static std::string reason(const MergeResult& result, const std::string& peer, const std::string& what) {
        for (const Refusal& refusal : result.refused)
            if (refusal.peer == peer && refusal.prefix == what) return refusal.reason;
        return "not refused";
    }
    static std::string candidates(const MergeResult& result, const std::string& name) {
        std::string text;
        for (const Peer& peer : result.peers)
            if (peer.name == name)
                for (const Candidate& candidate : peer.candidates)
                    text += (text.empty() ? "" : " ") + candidate.where.to_string();
        return text;
    }

    OwnClaims own;
    std::set<PublicKey> up;
    std::map<PublicKey, IpAddress> reached;
    SteadyTime now = SteadyTime{} + Seconds(100000);
    Registry registry;
};

constexpr char kSteered[] =
    "an endpoint inside 10.244.3.0/24, which is steered to node3: a tunnel inside a tunnel";
constexpr char kAround[] = "a pod prefix around 10.244.3.7, an endpoint of node2";

TEST_F(RegistryEndpoints, ThatAreNobodysPlaceAreRefused) {
    Record edge;
    edge.name = "edge";
    edge.public_key = key(9);
    for (const char* bad : {"0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1", "[::]:1", "[ff02::1]:1",
                            "[fe80::1]:1", "198.51.100.9:1", "127.0.0.1:1"})
        edge.endpoints.push_back(where(bad));
    registry.put(said(edge, SourceKind::static_entry, "static"), now);
    const auto result = merge();
    EXPECT_EQ(candidates(result, "edge"), "198.51.100.9:1 127.0.0.1:1") << "a forwarder may be here";
    EXPECT_EQ(reason(result, "edge", "224.0.0.1:1"), "nobody can be reached at such an address");
    EXPECT_EQ(result.refused.size(), 6U);
}

TEST_F(RegistryEndpoints, InTheOverlayNetworkAreRefusedWhoeverNamesThem) {
    Record witness = node(3);
    witness.observed = {{to_string(key(2)), at("[200:1001::2]:51820")}};
    put(witness);
    Record odd = node(2);
    odd.endpoints.push_back(where("[200:1001::3]:51820"));
    put(odd);
    const auto result = merge();
    EXPECT_EQ(candidates(result, "node2"), "192.0.2.2:51820");
    for (const char* bad : {"[200:1001::2]:51820", "[200:1001::3]:51820"})
        EXPECT_EQ(reason(result, "node2", bad),
                  "an endpoint inside the overlay network 200:1001::/64: a tunnel inside a tunnel")
            << bad;
}

TEST_F(RegistryEndpoints, InsideAnothersPodPrefixAreRefusedWhereThereIsAnother) {
    put_both({"192.0.2.2:51820", "10.244.3.7:51820"});
    const auto result = merge();
    EXPECT_EQ(candidates(result, "node2"), "192.0.2.2:51820");
    EXPECT_EQ(reason(result, "node2", "10.244.3.7:51820"), kSteered);
    EXPECT_EQ(reason(result, "node3", "10.244.3.0/24"), "not refused");
}

TEST_F(RegistryEndpoints, ThatAreAPeersOnlyOneGoBeforeAPodPrefix) {
    put_both({"10.244.3.7:51820", "[2001:db8::2]:51820"});
    const auto result = merge();
    EXPECT_EQ(candidates(result, "node2"), "[2001:db8::2]:51820 10.244.3.7:51820") << "of their family";
    EXPECT_EQ(reason(result, "node3", "10.244.3.0/24"), kAround);
}

TEST_F(RegistryEndpoints, TakeNoPrefixFromWhoHeldItAndIsUp) {
    put(node(3));
    up = {key(3)};
    merge();
    put_both({"10.244.3.7:51820"});
    EXPECT_EQ(reason(merge(), "node2", "10.244.3.7:51820"), kSteered);
    up = {};
    EXPECT_EQ(reason(merge(), "node3", "10.244.3.0/24"), kAround) << "which is how endpoints are cut off";
}

TEST_F(RegistryEndpoints, InUseGoBeforeAnyPodPrefix) {
    put(node(3));
    up = {key(2), key(3)};
    merge();
    put_both({"192.0.2.2:51820", "10.244.3.7:51820"});
    reached = {{key(2), ip("10.244.3.7")}};
    const auto result = merge();
    EXPECT_EQ(reason(result, "node3", "10.244.3.0/24"), kAround);
    EXPECT_EQ(reason(result, "node2", "10.244.3.7:51820"), "not refused");
}

}  // namespace
}  // namespace wglan
