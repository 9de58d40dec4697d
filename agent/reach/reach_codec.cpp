// SPDX-License-Identifier: Apache-2.0
#include "agent/reach/reach_codec.h"

#include <algorithm>
#include <cstring>

namespace wglan {
namespace {

constexpr std::array<std::uint8_t, 4> kMagic{'w', 'g', 'l', 'r'}, kKnockMagic{'w', 'g', 'k', 'n'};
constexpr std::uint8_t kVersion = 1, kRequest = 1, kAnswer = 2, kDataMessage = 4;
constexpr std::size_t kVersionAt = 4, kTypeAt = 5, kStatusAt = 6, kCountAt = 7, kNonceAt = 8;
constexpr std::size_t kSeenAt = 24, kEndpointLength = 18, kTimeAt = 42, kTargetsAt = 50;
constexpr std::size_t kKnockNonceAt = 16, kKnockTargetAt = 32;
static_assert(kTargetsAt + kMostKnocks * kEndpointLength <= kReachLength);
static_assert(kKnockTargetAt + kEndpointLength <= kKnockLength);

void put_endpoint(std::uint8_t* to, const Endpoint& endpoint) {
    const auto address = endpoint.address.mapped();
    std::copy(address.begin(), address.end(), to);
    to[16] = static_cast<std::uint8_t>(endpoint.port >> 8);
    to[17] = static_cast<std::uint8_t>(endpoint.port);
}

Endpoint endpoint_at(const std::uint8_t* from) {
    std::array<std::uint8_t, 16> bytes{};
    std::copy(from, from + bytes.size(), bytes.begin());
    const bool v4 = std::all_of(bytes.begin(), bytes.begin() + 10, [](auto byte) { return byte == 0; }) &&
                    bytes[10] == 0xff && bytes[11] == 0xff;
    const auto port = static_cast<std::uint16_t>(from[16] << 8 | from[17]);
    if (!v4) return {IpAddress::v6(bytes), port};
    return {IpAddress::v4({bytes[12], bytes[13], bytes[14], bytes[15]}), port};
}

bool usable(const Endpoint& endpoint) { return endpoint.port != 0 && !endpoint.address.is_unspecified(); }

ReachBytes begin(std::uint8_t type, const ReachNonce& nonce) {
    ReachBytes bytes{};
    std::copy(kMagic.begin(), kMagic.end(), bytes.begin());
    bytes[kVersionAt] = kVersion;
    bytes[kTypeAt] = type;
    std::copy(nonce.begin(), nonce.end(), bytes.begin() + kNonceAt);
    return bytes;
}

bool is_of_type(std::span<const std::uint8_t> bytes, std::uint8_t type) {
    return bytes.size() == kReachLength && std::equal(kMagic.begin(), kMagic.end(), bytes.begin()) &&
           bytes[kVersionAt] == kVersion && bytes[kTypeAt] == type;
}

ReachNonce nonce_at(std::span<const std::uint8_t> bytes, std::size_t at) {
    ReachNonce nonce{};
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), nonce.size(), nonce.begin());
    return nonce;
}

}  // namespace

ReachBytes encode_reach_request(const ReachNonce& nonce) { return begin(kRequest, nonce); }

ReachBytes encode_reach_answer(const ReachAnswer& answer) {
    ReachBytes bytes = begin(kAnswer, answer.nonce);
    const std::size_t count = std::min(answer.targets.size(), kMostKnocks);
    bytes[kStatusAt] = static_cast<std::uint8_t>(answer.status);
    bytes[kCountAt] = static_cast<std::uint8_t>(count);
    if (answer.seen) put_endpoint(bytes.data() + kSeenAt, *answer.seen);
    auto time = static_cast<std::uint64_t>(answer.time);
    for (std::size_t i = 8; i-- > 0; time >>= 8) bytes[kTimeAt + i] = static_cast<std::uint8_t>(time);
    for (std::size_t i = 0; i < count; ++i)
        put_endpoint(bytes.data() + kTargetsAt + i * kEndpointLength, answer.targets[i]);
    return bytes;
}

KnockBytes encode_knock(const Knock& knock) {
    KnockBytes bytes{};
    bytes[0] = kDataMessage;
    std::copy(kKnockMagic.begin(), kKnockMagic.end(), bytes.begin() + 4);
    std::copy(knock.nonce.begin(), knock.nonce.end(), bytes.begin() + kKnockNonceAt);
    put_endpoint(bytes.data() + kKnockTargetAt, knock.target);
    return bytes;
}

std::optional<ReachNonce> decode_reach_request(std::span<const std::uint8_t> bytes) {
    if (!is_of_type(bytes, kRequest)) return std::nullopt;
    return nonce_at(bytes, kNonceAt);
}

std::optional<ReachAnswer> decode_reach_answer(std::span<const std::uint8_t> bytes) {
    if (!is_of_type(bytes, kAnswer) || bytes[kStatusAt] > 2 || bytes[kCountAt] > kMostKnocks)
        return std::nullopt;
    ReachAnswer answer;
    answer.status = static_cast<ReachAnswer::Status>(bytes[kStatusAt]);
    answer.nonce = nonce_at(bytes, kNonceAt);
    if (const Endpoint seen = endpoint_at(bytes.data() + kSeenAt); usable(seen)) answer.seen = seen;
    std::uint64_t time = 0;
    for (std::size_t i = 0; i < 8; ++i) time = time << 8 | bytes[kTimeAt + i];
    answer.time = static_cast<UnixTime>(time);
    for (std::size_t i = 0; i < bytes[kCountAt]; ++i) {
        const Endpoint target = endpoint_at(bytes.data() + kTargetsAt + i * kEndpointLength);
        if (!usable(target)) return std::nullopt;
        answer.targets.push_back(target);
    }
    return answer;
}

std::optional<Knock> decode_knock(std::span<const std::uint8_t> bytes) {
    constexpr std::array<std::uint8_t, 4> kData{kDataMessage, 0, 0, 0};
    if (bytes.size() != kKnockLength || !std::equal(kData.begin(), kData.end(), bytes.begin()) ||
        !std::equal(kKnockMagic.begin(), kKnockMagic.end(), bytes.begin() + 4))
        return std::nullopt;
    return Knock{nonce_at(bytes, kKnockNonceAt), endpoint_at(bytes.data() + kKnockTargetAt)};
}

}  // namespace wglan
