// SPDX-License-Identifier: Apache-2.0
#include "agent/probe/echo_codec.h"

#include <netinet/icmp6.h>
#include <sodium.h>

#include <algorithm>

namespace wglan {
namespace {

constexpr std::size_t kHeader = 8, kMagicAt = 8, kNumberAt = 12, kTagAt = 20;
constexpr std::array<std::uint8_t, 4> kMagic{'w', 'g', 'l', 'n'};
static_assert(crypto_shorthash_BYTES == 8 && crypto_shorthash_KEYBYTES == 16);

std::array<std::uint8_t, 8> big_endian(std::uint64_t value) {
    std::array<std::uint8_t, 8> bytes{};
    for (std::size_t i = bytes.size(); i-- > 0; value >>= 8) bytes[i] = static_cast<std::uint8_t>(value);
    return bytes;
}

std::array<std::uint8_t, 8> tag_of(const EchoKey& key, std::uint64_t number, const IpAddress& peer) {
    std::array<std::uint8_t, 24> said{};
    const auto bytes = big_endian(number);
    const auto address = peer.mapped();
    std::copy(bytes.begin(), bytes.end(), said.begin());
    std::copy(address.begin(), address.end(), said.begin() + 8);
    std::array<std::uint8_t, 8> tag{};
    crypto_shorthash(tag.data(), said.data(), said.size(), key.data());
    return tag;
}

}  // namespace

EchoBytes encode_echo_request(const EchoKey& key, std::uint16_t identifier, std::uint64_t number,
                              const IpAddress& destination) {
    EchoBytes bytes{};
    bytes[0] = ICMP6_ECHO_REQUEST;
    bytes[4] = static_cast<std::uint8_t>(identifier >> 8);
    bytes[5] = static_cast<std::uint8_t>(identifier);
    bytes[6] = static_cast<std::uint8_t>(number >> 8);
    bytes[7] = static_cast<std::uint8_t>(number);
    const auto text = big_endian(number);
    const auto tag = tag_of(key, number, destination);
    std::copy(kMagic.begin(), kMagic.end(), bytes.begin() + kMagicAt);
    std::copy(text.begin(), text.end(), bytes.begin() + kNumberAt);
    std::copy(tag.begin(), tag.end(), bytes.begin() + kTagAt);
    return bytes;
}

std::optional<std::uint64_t> decode_echo_reply(const EchoKey& key, std::span<const std::uint8_t> bytes,
                                               const IpAddress& from) {
    if (bytes.size() != EchoBytes{}.size() || bytes[0] != ICMP6_ECHO_REPLY || bytes[1] != 0)
        return std::nullopt;
    if (!std::equal(kMagic.begin(), kMagic.end(), bytes.begin() + kHeader)) return std::nullopt;
    std::uint64_t number = 0;
    for (std::size_t i = kNumberAt; i < kTagAt; ++i) number = number << 8 | bytes[i];
    const auto tag = tag_of(key, number, from);
    if (sodium_memcmp(tag.data(), bytes.data() + kTagAt, tag.size()) != 0) return std::nullopt;
    return number;
}

}  // namespace wglan
