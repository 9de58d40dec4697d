// SPDX-License-Identifier: Apache-2.0
// The published vectors (made by an independent implementation) against the code, and against the
// document that shows them.
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "agent/base/file.h"
#include "agent/discovery/psk.h"
#include "fixture.h"

namespace wglan::testing {
namespace {

using nlohmann::json;

class Vectors : public ::testing::Test {
protected:
    static std::string source_file(std::string_view path) {
        return must(read_file(std::string(WGLAN_SOURCE_DIR) + "/" + std::string(path)));
    }
    std::string text(const char* field) const { return vectors_.at(field).get<std::string>(); }
    ClusterKeys keys() const {
        return must(ClusterKeys::derive(as_bytes(text("token")), text("discoveryID")));
    }
    IdentityKey identity() const { return must(parse_identity_key(text("identity"))); }
    static std::string unhex(std::string_view hex) {
        std::string out;
        for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
            out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
        return out;
    }

    json vectors_ = json::parse(source_file("tests/unit/discovery/vectors.json"));
};

TEST_F(Vectors, TokenGivesDiscoveryIdAndKeys) {
    EXPECT_EQ(hex_encode(sha256(as_bytes(text("token")))), text("discoveryID"));
    EXPECT_EQ(base64_encode(keys().member_key().bytes), text("memberKey"));
    EXPECT_EQ(hex_encode(hkdf_sha256(as_bytes(text("token")), {}, "wglan/v1/member").bytes),
              text("memberSeed"));
    EXPECT_EQ(hex_encode(hkdf_sha256(as_bytes(text("token")), {}, "wglan/v1/seal").bytes), text("sealKey"));
}

TEST_F(Vectors, SeedGivesIdentity) {
    EXPECT_EQ(to_string(must(identity_of(as_bytes(unhex(text("identitySeed")))))), text("identity"));
}

TEST_F(Vectors, RecordIsCanonical) {
    auto record = must(decode_record(text("record")));
    EXPECT_EQ(must(encode_record(record)), text("record"));
    EXPECT_EQ(record.name, "node-a");
    EXPECT_EQ(record.endpoints.size(), 3U);
    EXPECT_EQ(record.observed.size(), 1U);
}

TEST_F(Vectors, EnvelopeOpensToTheRecord) {
    auto envelope = must(parse_envelope(vectors_["envelope"].dump()));
    EXPECT_EQ(hex_encode(as_bytes(envelope.payload.substr(0, 24))), text("nonce"));
    auto record = must(open_envelope(keys(), identity(), envelope));
    EXPECT_EQ(must(encode_record(record)), text("record"));
    EXPECT_EQ(record.sequence, 7U);
    EXPECT_EQ(record.issued, 1767225600);
}

TEST_F(Vectors, SignaturesAreTheSameBytes) {
    auto envelope = must(parse_envelope(vectors_["envelope"].dump()));
    auto bytes =
        signed_bytes(EnvelopeKind::put, keys().cluster(), identity(), 7, 1767225600, 120, envelope.payload);
    EXPECT_EQ(bytes, text("signedPrefix") + envelope.payload);
    auto seed = unhex(text("identitySeed"));
    auto made = keys().sign_envelope(as_bytes(seed), identity(), 7, 1767225600, 120, envelope.payload);
    EXPECT_EQ(made, envelope);
    EXPECT_EQ(json::parse(envelope_json(made)), vectors_["envelope"]);
}

TEST_F(Vectors, TombstoneVerifiesAndIsTheSameBytes) {
    auto envelope = must(parse_envelope(vectors_["tombstone"].dump()));
    EXPECT_EQ(must(open_tombstone(keys(), identity(), envelope)), (Tombstone{identity(), 8, 1767225660}));
    auto seed = unhex(text("identitySeed"));
    EXPECT_EQ(keys().sign_envelope(as_bytes(seed), identity(), 8, 1767225660, 3600, {}), envelope);
}

TEST_F(Vectors, PresharedKeyIsTheSameFromBothSides) {
    const auto& pair = vectors_["presharedKey"];
    auto one = must(parse_public_key(pair["one"].get<std::string>()));
    auto other = must(parse_public_key(pair["other"].get<std::string>()));
    auto token = text("token");
    EXPECT_EQ(base64_encode(derive_preshared_key(as_bytes(token), one, other).bytes), pair["key"]);
    EXPECT_EQ(base64_encode(derive_preshared_key(as_bytes(token), other, one).bytes), pair["key"]);
    EXPECT_NE(base64_encode(derive_preshared_key(as_bytes(token), one, one).bytes), pair["key"]);
}

TEST_F(Vectors, DocumentShowsTheSameVectors) {
    const auto document = source_file("docs/discovery-protocol.md");
    const auto begin = document.find("```json vectors\n");
    ASSERT_NE(begin, std::string::npos) << "docs/discovery-protocol.md has no ```json vectors block";
    const auto start = document.find('\n', begin) + 1;
    const auto end = document.find("```", start);
    EXPECT_EQ(json::parse(document.substr(start, end - start), nullptr, false), vectors_);
}

}  // namespace
}  // namespace wglan::testing
