// SPDX-License-Identifier: Apache-2.0
// What kind of packets a device carries.
#pragma once

#include "agent/base/result.h"

namespace wglan {

enum class PacketKind {
    frames,   // with an Ethernet header
    packets,  // without: they begin with the IP header
    unknown,
};

Result<unsigned> hardware_type(int ifindex);  // ARPHRD_*
PacketKind packets_of(unsigned hardware_type);

}  // namespace wglan
