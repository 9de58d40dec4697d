// SPDX-License-Identifier: Apache-2.0
// Which endpoints of peers are refused, and when a pod prefix goes before an endpoint inside it.
#include <map>

#include "tests/unit/registry/registry_fixture.h"

namespace wglan {
namespace {

using namespace samples;

class RegistryEndpoints : public RegistryTest {
protected:
    RegistryEndpoints() {
        own.reached_at = [this](const PublicKey& one) -> std::optional<IpAddress> {
            const auto it = reached.find(one);
            return it == reached.end() ? std::nullopt : std::optional(it->second);
        };
    }
    // node2 with these endpoints besides node3, whose pods are in 10.244.3.0/24.
    void put_both(const std::vector<const char*>& endpoints) {
        put(node(3));
        Record odd = node(2);
        odd.endpoints.clear();
        for (const char* endpoint : endpoints) odd.endpoints.push_back(where(endpoint));
        put(odd);
    }
    static std::string candidates(const MergeResult& result, const std::string& name) {
        std::string text;
        if (const Peer* peer = find(result, name))
            for (const Candidate& candidate : peer->candidates)
                text += (text.empty() ? "" : " ") + candidate.where.to_string();
        return text;
    }

    std::map<PublicKey, IpAddress> reached;
};

constexpr char kSteered[] =
    "an endpoint inside 10.244.3.0/24, which is steered to node3: a tunnel inside a tunnel";
constexpr char kAround[] = "a pod prefix around 10.244.3.7, an endpoint of node2";

TEST_F(RegistryEndpoints, ThatAreNobodysPlaceAreRefused) {
    Record edge;
    edge.name = "edge";
    edge.public_key = key(9);
    for (const char* bad : {"0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1", "[::]:1", "[ff02::1]:1",
                            "[fe80::1]:1", "192.0.2.255:1", "198.51.100.9:1", "127.0.0.1:1"})
        edge.endpoints.push_back(where(bad));
    registry.put(said(edge, SourceKind::static_entry, "static"), now);
    const auto result = merge();
    EXPECT_EQ(candidates(result, "edge"), "198.51.100.9:1 127.0.0.1:1") << "a forwarder may be here";
    EXPECT_EQ(reason(result, "edge", "224.0.0.1:1"), "nobody can be reached at such an address");
    EXPECT_EQ(reason(result, "edge", "192.0.2.255:1"), "the broadcast address of 192.0.2.0/24");
    EXPECT_EQ(result.refused.size(), 7U);
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

TEST_F(RegistryEndpoints, SeenByMembersInsideASteeredPrefixAreRefused) {
    Record witness = node(3);
    witness.observed = {{to_string(key(2)), at("10.244.2.9:51820")}};
    put(witness);
    put(node(2));
    const auto result = merge();
    EXPECT_EQ(find(result, "node2")->candidates.size(), 1U);
    EXPECT_EQ(reason(result, "node2", "10.244.2.9:51820"),
              "an endpoint inside 10.244.2.0/24, which is steered to node2: a tunnel inside a tunnel");
}

TEST_F(RegistryEndpoints, InsideTheirOwnPrefixAreRefused) {
    Record bad = node(2);
    bad.endpoints = {where("10.244.2.9:51820"), where("192.0.2.2:51820")};
    put(bad);
    const auto result = merge();
    EXPECT_EQ(find(result, "node2")->candidates.size(), 1U);
    EXPECT_EQ(reason(result, "node2", "10.244.2.9:51820"),
              "an endpoint inside 10.244.2.0/24, which is steered to node2: a tunnel inside a tunnel");
}

TEST_F(RegistryEndpoints, InsideAnAssignedPrefixAreRefused) {
    Record edge;
    edge.name = "edge";
    edge.public_key = key(9);
    edge.prefixes = {net("10.9.0.0/24")};
    registry.put(said(edge, SourceKind::static_entry, "static"), now);
    Record inside = node(2);
    inside.endpoints = {where("10.9.0.2:51820")};
    put(inside);
    const auto result = merge();
    EXPECT_TRUE(find(result, "node2")->candidates.empty());
    EXPECT_EQ(reason(result, "node2", "10.9.0.2:51820"),
              "an endpoint inside 10.9.0.0/24, which is steered to edge: a tunnel inside a tunnel");
}

}  // namespace
}  // namespace wglan
