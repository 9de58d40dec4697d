// SPDX-License-Identifier: Apache-2.0
// One socket for the probes of all peers: ICMPv6 echoes, which the other side's kernel answers whether or
// not an agent runs there.
#pragma once

#include <cstdint>
#include <vector>

#include "agent/base/ip.h"
#include "agent/base/result.h"
#include "agent/base/unique_fd.h"
#include "agent/probe/echo_codec.h"

namespace wglan {

class EchoSocket {
public:
    // A raw socket (CAP_NET_RAW), else one for unprivileged pings (net.ipv4.ping_group_range must hold the
    // process's group). `permission` where neither can be had.
    static Result<EchoSocket> open();

    int fd() const { return fd_.get(); }  // non-blocking; readable when answers are there
    bool raw() const { return raw_; }
    // Out of that device, from its address, whatever other routes say. An error is the device's: no such
    // peer, no session yet.
    // `deaf`: nothing is heard from there, and it shall know.
    Result<> send(const IpAddress& to, int ifindex, std::uint64_t number, bool deaf = false);
    struct News {
        std::vector<std::uint64_t> echoes;  // the numbers of the probes whose answers came in
        std::vector<IpAddress> deaf;        // who says that it hears nothing; a raw socket alone is told
    };
    // At most 512 messages a call.
    News read();

private:
    EchoSocket(UniqueFd fd, bool raw);

    UniqueFd fd_;
    bool raw_;
    std::uint16_t identifier_;
    EchoKey key_;
};

}  // namespace wglan
