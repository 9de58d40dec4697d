// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/device.h"

#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <string>

#include "agent/base/unique_fd.h"

namespace wglan {

namespace {

// linux/if_arp.h; it doesn't go together with net/if.h.
constexpr unsigned kIp6Gre = 823;

}  // namespace

Result<unsigned> hardware_type(int ifindex) {
    ifreq request{};
    if (::if_indextoname(static_cast<unsigned>(ifindex), request.ifr_name) == nullptr)
        return fail_errno("look up ifindex " + std::to_string(ifindex));
    const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket.valid() || ::ioctl(socket.get(), SIOCGIFHWADDR, &request) != 0)
        return fail_errno("ask for the type of " + std::string(request.ifr_name));
    return request.ifr_hwaddr.sa_family;
}

PacketKind packets_of(unsigned hardware_type) {
    switch (hardware_type) {
        case ARPHRD_ETHER:
            return PacketKind::frames;
        case ARPHRD_NONE:
        case ARPHRD_RAWIP:
        case ARPHRD_PPP:
        case ARPHRD_TUNNEL:
        case ARPHRD_TUNNEL6:
        case ARPHRD_SIT:
        case ARPHRD_IPGRE:
        case kIp6Gre:
            return PacketKind::packets;
        default:
            return PacketKind::unknown;
    }
}

}  // namespace wglan
