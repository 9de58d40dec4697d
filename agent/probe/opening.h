// SPDX-License-Identifier: Apache-2.0
// Packets that open the NATs before this host towards a place, and never get into a NAT there.
//
// A Linux host that masquerades and drops nothing in its `input` chain takes a packet which nobody behind it
// asked for as one for itself: a flow of conntrack's, which holds the port for 30 s. What the node behind it
// then sends to the same place leaves by another port, where nobody expects it. So the first packet to arrive
// shuts the way that it was meant to open.
//
// What opens a NAT must therefore end between the two. An IPv4 timestamp option without room (RFC 791 section
// 3.1) is a counter of the hosts that found no room, up to 15; Linux refuses a packet whose counter is full
// (ip_options_compile in net/ipv4/ip_options.c), which is behind conntrack's first look and before it keeps
// the flow. Sent with 14 it passes the first host, which translates and remembers it, and ends at the
// second, be that the peer's NAT, a router, or a second NAT on this side. (A short TTL doesn't do: a host
// takes what is addressed to itself with any.) Who drops packets with options unseen is as good an end,
// unless it is the first.
//
// Who refuses it says so (ICMP parameter problem, RFC 792). As long as that isn't the place itself, another
// packet may pass one host more.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/ip.h"
#include "agent/base/result.h"
#include "agent/base/unique_fd.h"

namespace wglan {

inline constexpr unsigned kMostOpened = 4;  // hosts: NATs before this one, and routers between them

using OpeningBytes = std::array<std::uint8_t, 64>;

// An IPv4 packet with a data message for no session, which passes so many hosts (at most kMostOpened). The
// kernel fills in source address and IP checksum. `to` must be IPv4.
OpeningBytes encode_opening(const Endpoint& to, std::uint16_t source_port, unsigned hosts);

// It passed so many hosts and was refused by the next one.
struct OpeningAnswer {
    Endpoint to;
    IpAddress from;
    unsigned hosts = 0;
    bool operator==(const OpeningAnswer&) const = default;
};
// nullopt = not an IPv4 packet with an ICMP parameter problem about one of ours.
std::optional<OpeningAnswer> decode_opening_answer(std::span<const std::uint8_t> packet);

// How far the openings of each place got. Pure.
class Openings {
public:
    // How many hosts the first packet shall pass.
    unsigned begin(const Endpoint& to, SteadyTime now);
    // How many another one shall; nullopt = there is no need of one.
    std::optional<unsigned> answered(const OpeningAnswer& answer, SteadyTime now);

private:
    struct Sent {
        unsigned hosts = 0;
        SteadyTime at{};
    };
    std::map<Endpoint, Sent> sent_;
};

class OpeningSocket {
public:
    // `permission` without CAP_NET_RAW. `mark`: keeps what is sent out of the tunnel.
    static Result<OpeningSocket> open(std::uint32_t mark);

    int fd() const { return answers_.get(); }  // readable when there are answers
    // As if it came from this host's port. `to` must be IPv4.
    Result<> send(const Endpoint& to, std::uint16_t source_port, unsigned hosts);
    std::vector<OpeningAnswer> read();  // at most 64 a call

private:
    OpeningSocket(UniqueFd packets, UniqueFd answers)
        : packets_(std::move(packets)), answers_(std::move(answers)) {}
    UniqueFd packets_, answers_;
};

}  // namespace wglan
