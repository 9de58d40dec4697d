// SPDX-License-Identifier: Apache-2.0
// "Where do you see me, and can you reach me?": what one agent asks another through the tunnel, and the knock
// that the other sends outside it. Pure. All numbers in network order.
//
//   request, answer: 128 bytes of UDP between the overlay addresses, kReachPort on both sides
//     "wglr" | version 1 | type: 1 request, 2 answer | status | number of targets | nonce, 16 bytes
//     answer alone: asker's endpoint (address as 16 bytes, port) | UNIX time, 64 bits | targets (as
//     endpoints) the rest is zero
//   knock: 64 bytes of UDP to the asker's WireGuard port
//     04 00 00 00 | "wgkn" | zero, 64 bits | nonce | where it was sent to (address, port) | zero
//
// A knock has the form of a WireGuard data message for nobody: WireGuard drops it, and so does no guard of
// its port. An answer is never longer than its request. Readers ignore what is behind the fields they know.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/ip.h"

namespace wglan {

inline constexpr std::uint16_t kReachPort = 51822;
inline constexpr std::size_t kMostKnocks = 4;  // for one request
inline constexpr std::size_t kReachLength = 128, kKnockLength = 64;

using ReachNonce = std::array<std::uint8_t, 16>;
using ReachBytes = std::array<std::uint8_t, kReachLength>;
using KnockBytes = std::array<std::uint8_t, kKnockLength>;

struct ReachAnswer {
    enum class Status : std::uint8_t {
        knocked = 0,   // at the targets
        too_many = 1,  // asked too often: no knock
        unable = 2,    // no place to knock at, or nothing could be sent
    };
    Status status = Status::knocked;
    ReachNonce nonce{};
    std::optional<Endpoint> seen;   // where the asker's packets come from
    UnixTime time = 0;              // by the answering host's clock
    std::vector<Endpoint> targets;  // at most kMostKnocks
    bool operator==(const ReachAnswer&) const = default;
};

struct Knock {
    ReachNonce nonce{};
    Endpoint target;
    bool operator==(const Knock&) const = default;
};

// How far a knock got.
enum class KnockStage {
    device,     // it came to this host
    delivered,  // and through its firewall
};

ReachBytes encode_reach_request(const ReachNonce& nonce);
ReachBytes encode_reach_answer(const ReachAnswer& answer);
KnockBytes encode_knock(const Knock& knock);

// nullopt = not one of these, or of a version that isn't understood.
std::optional<ReachNonce> decode_reach_request(std::span<const std::uint8_t> bytes);
std::optional<ReachAnswer> decode_reach_answer(std::span<const std::uint8_t> bytes);
std::optional<Knock> decode_knock(std::span<const std::uint8_t> bytes);

}  // namespace wglan
