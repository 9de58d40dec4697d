// SPDX-License-Identifier: Apache-2.0
#include "agent/probe/echo_codec.h"

#include <netinet/icmp6.h>
#include <sodium.h>

#include <algorithm>

namespace wglan {
namespace {

constexpr std::size_t kMagicAt = 8, kNumberAt = 12, kTagAt = 20;
constexpr std::array<std::uint8_t, 4> kMagic{'w', 'g', 'l', 'n'}, kDeafMagic{'w', 'g', 'l', 'd'};
static_assert(crypto_shorthash_BYTES == 8 && crypto_shorthash_KEYBYTES == 16);

bool begins_with(std::span<const std::uint8_t> data, const std::array<std::uint8_t, 4>& magic) {
    return std::equal(magic.begin(), magic.end(), data.begin());
}

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
                              const IpAddress& destination, bool deaf) {
    EchoBytes bytes{};
    bytes[0] = ICMP6_ECHO_REQUEST;
    bytes[4] = static_cast<std::uint8_t>(identifier >> 8);
    bytes[5] = static_cast<std::uint8_t>(identifier);
    bytes[6] = static_cast<std::uint8_t>(number >> 8);
    bytes[7] = static_cast<std::uint8_t>(number);
    const auto text = big_endian(number);
    const auto tag = tag_of(key, number, destination);
    const auto& magic = deaf ? kDeafMagic : kMagic;
    std::copy(magic.begin(), magic.end(), bytes.begin() + kMagicAt);
    std::copy(text.begin(), text.end(), bytes.begin() + kNumberAt);
    std::copy(tag.begin(), tag.end(), bytes.begin() + kTagAt);
    return bytes;
}

bool is_deaf_request(std::span<const std::uint8_t> bytes) {
    return bytes.size() == EchoBytes{}.size() && bytes[0] == ICMP6_ECHO_REQUEST && bytes[1] == 0 &&
           begins_with(bytes.subspan(kMagicAt), kDeafMagic);
}

std::optional<std::uint64_t> decode_echo_reply(const EchoKey& key, std::span<const std::uint8_t> bytes,
                                               const IpAddress& from) {
    if (bytes.size() != EchoBytes{}.size() || bytes[0] != ICMP6_ECHO_REPLY || bytes[1] != 0)
        return std::nullopt;
    const auto data = bytes.subspan(kMagicAt);
    if (!begins_with(data, kMagic) && !begins_with(data, kDeafMagic)) return std::nullopt;
    std::uint64_t number = 0;
    for (std::size_t i = kNumberAt; i < kTagAt; ++i) number = number << 8 | bytes[i];
    const auto tag = tag_of(key, number, from);
    if (sodium_memcmp(tag.data(), bytes.data() + kTagAt, tag.size()) != 0) return std::nullopt;
    return number;
}

}  // namespace wglan
