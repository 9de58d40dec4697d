// SPDX-License-Identifier: Apache-2.0
// UDP between agents, from overlay address to overlay address, one port on both sides. The socket is bound to
// the tunnel's device: what comes in was authenticated by it, and nothing from elsewhere does come in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "agent/base/ip.h"
#include "agent/base/result.h"
#include "agent/base/unique_fd.h"

namespace wglan {

// Non-blocking. The address need not be on the device yet. `what` ends a sentence: "open a socket for ...".
Result<UniqueFd> open_overlay_udp(const IpAddress& overlay, const std::string& device, std::uint16_t port,
                                  const std::string& what);
Result<> send_overlay_udp(int fd, const IpAddress& to, std::uint16_t port,
                          std::span<const std::uint8_t> bytes);
// At most `most` datagrams; those from other ports are left out, longer ones than `longest` come with one
// byte more than that.
void read_overlay_udp(int fd, std::uint16_t port, std::size_t longest, int most,
                      const std::function<void(const IpAddress& from, std::span<const std::uint8_t>)>& take);

}  // namespace wglan
