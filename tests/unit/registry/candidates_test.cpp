// SPDX-License-Identifier: Apache-2.0
// Where peers may be reached, by their own word and by that of other members.
#include "tests/unit/registry/registry_fixture.h"

namespace wglan {
namespace {

using namespace samples;

class RegistryCandidates : public RegistryTest {};

TEST_F(RegistryCandidates, CandidatesAreOrderedAndUnique) {
    Record far = node(2);
    far.endpoints = {where("10.50.0.2:51820"), where("203.0.113.2:51820"), where("[2001:db8::2]:51820"),
                     where("192.0.2.2:51820"), where("192.0.2.2:51820")};
    SourcedRecord sourced = said(far);
    sourced.observed_address = ip("198.51.100.9");
    registry.put(sourced, now);
    const auto result = merge();
    std::string order;
    for (const Candidate& candidate : result.peers.at(0).candidates)
        order += candidate.where.to_string() + " ";
    EXPECT_EQ(order,
              "192.0.2.2:51820 [2001:db8::2]:51820 203.0.113.2:51820 198.51.100.9:51820 10.50.0.2:51820 ")
        << "IPv6 before IPv4 where NATs may stand in between";
}

TEST_F(RegistryCandidates, WhatOtherMembersSeeIsACandidate) {
    const Endpoint seen = at("198.51.100.7:40001"), rare = at("198.51.100.8:1");
    for (const auto witness : {std::uint8_t{3}, std::uint8_t{4}}) {
        Record record = node(witness);
        record.observed = {{to_string(key(2)), seen}, {to_string(key(witness)), at("203.0.113.9:9")}};
        if (witness == 4) record.observed[to_string(key(2))] = rare;
        put(record);
    }
    Record third = node(5);
    third.observed = {{to_string(key(2)), seen}, {to_string(key(1)), seen}};
    put(third);
    put(node(2));
    const auto result = merge();
    std::vector<Candidate> found = find(result, "node2")->candidates;
    ASSERT_EQ(found.size(), 3U);
    EXPECT_EQ(found[0].where.to_string(), "192.0.2.2:51820");
    EXPECT_EQ(found[1].where.to_string(), seen.to_string()) << "what most of them see comes first";
    EXPECT_EQ(found[1].source, CandidateSource::peers);
    EXPECT_EQ(found[2].where.to_string(), rare.to_string());
    EXPECT_GT(found[0].base, found[1].base);
    EXPECT_EQ(find(result, "node3")->candidates.size(), 1U) << "nobody is a witness of himself";
    EXPECT_EQ(result.seen_of_us, std::vector<Endpoint>{seen}) << "of ourselves too";
}

TEST_F(RegistryCandidates, WitnessesAreBounded) {
    for (int witness = 10; witness < 60; ++witness) {
        Record record = node(static_cast<std::uint8_t>(witness));
        record.observed = {{to_string(key(2)), at("198.51.100.7:" + std::to_string(witness))}};
        put(record);
    }
    put(node(2));
    EXPECT_EQ(find(merge(), "node2")->candidates.size(), 5U);
}

TEST_F(RegistryCandidates, KnowsWhoSaysToSeeAKey) {
    Record witness = node(2);
    witness.observed = {{to_string(key(1)), at("198.51.100.7:4444")},
                        {to_string(key(3)), at("198.51.100.8:1")}};
    put(witness);
    put(node(3));
    Record itself = node(4);
    itself.observed = {{to_string(key(4)), at("198.51.100.9:1")}};
    put(itself);
    using Seen = std::vector<std::pair<PublicKey, Endpoint>>;
    EXPECT_EQ(registry.who_sees(key(1)), (Seen{{key(2), at("198.51.100.7:4444")}}));
    EXPECT_EQ(registry.who_sees(key(4)), Seen{}) << "of itself it says nothing that counts";
}

}  // namespace
}  // namespace wglan
