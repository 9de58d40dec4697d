// SPDX-License-Identifier: Apache-2.0
// One TCP connection between two namespaces, as fast as it goes.
#pragma once

#include <cstdint>
#include <string>

namespace wglan::bench {

struct TcpRun {
    std::string from, to;  // namespaces; "" = ours
    std::string address;   // of the receiver
    std::uint16_t port = 0;
    double seconds = 1;
};

// Bits a second at the receiver, after a start that doesn't count.
double tcp_throughput(const TcpRun& run);

}  // namespace wglan::bench
