// SPDX-License-Identifier: Apache-2.0
#include "agent/base/keys.h"

#include <sodium.h>

#include <cstdlib>

namespace wglan {
namespace {

using SigningKey = std::array<std::uint8_t, crypto_sign_SECRETKEYBYTES>;

// Ed25519's expanded secret (seed and public key) for a moment; wiped by the destructor.
class ExpandedSeed {
public:
    explicit ExpandedSeed(std::span<const std::uint8_t> seed) {
        if (seed.size() != crypto_sign_SEEDBYTES) std::abort();  // a bug of the caller
        crypto_sign_seed_keypair(public_.bytes.data(), secret_.data(), seed.data());
    }
    ExpandedSeed(const ExpandedSeed&) = delete;
    ExpandedSeed& operator=(const ExpandedSeed&) = delete;
    ~ExpandedSeed() { sodium_memzero(secret_.data(), secret_.size()); }

    const IdentityKey& identity() const { return public_; }
    const SigningKey& secret() const { return secret_; }

private:
    IdentityKey public_;
    SigningKey secret_{};
};

}  // namespace

Result<> init_crypto() {
    if (sodium_init() < 0)
        return fail(ErrorKind::unsupported, "libsodium can't start: no source of randomness");
    return {};
}

void Secret::Free::operator()(std::uint8_t* p) const noexcept { sodium_free(p); }

Secret::Secret(std::size_t size) : size_(size) {
    if (size == 0) return;
    // sodium_malloc aborts before sodium_init; that is idempotent, and init_crypto reports failure.
    if (sodium_init() < 0) std::abort();
    data_.reset(static_cast<std::uint8_t*>(sodium_malloc(size)));
    if (data_ == nullptr) std::abort();
    sodium_memzero(data_.get(), size);
}

Secret Secret::copy_of(std::span<const std::uint8_t> bytes) {
    Secret secret(bytes.size());
    if (!bytes.empty()) std::memcpy(secret.data_.get(), bytes.data(), bytes.size());
    return secret;
}

Secret Secret::take(std::string& text) {
    Secret secret = copy_of(as_bytes(text));
    wipe(text);
    return secret;
}

Secret Secret::random(std::size_t size) {
    Secret secret(size);
    if (size != 0) randombytes_buf(secret.data_.get(), size);
    return secret;
}

std::span<const std::uint8_t> Secret::bytes() const { return {data_.get(), size_}; }
std::span<std::uint8_t> Secret::mutable_bytes() { return {data_.get(), size_}; }
std::string_view Secret::text() const { return as_text(bytes()); }
Secret Secret::clone() const { return copy_of(bytes()); }

WipedKey::WipedKey(WipedKey&& other) noexcept : bytes(other.bytes) {
    sodium_memzero(other.bytes.data(), other.bytes.size());
}

WipedKey& WipedKey::operator=(WipedKey&& other) noexcept {
    if (this != &other) {
        bytes = other.bytes;
        sodium_memzero(other.bytes.data(), other.bytes.size());
    }
    return *this;
}

WipedKey::~WipedKey() { sodium_memzero(bytes.data(), bytes.size()); }

Secret make_private_key() {
    Secret key = Secret::random(crypto_scalarmult_SCALARBYTES);
    const auto bytes = key.mutable_bytes();
    bytes[0] &= 0xf8;
    bytes[31] = static_cast<std::uint8_t>((bytes[31] & 0x7fU) | 0x40U);
    return key;
}

Result<PublicKey> public_key_of(std::span<const std::uint8_t> private_key) {
    if (private_key.size() != crypto_scalarmult_SCALARBYTES)
        return fail(ErrorKind::invalid, "a private key has 32 bytes");
    PublicKey key;
    if (crypto_scalarmult_base(key.bytes.data(), private_key.data()) != 0)
        return fail(ErrorKind::invalid, "the private key has no public key");
    return key;
}

Result<IdentityKey> identity_of(std::span<const std::uint8_t> seed) {
    if (seed.size() != crypto_sign_SEEDBYTES)
        return fail(ErrorKind::invalid, "an identity's seed has 32 bytes");
    return ExpandedSeed(seed).identity();
}

std::array<std::uint8_t, 64> sign(std::span<const std::uint8_t> seed, std::span<const std::uint8_t> message) {
    const ExpandedSeed key(seed);
    std::array<std::uint8_t, crypto_sign_BYTES> signature{};
    crypto_sign_detached(signature.data(), nullptr, message.data(), message.size(), key.secret().data());
    return signature;
}

bool verify(const IdentityKey& key, std::span<const std::uint8_t> message,
            std::span<const std::uint8_t> signature) {
    return signature.size() == crypto_sign_BYTES &&
           crypto_sign_verify_detached(signature.data(), message.data(), message.size(), key.bytes.data()) ==
               0;
}

WipedKey hkdf_sha256(std::span<const std::uint8_t> input, std::span<const std::uint8_t> salt,
                     std::string_view info) {
    // RFC 5869: PRK = HMAC(salt, input); 32 bytes out are T(1) = HMAC(PRK, info | 0x01).
    // libsodium got its own HKDF only in 1.0.19.
    crypto_auth_hmacsha256_state state;
    WipedKey prk;
    const std::uint8_t nothing = 0;  // an empty span's pointer may be null, which libsodium forbids
    crypto_auth_hmacsha256_init(&state, salt.empty() ? &nothing : salt.data(), salt.size());
    crypto_auth_hmacsha256_update(&state, input.data(), input.size());
    crypto_auth_hmacsha256_final(&state, prk.bytes.data());

    const std::uint8_t counter = 1;
    WipedKey out;
    crypto_auth_hmacsha256_init(&state, prk.bytes.data(), prk.bytes.size());
    crypto_auth_hmacsha256_update(&state, as_bytes(info).data(), info.size());
    crypto_auth_hmacsha256_update(&state, &counter, 1);
    crypto_auth_hmacsha256_final(&state, out.bytes.data());
    sodium_memzero(&state, sizeof state);
    return out;
}

std::array<std::uint8_t, 32> sha256(std::span<const std::uint8_t> bytes) {
    std::array<std::uint8_t, crypto_hash_sha256_BYTES> digest{};
    crypto_hash_sha256(digest.data(), bytes.data(), bytes.size());
    return digest;
}

std::array<std::uint8_t, 32> hmac_sha256(std::span<const std::uint8_t> key,
                                         std::span<const std::uint8_t> message) {
    std::array<std::uint8_t, crypto_auth_hmacsha256_BYTES> mac{};
    crypto_auth_hmacsha256_state state;
    const std::uint8_t nothing = 0;
    crypto_auth_hmacsha256_init(&state, key.empty() ? &nothing : key.data(), key.size());
    crypto_auth_hmacsha256_update(&state, message.data(), message.size());
    crypto_auth_hmacsha256_final(&state, mac.data());
    sodium_memzero(&state, sizeof state);
    return mac;
}

bool same_bytes(std::span<const std::uint8_t> one, std::span<const std::uint8_t> other) {
    return one.size() == other.size() && sodium_memcmp(one.data(), other.data(), one.size()) == 0;
}

std::string seal(const WipedKey& key, std::string_view plain, std::string_view associated) {
    constexpr std::size_t kNonce = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
    std::string out(kNonce + plain.size() + crypto_aead_xchacha20poly1305_ietf_ABYTES, '\0');
    auto* bytes = reinterpret_cast<std::uint8_t*>(out.data());
    randombytes_buf(bytes, kNonce);
    crypto_aead_xchacha20poly1305_ietf_encrypt(bytes + kNonce, nullptr, as_bytes(plain).data(), plain.size(),
                                               as_bytes(associated).data(), associated.size(), nullptr, bytes,
                                               key.bytes.data());
    return out;
}

Result<std::string> open_sealed(const WipedKey& key, std::string_view sealed, std::string_view associated) {
    constexpr std::size_t kNonce = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
    constexpr std::size_t kTag = crypto_aead_xchacha20poly1305_ietf_ABYTES;
    if (sealed.size() < kNonce + kTag) return fail(ErrorKind::protocol, "sealed text is too short");
    const auto bytes = as_bytes(sealed);
    std::string plain(sealed.size() - kNonce - kTag, '\0');
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(reinterpret_cast<std::uint8_t*>(plain.data()), nullptr,
                                                   nullptr, bytes.data() + kNonce, bytes.size() - kNonce,
                                                   as_bytes(associated).data(), associated.size(),
                                                   bytes.data(), key.bytes.data()) != 0)
        return fail(ErrorKind::permission, "sealed with another key, or changed on its way");
    return plain;
}

SecretFingerprint fingerprint(std::span<const std::uint8_t> secret) {
    static const Secret process_key = Secret::random(crypto_generichash_KEYBYTES);
    SecretFingerprint out;
    if (secret.empty() || sodium_is_zero(secret.data(), secret.size()) == 1) return out;
    crypto_generichash(out.bytes.data(), out.bytes.size(), secret.data(), secret.size(),
                       process_key.bytes().data(), process_key.size());
    return out;
}

void wipe(std::string& text) {
    text.resize(text.capacity());  // what an earlier, longer value left behind goes too
    sodium_memzero(text.data(), text.size());
    text.clear();
}

}  // namespace wglan
