// SPDX-License-Identifier: Apache-2.0
// deps: wglan_netlink
// Whatever a netlink socket hands over: as the answer to a request, as events, and as one message.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "agent/netlink/codec.h"
#include "agent/netlink/event_codec.h"
#include "agent/netlink/reply.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace wglan;
    // Aligned, and of exactly this size, as a receive buffer's part never is.
    const std::vector<std::uint8_t> datagram(data, data + size);

    std::vector<NetlinkEvent> events;
    rtnl::parse_events(datagram, events);

    rtnl::ReplyReader reader(0);
    (void)reader.feed(datagram, [](rtnl::Bytes message) -> Result<> {
        (void)rtnl::parse_link(message);
        (void)rtnl::parse_address(message);
        (void)rtnl::parse_route(message);
        return {};
    });
    return 0;
}
