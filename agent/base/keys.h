// SPDX-License-Identifier: Apache-2.0
// Key types. Public ones are plain values; secret ones live in memory that libsodium locks
// and wipes, can't be copied by accident, and have no printer.
#pragma once

#include <endian.h>

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "agent/base/result.h"

namespace wglan {

// Must be called once before anything else here; fails only if libsodium can't start.
Result<> init_crypto();

// 32 public bytes with a tag, so that a WireGuard key can't be passed for an identity.
template <class Tag>
struct Bytes32 {
    std::array<std::uint8_t, 32> bytes{};

    bool is_zero() const {
        for (auto b : bytes)
            if (b != 0) return false;
        return true;
    }
    bool operator==(const Bytes32&) const = default;
    // Bytewise; random keys differ in their first eight, and most of the agent's tables are sorted by keys.
    std::strong_ordering operator<=>(const Bytes32& other) const {
        std::uint64_t head = 0, other_head = 0;
        std::memcpy(&head, bytes.data(), sizeof head);
        std::memcpy(&other_head, other.bytes.data(), sizeof other_head);
        if (head != other_head) return be64toh(head) <=> be64toh(other_head);
        return std::memcmp(bytes.data() + 8, other.bytes.data() + 8, 24) <=> 0;
    }
};

// X25519 public key of a WireGuard interface; text is RFC 4648 section 4 base64, 44 characters.
using PublicKey = Bytes32<struct PublicKeyTag>;
// Ed25519 public key that signs a node's records; text is base64url without padding, 43 characters.
using IdentityKey = Bytes32<struct IdentityKeyTag>;
// Non-reversible name of a preshared key for comparison (keyed BLAKE2b with a per-process key);
// all zero = no preshared key, which is also what WireGuard's all-zero key and an empty one give.
using SecretFingerprint = Bytes32<struct SecretFingerprintTag>;

std::string to_string(const PublicKey& key);
std::string to_string(const IdentityKey& key);
Result<PublicKey> parse_public_key(std::string_view base64);
Result<IdentityKey> parse_identity_key(std::string_view base64url);

// RFC 4648; strict: no white space, canonical padding bits, padding required (standard)
// or refused (url).
std::string base64_encode(std::span<const std::uint8_t> bytes);
std::string base64url_encode(std::span<const std::uint8_t> bytes);
Result<std::string> base64_decode(std::string_view text);  // bytes as a string
Result<std::string> base64url_decode(std::string_view text);
std::string hex_encode(std::span<const std::uint8_t> bytes);  // lower case

// A secret of any length: sodium_malloc (locked, guard pages), wiped when freed, move-only.
// For the few that live long: private key, identity, token. A moved-from one is empty.
class Secret {
public:
    Secret() = default;
    explicit Secret(std::size_t size);  // zero-filled; aborts if memory is out
    Secret(Secret&& other) noexcept : data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)) {}
    Secret& operator=(Secret&& other) noexcept {
        data_ = std::move(other.data_);
        size_ = std::exchange(other.size_, 0);
        return *this;
    }
    static Secret copy_of(std::span<const std::uint8_t> bytes);
    // Copies the text and wipes the source.
    static Secret take(std::string& text);
    static Secret random(std::size_t size);

    std::span<const std::uint8_t> bytes() const;
    std::span<std::uint8_t> mutable_bytes();
    std::string_view text() const;
    bool empty() const { return size_ == 0; }
    std::size_t size() const { return size_; }
    Secret clone() const;

private:
    struct Free {
        void operator()(std::uint8_t* p) const noexcept;  // sodium_free wipes
    };
    std::unique_ptr<std::uint8_t, Free> data_;
    std::size_t size_ = 0;
};

// 32 secret bytes for a moment on the stack; wiped by the destructor. Move-only, no printer.
class WipedKey {
public:
    WipedKey() = default;
    WipedKey(WipedKey&& other) noexcept;
    WipedKey& operator=(WipedKey&& other) noexcept;
    WipedKey(const WipedKey&) = delete;
    WipedKey& operator=(const WipedKey&) = delete;
    ~WipedKey();

    std::array<std::uint8_t, 32> bytes{};
};

// X25519. Secret keys are 32 bytes, clamped as WireGuard does.
Secret make_private_key();
Result<PublicKey> public_key_of(std::span<const std::uint8_t> private_key);
// Base64, 44 characters, in locked memory; for a key file or `privateKey`.
Result<Secret> parse_private_key(std::string_view base64);
Secret private_key_text(const Secret& private_key);

// Ed25519 (RFC 8032). The secret is the 32-byte seed.
Result<IdentityKey> identity_of(std::span<const std::uint8_t> seed);
std::array<std::uint8_t, 64> sign(std::span<const std::uint8_t> seed, std::span<const std::uint8_t> message);
bool verify(const IdentityKey& key, std::span<const std::uint8_t> message,
            std::span<const std::uint8_t> signature);

// HKDF-SHA256 (RFC 5869), 32 bytes out.
WipedKey hkdf_sha256(std::span<const std::uint8_t> input, std::span<const std::uint8_t> salt,
                     std::string_view info);
std::array<std::uint8_t, 32> sha256(std::span<const std::uint8_t> bytes);
// RFC 2104; a key of any length.
std::array<std::uint8_t, 32> hmac_sha256(std::span<const std::uint8_t> key,
                                         std::span<const std::uint8_t> message);
// In a time that depends on the length alone.
bool same_bytes(std::span<const std::uint8_t> one, std::span<const std::uint8_t> other);

// XChaCha20-Poly1305 (24-byte nonce). `seal` returns nonce + ciphertext.
std::string seal(const WipedKey& key, std::string_view plain, std::string_view associated);
// permission error when the tag does not match; protocol when too short.
Result<std::string> open_sealed(const WipedKey& key, std::string_view sealed, std::string_view associated);

SecretFingerprint fingerprint(std::span<const std::uint8_t> secret);

void wipe(std::string& text);  // overwrites, then clears

inline std::span<const std::uint8_t> as_bytes(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(std::span<const std::uint8_t> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace wglan

template <class Tag>
struct std::hash<wglan::Bytes32<Tag>> {
    std::size_t operator()(const wglan::Bytes32<Tag>& key) const noexcept {
        std::size_t value = 0;  // keys are uniformly random already
        std::memcpy(&value, key.bytes.data(), sizeof value);
        return value;
    }
};
