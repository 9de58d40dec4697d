// SPDX-License-Identifier: Apache-2.0
// What agents with steering.pods: cniDown tell each other through the tunnel: "my CNI doesn't reach your
// pods; send yours to mine by the tunnel". A node whose own side of the CNI is down is blind to nobody else:
// to the others its tunnel device looks as it always did, and their packets would be lost.
//
//   8 bytes of UDP between the overlay addresses, kCniPort on both sides:
//   "wgcn", version 1, families that are down (1 = IPv4, 2 = IPv6), two zero bytes
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/base/ip.h"
#include "agent/base/result.h"
#include "agent/base/unique_fd.h"
#include "agent/cni/cni_watch.h"

namespace wglan {

inline constexpr std::uint16_t kCniPort = 51823;
inline constexpr std::size_t kCniNoticeLength = 8;

std::array<std::uint8_t, kCniNoticeLength> encode_cni_notice(CniDown down);
// nullopt: not one of this version.
std::optional<CniDown> decode_cni_notice(std::span<const std::uint8_t> bytes);

// At the overlay address, bound to the tunnel's device: what comes in was authenticated by it.
class CniNoticeSocket {
public:
    struct Notice {
        IpAddress from;
        CniDown down;
    };

    static Result<CniNoticeSocket> open(const IpAddress& overlay, const std::string& device);

    int fd() const { return fd_.get(); }  // non-blocking
    Result<> send(const IpAddress& to, CniDown down);
    std::vector<Notice> read();  // at most 256 a call

private:
    explicit CniNoticeSocket(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

}  // namespace wglan
