// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/wire.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "fixture.h"

namespace wglan::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

json good() { return json::parse(envelope_json(Node(1).envelope(cluster_keys(), 7))); }

TEST(Envelope, RoundTrips) {
    auto envelope = Node(1).envelope(cluster_keys(), 7);
    EXPECT_EQ(must(parse_envelope(envelope_json(envelope))), envelope);
    envelope.member_key.reset();
    EXPECT_EQ(must(parse_envelope(envelope_json(envelope))), envelope);
}

TEST(Envelope, IgnoresUnknownFields) {
    auto object = good();
    const auto before = must(parse_envelope(object.dump()));
    object["future"] = {{"deep", {1, 2, 3}}};
    EXPECT_EQ(must(parse_envelope(object.dump())), before);
}

struct BadField {
    const char* field;
    json value;
    const char* says;
};

class BadEnvelope : public ::testing::TestWithParam<BadField> {};

TEST_P(BadEnvelope, IsRefusedAndTheFieldNamed) {
    auto object = good();
    if (GetParam().value.is_discarded())
        object.erase(GetParam().field);
    else
        object[GetParam().field] = GetParam().value;
    auto parsed = parse_envelope(object.dump());
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().kind(), ErrorKind::invalid);
    EXPECT_THAT(parsed.error().message(), HasSubstr("\"" + std::string(GetParam().field) + "\""));
    EXPECT_THAT(parsed.error().message(), HasSubstr(GetParam().says));
}

const json kAbsent = json::parse("", nullptr, false);
const std::string kBytes64 = base64_encode(std::vector<std::uint8_t>(64));
INSTANTIATE_TEST_SUITE_P(
    Fields, BadEnvelope,
    ::testing::Values(
        BadField{"sequence", kAbsent, "missing"}, BadField{"sequence", 0, "out of range"},
        BadField{"sequence", -1, "not negative"}, BadField{"sequence", "7", "whole number"},
        BadField{"sequence", 1.5, "whole number"}, BadField{"sequence", kMaxSequence + 1, "out of range"},
        BadField{"sequence", nullptr, "whole number"}, BadField{"issued", -5, "not negative"},
        BadField{"issued", kAbsent, "missing"}, BadField{"ttlSeconds", 29, "30 to 3600"},
        BadField{"ttlSeconds", 3601, "30 to 3600"}, BadField{"payload", kAbsent, "missing"},
        BadField{"payload", 5, "string"}, BadField{"payload", "a", "base64"},
        BadField{"payload", "_-_-", "base64"}, BadField{"payload", std::string(30000, 'A'), "16384"},
        BadField{"signature", "AAAA", "must be 64"}, BadField{"signature", kBytes64 + "AAAA", "64"},
        BadField{"member", kAbsent, "missing"}, BadField{"member", json::array(), "string"},
        BadField{"memberKey", kBytes64, "32"}, BadField{"memberKey", 1, "string"}));

TEST(Envelope, PayloadOfTheLimitFitsAndOneMoreByteDoesNot) {
    auto object = good();
    object["payload"] = base64_encode(std::vector<std::uint8_t>(kMaxPayload));
    EXPECT_TRUE(parse_envelope(object.dump()));
    object["payload"] = base64_encode(std::vector<std::uint8_t>(kMaxPayload + 1));
    EXPECT_FALSE(parse_envelope(object.dump()));
}

TEST(Envelope, RefusesWhatIsNoJsonObject) {
    for (std::string text : {"", "[]", "5", "null", "{", "{\"a\":", "\xff\xfe", "{\"sequence\":1}{"})
        EXPECT_FALSE(parse_envelope(text)) << text;
    EXPECT_THAT(message(parse_envelope("{\"a\":" + std::string(10000, '['))), HasSubstr("deep"));
    EXPECT_THAT(message(parse_envelope("{\"a\":\"\\\"" + std::string(10000, '[') + "\"}")),
                HasSubstr("missing"));
    EXPECT_THAT(message(parse_envelope(std::string(kMaxEnvelopeJson + 1, ' '))), HasSubstr("at most"));
}

TEST(VerifyEnvelope, NoticesEveryChangedByte) {
    const auto keys = cluster_keys();
    const Node node(1), other(2);
    const auto envelope = node.envelope(keys, 7);
    EXPECT_TRUE(verify_envelope(keys.cluster(), node.identity, envelope, keys.member_key()));
    auto changed = [&](auto change) {
        auto copy = envelope;
        change(copy);
        return verify_envelope(keys.cluster(), node.identity, copy, keys.member_key()).has_value();
    };
    EXPECT_FALSE(changed([](Envelope& e) { ++e.sequence; }));
    EXPECT_FALSE(changed([](Envelope& e) { ++e.issued; }));
    EXPECT_FALSE(changed([](Envelope& e) { ++e.ttl_seconds; }));
    EXPECT_FALSE(changed([](Envelope& e) { e.payload[30] ^= 1; }));
    EXPECT_FALSE(changed([](Envelope& e) { e.payload.pop_back(); }));
    EXPECT_FALSE(changed([](Envelope& e) { e.payload.clear(); }));
    EXPECT_FALSE(changed([](Envelope& e) { e.signature[0] ^= 1; }));
    EXPECT_FALSE(changed([](Envelope& e) { e.member[63] ^= 1; }));
    EXPECT_FALSE(verify_envelope(keys.cluster(), other.identity, envelope, keys.member_key()));
    EXPECT_FALSE(verify_envelope(std::string(64, '0'), node.identity, envelope, keys.member_key()));
}

TEST(VerifyEnvelope, SaysWhichSignatureIsWrong) {
    const auto keys = cluster_keys(), others = cluster_keys("another token of enough bytes");
    const Node node(1);
    EXPECT_THAT(
        message(verify_envelope(keys.cluster(), node.identity, node.envelope(keys, 1), others.member_key())),
        HasSubstr("member"));
    auto forged = node.envelope(keys, 1);
    forged.signature.fill(0);
    EXPECT_THAT(message(verify_envelope(keys.cluster(), node.identity, forged, keys.member_key())),
                HasSubstr("identity"));
}

TEST(Freshness, AcceptsADayBackAndTenMinutesAhead) {
    EXPECT_TRUE(check_freshness(kNow - 86400, kNow, true));
    EXPECT_THAT(message(check_freshness(kNow - 86401, kNow, true)), HasSubstr("stale"));
    EXPECT_TRUE(check_freshness(kNow + 600, kNow, true));
    EXPECT_THAT(message(check_freshness(kNow + 601, kNow, true)), HasSubstr("future"));
    EXPECT_FALSE(check_freshness(static_cast<UnixTime>(kMaxSequence), 0, true));
}

TEST(Freshness, AnUnsynchronisedClockJudgesNothing) {
    EXPECT_TRUE(check_freshness(kNow - 1000000, kNow, false));
    EXPECT_TRUE(check_freshness(kNow + 1000000, kNow, false));
}

TEST(WatchEvent, RoundTrips) {
    const auto keys = cluster_keys();
    const Node node(3);
    auto entry = node.entry(keys, 4);
    entry.observed_address = must(IpAddress::parse("203.0.113.9"));
    NodeEntry only_id;
    only_id.node = node.identity;
    for (const auto& event : {WatchEvent{WatchEvent::Type::put, "e1-5", false, entry},
                              WatchEvent{WatchEvent::Type::remove, "e1-6", false, node.tombstone(keys, 5)},
                              WatchEvent{WatchEvent::Type::remove, "e1-7", true, only_id},
                              WatchEvent{WatchEvent::Type::bookmark, "e1-8", false, {}}}) {
        const auto line = watch_event_json(event);
        EXPECT_EQ(line.find('\n'), std::string::npos);
        EXPECT_EQ(must(parse_watch_event(line)), event) << line;
    }
}

TEST(WatchEvent, RefusesWhatMakesNoSense) {
    const auto keys = cluster_keys();
    const Node node(3);
    const auto put = node_entry_json(node.entry(keys, 4)),
               tombstone = node_entry_json(node.tombstone(keys, 5));
    for (std::string line :
         {std::string("garbage"), std::string("{}"), std::string(R"({"type":"put","revision":"1"})"),
          std::string(R"({"type":"other","revision":"1"})"),
          std::string(R"({"type":"bookmark","revision":5})"),
          std::string(R"({"type":"bookmark","revision":""})"),
          std::string(R"({"type":"bookmark","revision":"1&x=2"})"),
          std::string(R"({"type":"delete","revision":"1","expired":"yes","node":{}})"),
          std::string(R"({"type":"delete","revision":"1","expired":true,"node":{"node":"short"}})"),
          R"({"type":"put","revision":"1","node":)" + tombstone + "}",
          R"({"type":"delete","revision":"1","node":)" + put + "}"})
        EXPECT_FALSE(parse_watch_event(line)) << line;
}

TEST(NodeList, OneBrokenEntryLeavesTheOthers) {
    const auto keys = cluster_keys();
    const Node one(1), two(2);
    auto broken = json::parse(node_entry_json(two.entry(keys, 1)));
    broken["sequence"] = "x";
    const auto text = node_list_json(
        "e-9",
        {node_entry_json(one.entry(keys, 4)), broken.dump(), "7", node_entry_json(two.tombstone(keys, 2))},
        {node_entry_json(two.tombstone(keys, 3))});
    auto list = must(parse_node_list(text));
    EXPECT_EQ(list.revision, "e-9");
    ASSERT_EQ(list.nodes.size(), 1U);
    EXPECT_EQ(list.nodes[0].node, one.identity);
    ASSERT_EQ(list.tombstones.size(), 1U);
    EXPECT_EQ(list.bad.size(), 3U);
    EXPECT_THAT(list.bad[0], HasSubstr(to_string(two.identity)));
}

TEST(NodeList, RefusesABrokenWhole) {
    EXPECT_TRUE(parse_node_list(R"({"revision":"1","nodes":[]})"));
    for (std::string text :
         {R"({"revision":"1"})", R"({"nodes":[]})", R"({"revision":"1","nodes":{}})", "[]", ""})
        EXPECT_FALSE(parse_node_list(text)) << text;
}

TEST(Answers, RoundTrip) {
    auto put = must(parse_put_answer(put_answer_json({"e-1", must(IpAddress::parse("2001:db8::9"))})));
    EXPECT_EQ(put.revision, "e-1");
    EXPECT_EQ(put.observed_address, must(IpAddress::parse("2001:db8::9")));
    EXPECT_EQ(must(parse_conflict(conflict_json("no", 42))), 42U);
    EXPECT_FALSE(parse_conflict("{\"error\":\"no\"}"));
}

TEST(Paths, AreThoseOfTheApi) {
    const auto cluster = cluster_keys().cluster();
    EXPECT_EQ(node_path(cluster, Node(1).identity),
              "/v1/clusters/" + cluster + "/nodes/" + to_string(Node(1).identity));
    EXPECT_TRUE(is_cluster_id(cluster));
    EXPECT_FALSE(is_cluster_id(cluster.substr(1)));
    EXPECT_FALSE(is_cluster_id(std::string(64, 'A')));
}

}  // namespace
}  // namespace wglan::testing
