// SPDX-License-Identifier: Apache-2.0
#include "agent/netlink/event_codec.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "agent/netlink/codec.h"

namespace wglan::rtnl {
namespace {

Result<> link_event(Bytes message, bool removed, std::vector<NetlinkEvent>& events) {
    const auto parsed = parse_link(message);
    if (!parsed) return tl::unexpected(parsed.error());
    // A port that leaves its bridge is announced as RTM_DELLINK of AF_BRIDGE.
    if (parsed->family != AF_UNSPEC) return {};
    NetlinkEvent event;
    event.what = NetlinkEvent::What::link;
    event.ifindex = parsed->link.ifindex;
    event.interface = parsed->link.name;
    event.removed = removed;
    events.push_back(std::move(event));
    return {};
}

Result<> address_event(Bytes message, bool removed, std::vector<NetlinkEvent>& events) {
    const auto parsed = parse_address(message);
    if (!parsed) return tl::unexpected(parsed.error());
    if (!*parsed) return {};
    NetlinkEvent event;
    event.what = NetlinkEvent::What::address;
    event.ifindex = (*parsed)->ifindex;
    event.removed = removed;
    events.push_back(std::move(event));
    return {};
}

Result<> route_event(Bytes message, bool removed, std::vector<NetlinkEvent>& events) {
    auto parsed = parse_route(message);
    if (!parsed) return tl::unexpected(parsed.error());
    if (parsed->cloned) return {};
    for (Route& route : parsed->routes) {
        if (route.table != RT_TABLE_MAIN) continue;
        NetlinkEvent event;
        event.what = NetlinkEvent::What::route;
        event.ifindex = route.ifindex;
        event.removed = removed;
        event.route = route;
        events.push_back(std::move(event));
    }
    return {};
}

Result<> neighbour_event(Bytes message, bool removed, std::vector<NetlinkEvent>& events) {
    if (const int device = forwarding_device(message); device != 0) {
        NetlinkEvent event;
        event.what = NetlinkEvent::What::forwarding;
        event.ifindex = device;
        event.removed = removed;
        events.push_back(std::move(event));
        return {};
    }
    const auto parsed = parse_neighbour(message);
    if (!parsed) return tl::unexpected(parsed.error());
    if (!*parsed) return {};
    NetlinkEvent event;
    event.what = NetlinkEvent::What::neighbour;
    event.ifindex = (*parsed)->ifindex;
    event.neighbour = (*parsed)->address;
    event.removed = removed;
    events.push_back(std::move(event));
    return {};
}

Result<> parse_event(Bytes message, std::vector<NetlinkEvent>& events) {
    const auto header = message_header(message);
    if (!header) return tl::unexpected(header.error());
    switch (header->nlmsg_type) {
        case RTM_NEWLINK:
        case RTM_DELLINK:
            return link_event(message, header->nlmsg_type == RTM_DELLINK, events);
        case RTM_NEWADDR:
        case RTM_DELADDR:
            return address_event(message, header->nlmsg_type == RTM_DELADDR, events);
        case RTM_NEWROUTE:
        case RTM_DELROUTE:
            return route_event(message, header->nlmsg_type == RTM_DELROUTE, events);
        case RTM_NEWNEIGH:
        case RTM_DELNEIGH:
            return neighbour_event(message, header->nlmsg_type == RTM_DELNEIGH, events);
        default:
            return {};
    }
}

}  // namespace

void parse_events(Bytes datagram, std::vector<NetlinkEvent>& events) {
    const auto done = for_each_message(datagram, [&](Bytes message) { return parse_event(message, events); });
    if (!done) events.emplace_back();
}

}  // namespace wglan::rtnl
