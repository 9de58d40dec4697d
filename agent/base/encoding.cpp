// SPDX-License-Identifier: Apache-2.0
// Text forms of bytes and keys. libsodium's codecs run in constant time.
#include <sodium.h>

#include <algorithm>

#include "agent/base/keys.h"

namespace wglan {
namespace {

constexpr int kStandard = sodium_base64_VARIANT_ORIGINAL;
constexpr int kUrl = sodium_base64_VARIANT_URLSAFE_NO_PADDING;

std::string encode(std::span<const std::uint8_t> bytes, int variant) {
    std::string text(sodium_base64_encoded_len(bytes.size(), variant), '\0');
    sodium_bin2base64(text.data(), text.size(), bytes.data(), bytes.size(), variant);
    text.pop_back();  // the terminating NUL that libsodium counts
    return text;
}

// Decodes into `room`; the number of bytes, or an error for anything that isn't canonical.
Result<std::size_t> decode(std::string_view text, int variant, std::span<std::uint8_t> room) {
    std::size_t length = 0;
    const char* end = nullptr;
    // libsodium 1.0.18 takes bytes from 0x80 on for digits where char is signed.
    const bool ascii = std::all_of(text.begin(), text.end(), [](char c) { return c > 0 && c < 0x7f; });
    if (!ascii ||
        sodium_base642bin(room.data(), room.size(), text.data(), text.size(), nullptr, &length, &end,
                          variant) != 0 ||
        end != text.data() + text.size())
        return fail(ErrorKind::invalid, variant == kStandard ? "not base64 (RFC 4648, with padding)"
                                                             : "not base64url (RFC 4648, without padding)");
    return length;
}

Result<std::string> decode_string(std::string_view text, int variant) {
    std::string bytes(text.size() / 4 * 3 + 3, '\0');
    auto length = decode(text, variant, {reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()});
    if (!length) return Failure(length.error());
    bytes.resize(*length);
    return bytes;
}

template <class Key>
Result<Key> parse_key(std::string_view text, std::size_t characters, int variant, const char* what) {
    Key key;
    if (text.size() == characters) {
        const auto length = decode(text, variant, key.bytes);
        if (length && *length == key.bytes.size()) return key;
    }
    return fail(ErrorKind::invalid, what);
}

}  // namespace

std::string base64_encode(std::span<const std::uint8_t> bytes) { return encode(bytes, kStandard); }
std::string base64url_encode(std::span<const std::uint8_t> bytes) { return encode(bytes, kUrl); }
Result<std::string> base64_decode(std::string_view text) { return decode_string(text, kStandard); }
Result<std::string> base64url_decode(std::string_view text) { return decode_string(text, kUrl); }

std::string hex_encode(std::span<const std::uint8_t> bytes) {
    std::string text(bytes.size() * 2 + 1, '\0');
    sodium_bin2hex(text.data(), text.size(), bytes.data(), bytes.size());
    text.pop_back();
    return text;
}

std::string to_string(const PublicKey& key) { return base64_encode(key.bytes); }
std::string to_string(const IdentityKey& key) { return base64url_encode(key.bytes); }

Result<PublicKey> parse_public_key(std::string_view base64) {
    return parse_key<PublicKey>(
        base64, 44, kStandard, "not a WireGuard public key (44 characters of base64, as `wg pubkey` prints)");
}

Result<IdentityKey> parse_identity_key(std::string_view base64url) {
    return parse_key<IdentityKey>(base64url, 43, kUrl,
                                  "not an identity (43 characters of base64url without padding)");
}

Result<Secret> parse_private_key(std::string_view base64) {
    Secret key(crypto_scalarmult_SCALARBYTES);
    const auto room = key.mutable_bytes();
    const auto length = base64.size() == 44 ? decode(base64, kStandard, room) : Result<std::size_t>(0U);
    if (!length || *length != room.size() || sodium_is_zero(room.data(), room.size()) == 1)
        return fail(ErrorKind::invalid,
                    "not a WireGuard private key (44 characters of base64, as `wg genkey` prints)");
    room[0] &= 0xf8;
    room[31] = static_cast<std::uint8_t>((room[31] & 0x7fU) | 0x40U);
    return key;
}

Secret private_key_text(const Secret& private_key) {
    const auto bytes = private_key.bytes();
    const std::size_t length = sodium_base64_encoded_len(bytes.size(), kStandard);
    Secret terminated(length);
    sodium_bin2base64(reinterpret_cast<char*>(terminated.mutable_bytes().data()), length, bytes.data(),
                      bytes.size(), kStandard);
    return Secret::copy_of(terminated.bytes().first(length - 1));
}

}  // namespace wglan
