// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/record_codec.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "agent/discovery/record_rules.h"
#include "fixture.h"

namespace wglan::testing {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Record sample() {
    auto record = Node(1).record;
    record.sequence = 0;
    record.issued = 0;
    return record;
}
json sample_json() { return json::parse(must(encode_record(sample()))); }

TEST(RecordCodec, RoundTrips) {
    auto record = sample();
    record.observed[to_string(Node(2).record.public_key)] = must(Endpoint::parse("198.51.100.7:40001"));
    record.prefixes = {must(Prefix::parse("0.0.0.0/0")), must(Prefix::parse("10.9.0.0/24"))};
    EXPECT_EQ(must(decode_record(must(encode_record(record)))), record);
}

TEST(RecordCodec, SameRecordInAnyOrderGivesTheSameBytes) {
    auto record = sample();
    record.name = "Node1";
    record.prefixes = {must(Prefix::parse("10.9.0.0/24")), must(Prefix::parse("10.8.0.0/24"))};
    record.node_addresses.push_back(record.node_addresses[0]);
    auto other = sample();
    other.prefixes = {must(Prefix::parse("10.8.0.0/24")), must(Prefix::parse("10.9.0.0/24")),
                      must(Prefix::parse("10.9.0.0/24"))};
    other.sequence = 99;
    EXPECT_EQ(must(encode_record(record)), must(encode_record(other)));
}

TEST(RecordCodec, KeepsEndpointOrderAndDropsUselessOnes) {
    auto record = sample();
    record.endpoints.clear();
    for (const char* text : {"203.0.113.1:1", "192.0.2.1:2", "127.0.0.1:3", "[fe80::1]:4", "0.0.0.0:5",
                             "203.0.113.1:1", "host.example:6"})
        record.endpoints.push_back(must(HostPort::parse(text)));
    auto decoded = must(decode_record(must(encode_record(record))));
    std::vector<std::string> texts;
    for (const auto& endpoint : decoded.endpoints) texts.push_back(endpoint.to_string());
    EXPECT_THAT(texts, ElementsAre("203.0.113.1:1", "192.0.2.1:2", "host.example:6"));
}

TEST(RecordCodec, IgnoresUnknownFieldsAndReadsLaterVersions) {
    auto object = sample_json();
    object["version"] = 2;
    object["relay"] = {{"willing", true}};
    EXPECT_EQ(must(decode_record(object.dump())), sample());
}

TEST(RecordCodec, OptionalListsMayBeAbsent) {
    auto object = sample_json();
    for (const char* field : {"endpoints", "nodeAddresses", "podPrefixes", "prefixes", "labels", "observed"})
        object.erase(field);
    auto record = must(decode_record(object.dump()));
    EXPECT_TRUE(record.endpoints.empty() && record.pod_prefixes.empty() && record.labels.empty());
}

struct BadField {
    const char* field;
    json value;
};
class BadRecord : public ::testing::TestWithParam<BadField> {};

TEST_P(BadRecord, IsRefusedAndTheFieldNamed) {
    auto object = sample_json();
    if (GetParam().value.is_discarded())
        object.erase(GetParam().field);
    else
        object[GetParam().field] = GetParam().value;
    auto decoded = decode_record(object.dump());
    ASSERT_FALSE(decoded) << object.dump();
    EXPECT_THAT(decoded.error().message(), HasSubstr("\"" + std::string(GetParam().field) + "\""));
}

const json kAbsent = json::parse("", nullptr, false);
json many(std::size_t count, auto make) {
    json out = json::array();
    for (std::size_t i = 0; i < count; ++i) out.push_back(make(i));
    return out;
}
json labels(std::size_t count) {
    json out = json::object();
    for (std::size_t i = 0; i < count; ++i) out["k" + std::to_string(i)] = "v";
    return out;
}
INSTANTIATE_TEST_SUITE_P(
    Fields, BadRecord,
    ::testing::Values(
        BadField{"version", kAbsent}, BadField{"version", 0}, BadField{"name", kAbsent}, BadField{"name", ""},
        BadField{"name", "a b"}, BadField{"name", "-a"}, BadField{"name", "a-"}, BadField{"name", "a..b"},
        BadField{"name", "a."}, BadField{"name", std::string(64, 'a')},
        BadField{"name", std::string(254, 'a')}, BadField{"name", "a\nb"}, BadField{"name", 5},
        BadField{"publicKey", kAbsent}, BadField{"publicKey", "AAAA"},
        BadField{"publicKey", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}, BadField{"identity", kAbsent},
        BadField{"identity", "AAAA"}, BadField{"address", kAbsent}, BadField{"address", "10.0.0.1"},
        BadField{"address", "::"}, BadField{"address", "fe80::1"}, BadField{"address", "ff02::1"},
        BadField{"endpoints", "x"}, BadField{"endpoints", {1}}, BadField{"endpoints", {"noport"}},
        BadField{"endpoints", {"1.2.3.4:0"}},
        BadField{"endpoints", many(65, [](std::size_t i) { return "h" + std::to_string(i) + ".example:1"; })},
        BadField{"nodeAddresses", {"127.0.0.1"}}, BadField{"nodeAddresses", {"224.0.0.1"}},
        BadField{"nodeAddresses", many(33, [](std::size_t i) { return "10.0.0." + std::to_string(i + 1); })},
        BadField{"podPrefixes", {"10.0.0.1/24"}}, BadField{"podPrefixes", {"10.0.0.0/33"}},
        BadField{"podPrefixes", {"127.0.0.0/8"}}, BadField{"prefixes", {"fe80::/64"}},
        BadField{"prefixes", {"224.0.0.0/8"}}, BadField{"prefixes", {"::1/128"}},
        BadField{"prefixes", many(1025, [](std::size_t i) { return json(i % 2 == 0 ? "::/0" : "::/1"); })},
        BadField{"labels", labels(65)}, BadField{"labels", {{"k", 1}}}, BadField{"labels", {{"", "v"}}},
        BadField{"labels", {{"k", "a\x1b[31m"}}}, BadField{"labels", {{"k", std::string(257, 'v')}}},
        BadField{"observed", {{"notakey", "1.2.3.4:5"}}}, BadField{"observed", json::array()},
        BadField{"observed", {{"zo060cy2M+x7cMF4FKXHbs0CloUFDTRHRboFhw5YfVk=", "127.0.0.1:5"}}}));

TEST(RecordCodec, RefusesWhatIsNoObject) {
    for (std::string text : {"", "{", "[]", "\x80", "{\"version\":1"})
        EXPECT_FALSE(decode_record(text)) << text;
    EXPECT_FALSE(decode_record(std::string(kMaxPayload + 1, ' ')));
}

TEST(RecordCodec, WontEncodeWhatOthersWouldRefuse) {
    auto record = sample();
    record.name = "under_score";
    EXPECT_THAT(message(encode_record(record)), HasSubstr("\"name\""));
}

TEST(SealEnvelope, SaysThatARecordIsTooLarge) {
    Node node(1);
    for (unsigned i = 0; i < 1024; ++i)
        node.record.prefixes.push_back(
            must(Prefix::parse("10." + std::to_string(i / 256) + "." + std::to_string(i % 256) + ".0/24")));
    node.record.pod_prefixes = node.record.prefixes;
    auto sealed = seal_envelope(cluster_keys(), node.seed.bytes(), node.record, 120);
    ASSERT_FALSE(sealed);
    EXPECT_EQ(sealed.error().kind(), ErrorKind::exhausted);
    EXPECT_THAT(sealed.error().message(), HasSubstr("16384"));
}

TEST(OpenEnvelope, GivesTheRecordWithSequenceAndTime) {
    const auto keys = cluster_keys();
    const Node node(1);
    auto record = must(open_envelope(keys, node.identity, node.envelope(keys, 9, kNow - 5)));
    EXPECT_EQ(record.sequence, 9U);
    EXPECT_EQ(record.issued, kNow - 5);
    EXPECT_EQ(record.name, "node1");
}

TEST(OpenEnvelope, RefusesARecordThatClaimsAnotherIdentity) {
    const auto keys = cluster_keys();
    const Node thief(1), victim(2);
    const auto entry = thief.entry_of(keys, 5, must(encode_record(victim.record)));
    EXPECT_THAT(message(open_envelope(keys, thief.identity, entry.envelope)), HasSubstr("identity"));
    EXPECT_FALSE(open_envelope(keys, victim.identity, entry.envelope));
}

TEST(OpenEnvelope, RefusesAnotherClustersSeal) {
    const auto keys = cluster_keys();
    const Node node(1);
    const auto others = must(ClusterKeys::derive(as_bytes("another token of enough bytes"), keys.cluster()));
    auto payload = others.seal_record(node.identity, 5, must(encode_record(node.record)));
    auto envelope = keys.sign_envelope(node.seed.bytes(), node.identity, 5, kNow, 120, payload);
    EXPECT_THAT(message(open_envelope(keys, node.identity, envelope)), HasSubstr("wrongly sealed"));
}

TEST(OpenEnvelope, RefusesASealMadeForAnotherSequence) {
    const auto keys = cluster_keys();
    const Node node(1);
    auto payload = keys.seal_record(node.identity, 5, must(encode_record(node.record)));
    auto envelope = keys.sign_envelope(node.seed.bytes(), node.identity, 6, kNow, 120, payload);
    EXPECT_THAT(message(open_envelope(keys, node.identity, envelope)), HasSubstr("wrongly sealed"));
}

TEST(OpenEnvelope, RefusesATruncatedSeal) {
    const auto keys = cluster_keys();
    const Node node(1);
    for (std::size_t size : {1U, 23U, 24U, 39U, 40U, 100U}) {
        auto payload = node.envelope(keys, 5).payload.substr(0, size);
        auto envelope = keys.sign_envelope(node.seed.bytes(), node.identity, 5, kNow, 120, payload);
        EXPECT_THAT(message(open_envelope(keys, node.identity, envelope)), HasSubstr("wrongly sealed"))
            << size;
    }
}

TEST(OpenTombstone, IsNoRecordAndNoRecordIsATombstone) {
    const auto keys = cluster_keys();
    const Node node(1);
    EXPECT_TRUE(open_tombstone(keys, node.identity, node.tombstone(keys, 5).envelope));
    EXPECT_FALSE(open_tombstone(keys, node.identity, node.envelope(keys, 5)));
    EXPECT_FALSE(open_envelope(keys, node.identity, node.tombstone(keys, 5).envelope));
}

TEST(ClusterKeys, RefusesABadDiscoveryIdAndAnEmptyToken) {
    EXPECT_FALSE(ClusterKeys::derive(as_bytes(kToken), "short"));
    EXPECT_FALSE(ClusterKeys::derive({}, cluster_keys().cluster()));
}

TEST(OwnSealer, HandsOutTheSameBytesForTheSameRecord) {
    Node node(1);
    auto keys = std::make_shared<const ClusterKeys>(cluster_keys());
    OwnSealer sealer(keys, std::make_shared<const Secret>(node.seed.clone()), node.identity);
    const auto first = must(sealer.envelope(node.record));
    EXPECT_EQ(must(sealer.envelope(node.record)), first);
    node.record.sequence = 2;
    EXPECT_NE(must(sealer.envelope(node.record)), first);
    EXPECT_EQ(sealer.envelope(Node(2).record).error().kind(), ErrorKind::permission);
}

}  // namespace
}  // namespace wglan::testing
