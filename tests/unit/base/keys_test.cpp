// SPDX-License-Identifier: Apache-2.0
#include "agent/base/keys.h"

#include <unordered_set>
#include <vector>

#include <gmock/gmock.h>

namespace wglan {
namespace {

std::string from_hex(std::string_view hex) {
    std::string out;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
        out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
    return out;
}

class Keys : public testing::Test {
protected:
    void SetUp() override { ASSERT_TRUE(init_crypto()); }
};

TEST_F(Keys, Base64VectorsOfRfc4648) {
    const std::vector<std::pair<std::string, std::string>> table = {
        {"", ""},        {"f", "Zg=="},        {"fo", "Zm8="},
        {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"foobar", "Zm9vYmFy"}};
    for (const auto& [plain, text] : table) {
        EXPECT_EQ(base64_encode(as_bytes(plain)), text);
        EXPECT_EQ(base64_decode(text).value(), plain);
        const std::string url = text.substr(0, text.find('='));
        EXPECT_EQ(base64url_encode(as_bytes(plain)), url);
        EXPECT_EQ(base64url_decode(url).value(), plain);
    }
    EXPECT_EQ(base64_encode(as_bytes("\xfb\xff")), "+/8=");
    EXPECT_EQ(base64url_encode(as_bytes("\xfb\xff")), "-_8");
}

TEST_F(Keys, Base64IsStrict) {
    for (const std::string text : {"Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Z", "Zm9v\n", " Zm9v", "Zm 9v",
                                   "Zm-v", "Zg==Zg==", "====", "Zm9v="})
        EXPECT_FALSE(base64_decode(text)) << text;
    for (const std::string text : {"Zg==", "Zh", "Zm9", "Z", "Zm+v", "Zm9v\n"})
        EXPECT_FALSE(base64url_decode(text)) << text;
    EXPECT_FALSE(base64_decode(std::string_view("Zm9v\0", 5)));
    for (int byte = 0x80; byte < 0x100; ++byte) {
        std::string text = "Zm9v";
        text[1] = static_cast<char>(byte);
        EXPECT_FALSE(base64_decode(text)) << byte;
        EXPECT_FALSE(base64url_decode(text)) << byte;
    }
    // libsodium takes bytes past ASCII for digits.
    EXPECT_FALSE(base64_decode("J\xe5J\xe5"));
    EXPECT_FALSE(base64url_decode("J\xe5J\xe5"));
}

TEST_F(Keys, PublicKeyTextRoundTrips) {
    PublicKey key;
    for (std::size_t i = 0; i < 32; ++i) key.bytes[i] = static_cast<std::uint8_t>(i * 7);
    EXPECT_EQ(to_string(key).size(), 44U);
    EXPECT_EQ(parse_public_key(to_string(key)).value(), key);
    IdentityKey identity{key.bytes};
    EXPECT_EQ(to_string(identity).size(), 43U);
    EXPECT_EQ(parse_identity_key(to_string(identity)).value(), identity);

    const std::string good = to_string(key);
    EXPECT_FALSE(parse_public_key(good.substr(0, 43)));
    EXPECT_FALSE(parse_public_key(good + "\n"));
    EXPECT_FALSE(parse_public_key(good.substr(0, 40) + "===="));
    EXPECT_FALSE(parse_public_key(std::string(44, 'A')));  // 33 bytes
    EXPECT_FALSE(parse_public_key(""));
    EXPECT_FALSE(parse_identity_key(good));
    std::string last_bits(43, 'A');
    last_bits.back() = 'B';  // padding bits that aren't zero
    EXPECT_FALSE(parse_identity_key(last_bits));
    EXPECT_FALSE(parse_public_key(last_bits + "="));
}

TEST_F(Keys, HashSetOfKeys) {
    std::unordered_set<PublicKey> set;
    for (int i = 0; i < 8; ++i) set.insert(public_key_of(make_private_key().bytes()).value());
    EXPECT_EQ(set.size(), 8U);
}

// RFC 7748 section 6.1.
TEST_F(Keys, X25519Vectors) {
    const std::string alice = from_hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    EXPECT_EQ(hex_encode(public_key_of(as_bytes(alice))->bytes),
              "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    EXPECT_FALSE(public_key_of(as_bytes(alice).first(31)));
    EXPECT_FALSE(public_key_of({}));
}

TEST_F(Keys, PrivateKeyTextRoundTrips) {
    const Secret key = make_private_key();
    ASSERT_EQ(key.size(), 32U);
    EXPECT_EQ(key.bytes()[0] & 7, 0);
    EXPECT_EQ(key.bytes()[31] & 0xc0, 0x40);
    const Secret text = private_key_text(key);
    EXPECT_EQ(text.size(), 44U);
    EXPECT_EQ(parse_private_key(text.text())->text(), key.text());
}

TEST_F(Keys, PrivateKeyIsClampedAndStrict) {
    const std::string all_ones = base64_encode(as_bytes(std::string(32, '\xff')));
    const auto key = parse_private_key(all_ones);
    ASSERT_TRUE(key);
    EXPECT_EQ(key->bytes()[0], 0xf8);
    EXPECT_EQ(key->bytes()[31], 0x7f);
    EXPECT_FALSE(parse_private_key(base64_encode(as_bytes(std::string(32, '\0')))));
    EXPECT_FALSE(parse_private_key(all_ones.substr(1)));
    EXPECT_FALSE(parse_private_key(""));
    const auto error = parse_private_key("SECRETSECRETSECRETSECRETSECRETSECRETSECRET!!").error();
    EXPECT_EQ(error.message().find("SECRET"), std::string::npos);
}

// RFC 8032 section 7.1, tests 1 and 3.
TEST_F(Keys, Ed25519Vectors) {
    struct Row {
        const char *seed, *key, *message, *signature;
    };
    const std::vector<Row> table = {
        {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
         "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
         "d25bf5f0595bbe24655141438e7a100b"},
        {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
         "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
         "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
         "4a7c15e9716ed28dc027beceea1ec40a"}};
    for (const Row& row : table) {
        const std::string seed = from_hex(row.seed);
        const std::string message = from_hex(row.message);
        const auto identity = identity_of(as_bytes(seed)).value();
        EXPECT_EQ(hex_encode(identity.bytes), row.key);
        auto signature = sign(as_bytes(seed), as_bytes(message));
        EXPECT_EQ(hex_encode(signature), row.signature);
        EXPECT_TRUE(verify(identity, as_bytes(message), signature));
        EXPECT_FALSE(verify(identity, as_bytes(message + "x"), signature));
        EXPECT_FALSE(verify(identity, as_bytes(message), std::span(signature).first(63)));
        signature[5] ^= 1;
        EXPECT_FALSE(verify(identity, as_bytes(message), signature));
        EXPECT_FALSE(verify(IdentityKey{}, as_bytes(message), signature));
    }
    EXPECT_FALSE(identity_of(as_bytes("short")));
}

// RFC 5869 appendix A, tests 1, 2 and 3, first 32 bytes of the output.
TEST_F(Keys, HkdfVectors) {
    const std::string ikm(22, '\x0b');
    EXPECT_EQ(hex_encode(hkdf_sha256(as_bytes(ikm), as_bytes(from_hex("000102030405060708090a0b0c")),
                                     from_hex("f0f1f2f3f4f5f6f7f8f9"))
                             .bytes),
              "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
    EXPECT_EQ(hex_encode(hkdf_sha256(as_bytes(ikm), {}, "").bytes),
              "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
    std::string long_ikm;
    std::string salt;
    std::string info;
    for (int i = 0; i < 80; ++i) {
        long_ikm += static_cast<char>(i);
        salt += static_cast<char>(0x60 + i);
        info += static_cast<char>(0xb0 + i);
    }
    EXPECT_EQ(hex_encode(hkdf_sha256(as_bytes(long_ikm), as_bytes(salt), info).bytes),
              "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c");
}

TEST_F(Keys, Sha256OfAbc) {
    EXPECT_EQ(hex_encode(sha256(as_bytes("abc"))),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_F(Keys, SealedTextOpensOnlyAsItWas) {
    const WipedKey key = hkdf_sha256(as_bytes("token"), {}, "test");
    const WipedKey other = hkdf_sha256(as_bytes("token"), {}, "other");
    const std::string sealed = seal(key, "hello", "context");
    EXPECT_EQ(sealed.size(), 24U + 5U + 16U);
    EXPECT_NE(sealed, seal(key, "hello", "context"));
    EXPECT_EQ(open_sealed(key, sealed, "context").value(), "hello");
    EXPECT_EQ(open_sealed(key, seal(key, "", ""), "").value(), "");
    EXPECT_EQ(open_sealed(other, sealed, "context").error().kind(), ErrorKind::permission);
    EXPECT_EQ(open_sealed(key, sealed, "Context").error().kind(), ErrorKind::permission);
    for (std::size_t i = 0; i < sealed.size(); ++i) {
        std::string changed = sealed;
        changed[i] = static_cast<char>(changed[i] ^ 1);
        EXPECT_FALSE(open_sealed(key, changed, "context")) << i;
    }
    for (std::size_t size = 0; size < sealed.size(); ++size)
        EXPECT_EQ(open_sealed(key, sealed.substr(0, size), "context").error().kind(),
                  size < 40 ? ErrorKind::protocol : ErrorKind::permission);
}

// draft-irtf-cfrg-xchacha-03, appendix A.3.1.
TEST_F(Keys, OpensThePublishedXChaChaVector) {
    WipedKey key;
    for (std::size_t i = 0; i < 32; ++i) key.bytes[i] = static_cast<std::uint8_t>(0x80 + i);
    const std::string sealed = from_hex(
        "404142434445464748494a4b4c4d4e4f5051525354555657"
        "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39"
        "ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
        "21f9664c97637da9768812f615c68b13b52e"
        "c0875924c1c7987947deafd8780acf49");
    EXPECT_EQ(open_sealed(key, sealed, from_hex("50515253c0c1c2c3c4c5c6c7")).value(),
              "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
              "sunscreen would be it.");
}

TEST_F(Keys, FingerprintOfNoKeyIsZero) {
    const std::string zeros(32, '\0');
    EXPECT_TRUE(fingerprint({}).is_zero());
    EXPECT_TRUE(fingerprint(as_bytes(zeros)).is_zero());
    const Secret key = Secret::random(32);
    EXPECT_FALSE(fingerprint(key.bytes()).is_zero());
    EXPECT_EQ(fingerprint(key.bytes()), fingerprint(key.clone().bytes()));
    EXPECT_NE(fingerprint(key.bytes()), fingerprint(Secret::random(32).bytes()));
}

TEST_F(Keys, SecretMovesAndLeavesNothing) {
    std::string text = "a secret that is longer than the small buffer of a string";
    Secret secret = Secret::take(text);
    EXPECT_TRUE(text.empty());
    EXPECT_EQ(secret.text().substr(0, 8), "a secret");
    Secret moved = std::move(secret);
    EXPECT_TRUE(secret.empty());  // NOLINT(bugprone-use-after-move): the contract says so
    EXPECT_EQ(secret.bytes().size(), 0U);
    secret = std::move(moved);
    EXPECT_TRUE(moved.empty());  // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(secret.clone().text(), secret.text());
    EXPECT_TRUE(Secret().clone().empty());
    EXPECT_TRUE(Secret(0).empty());
    EXPECT_EQ(Secret(4).text(), std::string_view("\0\0\0\0", 4));
}

TEST_F(Keys, MovedWipedKeyIsZero) {
    WipedKey a = hkdf_sha256(as_bytes("x"), {}, "");
    const auto copy = a.bytes;
    WipedKey b = std::move(a);
    EXPECT_EQ(b.bytes, copy);
    EXPECT_EQ(a.bytes, decltype(a.bytes){});  // NOLINT(bugprone-use-after-move)
    a = std::move(b);
    EXPECT_EQ(a.bytes, copy);
    EXPECT_EQ(b.bytes, decltype(b.bytes){});  // NOLINT(bugprone-use-after-move)
}

}  // namespace
}  // namespace wglan
