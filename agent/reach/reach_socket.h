// SPDX-License-Identifier: Apache-2.0
// The sockets of the question "can you reach me" (reach_codec.h).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "agent/base/ip.h"
#include "agent/base/result.h"
#include "agent/base/unique_fd.h"
#include "agent/reach/reach_codec.h"

namespace wglan {

// UDP at the overlay address, port kReachPort, bound to the tunnel's device: what comes in was authenticated
// by it, and nothing from elsewhere does come in.
class ReachSocket {
public:
    struct Datagram {
        IpAddress from;  // port kReachPort: others are left out
        std::vector<std::uint8_t> bytes;
    };

    static Result<ReachSocket> open(const IpAddress& overlay, const std::string& device);

    int fd() const { return fd_.get(); }  // non-blocking
    Result<> send(const IpAddress& to, std::span<const std::uint8_t> bytes);
    std::vector<Datagram> read();  // at most 64 a call

private:
    explicit ReachSocket(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

// One packet from a port that was never used before: an UDP socket of its own, with the mark that keeps it
// out of the tunnel.
Result<> send_knock(const Knock& knock, std::uint32_t mark);

// Sees knocks for the WireGuard port come in, before it and beside it, while it lives.
class KnockListener {
public:
    struct Arrival {
        Knock knock;
        KnockStage stage = KnockStage::device;
        IpAddress from;
    };

    // Raw sockets, whose packets have passed this host's firewall, and a packet socket, whose haven't yet.
    // `permission` without CAP_NET_RAW.
    static Result<KnockListener> open(std::uint16_t listen_port);

    std::vector<Arrival> read();  // at most 64 of each socket a call

private:
    KnockListener() = default;
    UniqueFd raw4_, raw6_, packet_;
};

}  // namespace wglan
