// SPDX-License-Identifier: Apache-2.0
// The bytes of a probe: an ICMPv6 echo request (RFC 4443 section 4.1) whose data say which probe it is.
// Pure. The kernel fills in the checksum.
//
//   type 128, code 0, checksum | identifier of the socket, low 16 bits of the number
//   "wgln" | number, 64 bits | tag, 64 bits                        all in network order
//
// "wgld" in the first place says: nothing is heard from you. The kernel answers it like any other; an agent
// that sees it arrive knows that one direction is dead.
//
// The tag is SipHash-2-4 of number and destination under a key of this process: only who received the
// request can answer it, and requests go through the tunnel alone.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "agent/base/ip.h"

namespace wglan {

using EchoKey = std::array<std::uint8_t, 16>;
using EchoBytes = std::array<std::uint8_t, 28>;

EchoBytes encode_echo_request(const EchoKey& key, std::uint16_t identifier, std::uint64_t number,
                              const IpAddress& destination, bool deaf = false);
// True if these are the ICMPv6 bytes of a request of another agent that hears nothing from us.
bool is_deaf_request(std::span<const std::uint8_t> bytes);
// The number, if these are the ICMPv6 bytes of an answer to one of ours. The identifier isn't looked at: an
// unprivileged socket's is the kernel's choice.
std::optional<std::uint64_t> decode_echo_reply(const EchoKey& key, std::span<const std::uint8_t> bytes,
                                               const IpAddress& from);

}  // namespace wglan
