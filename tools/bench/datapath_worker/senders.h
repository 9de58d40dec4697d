// SPDX-License-Identifier: Apache-2.0
// Programs that send UDP, one system call a packet.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <string>
#include <vector>

#include "agent/base/unique_fd.h"
#include "tools/bench/datapath_worker/generator.h"

namespace wglan::bench {

inline constexpr std::uint32_t kMostDestinations = 32768;

class UdpSender {
public:
    // Sockets in namespace `space` ("" = ours): one for each destination when they are connected, else
    // one for all. `source` may be unspecified. At most kMostDestinations are used, spread over the range.
    UdpSender(const std::string& space, const Traffic& traffic, bool connected);

    static constexpr std::uint32_t kMostConnected = 256;
    std::uint32_t destinations() const { return static_cast<std::uint32_t>(addresses_.size()); }
    // Round and round, in an order that was shuffled once.
    void run(std::uint64_t packets);

private:
    struct Address {
        sockaddr_in6 value{};
        socklen_t length = 0;
    };
    void open_sockets(Family family, bool connected);

    std::vector<Address> addresses_;
    std::vector<UniqueFd> sockets_;
    std::string payload_;
    std::size_t next_ = 0;
    bool connected_ = false;
};

// As wireguard-go hands packets to the kernel: one write(2) each.
class TunWriter {
public:
    // `fd` of the TUN device, which must stay open.
    TunWriter(int fd, const Traffic& traffic);

    void run(std::uint64_t packets);

private:
    int fd_;
    std::vector<std::string> packets_;
    std::size_t next_ = 0;
};

}  // namespace wglan::bench
