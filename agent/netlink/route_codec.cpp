// SPDX-License-Identifier: Apache-2.0
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cstring>

#include "agent/netlink/codec.h"

namespace wglan::rtnl {
namespace {

// What IPv6 makes of metric 0 (IP6_RT_PRIO_USER).
constexpr std::uint32_t kIpv6DefaultMetric = 1024;

constexpr auto kRoutePolicy = [] {
    std::array<nla_policy, RTA_MAX + 1> policy{};
    for (const int type : {RTA_OIF, RTA_PRIORITY, RTA_TABLE}) {
        policy[static_cast<std::size_t>(type)] = {.type = NLA_U32, .minlen = 0, .maxlen = 0};
    }
    return policy;
}();
constexpr auto kMetricsPolicy = [] {
    std::array<nla_policy, RTAX_MAX + 1> policy{};
    policy[RTAX_MTU] = {.type = NLA_U32, .minlen = 0, .maxlen = 0};
    return policy;
}();

RouteType type_of(std::uint8_t type) {
    switch (type) {
        case RTN_UNICAST:
            return RouteType::unicast;
        case RTN_UNREACHABLE:
            return RouteType::unreachable;
        case RTN_BLACKHOLE:
            return RouteType::blackhole;
        case RTN_LOCAL:
            return RouteType::local;
        default:
            return RouteType::other;
    }
}

std::uint8_t number_of(RouteType type) {
    switch (type) {
        case RouteType::unicast:
            return RTN_UNICAST;
        case RouteType::unreachable:
            return RTN_UNREACHABLE;
        case RouteType::blackhole:
            return RTN_BLACKHOLE;
        case RouteType::local:
        case RouteType::other:
            break;
    }
    return RTN_UNSPEC;
}

// RTA_GATEWAY, or RTA_VIA where it is of the other family (struct rtvia: family, then the address).
Result<std::optional<IpAddress>> parse_gateway(const Attributes& attributes) {
    auto gateway = attributes.address(RTA_GATEWAY);
    if (!gateway || *gateway) return gateway;
    const Bytes via = attributes.bytes(RTA_VIA);
    if (via.size() <= sizeof(rtvia)) return std::optional<IpAddress>();
    auto address = IpAddress::from_bytes(via.subspan(sizeof(rtvia)));
    if (!address) return fail(ErrorKind::protocol, "a netlink next hop has a wrong length");
    return std::optional<IpAddress>(*address);
}

Result<> parse_next_hops(Bytes hops, const Route& common, std::vector<Route>& out) {
    while (hops.size() >= sizeof(rtnexthop)) {
        rtnexthop hop{};
        std::memcpy(&hop, hops.data(), sizeof(hop));
        if (hop.rtnh_len < sizeof(hop) || hop.rtnh_len > hops.size()) {
            return fail(ErrorKind::protocol, "a netlink next hop has a wrong length");
        }
        const auto inner =
            Attributes::parse(hops.subspan(sizeof(hop), hop.rtnh_len - sizeof(hop)), kRoutePolicy);
        if (!inner) return tl::unexpected(inner.error());
        const auto gateway = parse_gateway(*inner);
        if (!gateway) return tl::unexpected(gateway.error());
        Route route = common;
        route.ifindex = hop.rtnh_ifindex;
        route.gateway = *gateway;
        out.push_back(route);
        hops = hops.subspan(std::min<std::size_t>(NLMSG_ALIGN(hop.rtnh_len), hops.size()));
    }
    return {};
}

Result<Prefix> parse_destination(const Attributes& attributes, const rtmsg& info) {
    const auto address = attributes.address(RTA_DST);
    if (!address) return tl::unexpected(address.error());
    const bool v4 = info.rtm_family == AF_INET;
    if (*address && (*address)->is_v4() != v4) {
        return fail(ErrorKind::protocol, "a netlink route does not fit its family");
    }
    const IpAddress any = v4 ? IpAddress::v4({}) : IpAddress();
    auto prefix = Prefix::make(address->value_or(any), info.rtm_dst_len);
    if (!prefix) return fail(ErrorKind::protocol, "a netlink route has a wrong prefix length");
    return prefix;
}

Result<Route> parse_common(const Attributes& attributes, const rtmsg& info) {
    Route route;
    const auto prefix = parse_destination(attributes, info);
    if (!prefix) return tl::unexpected(prefix.error());
    const auto source = attributes.address(RTA_PREFSRC);
    if (!source) return tl::unexpected(source.error());
    const auto metrics = Attributes::nested(attributes[RTA_METRICS], kMetricsPolicy);
    if (!metrics) return tl::unexpected(metrics.error());

    route.prefix = *prefix;
    route.type = type_of(info.rtm_type);
    route.preferred_source = *source;
    route.metric = attributes.u32(RTA_PRIORITY).value_or(0);
    route.mtu = metrics->u32(RTAX_MTU).value_or(0);
    route.protocol = info.rtm_protocol;
    route.source_specific = info.rtm_src_len != 0;
    route.table = attributes.u32(RTA_TABLE).value_or(info.rtm_table);
    if (info.rtm_family == AF_INET6 && route.protocol == kRouteProtocol &&
        route.metric == kIpv6DefaultMetric) {
        route.metric = 0;
    }
    return route;
}

bool has_device(RouteType type) { return type == RouteType::unicast || type == RouteType::local; }

Request route_request(std::uint16_t type, unsigned flags, const Route& route) {
    rtmsg info{};
    info.rtm_family = route.prefix.family() == Family::v4 ? AF_INET : AF_INET6;
    info.rtm_dst_len = route.prefix.length();
    info.rtm_table = static_cast<std::uint8_t>(route.table < 256 ? route.table : 0);
    info.rtm_protocol = route.protocol;
    info.rtm_type = number_of(route.type);
    const bool on_link = route.type == RouteType::unicast && !route.gateway;
    info.rtm_scope = static_cast<std::uint8_t>(on_link ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE);
    // A deletion with another scope than the kernel's finds nothing; NOWHERE matches all.
    if (type == RTM_DELROUTE) info.rtm_scope = RT_SCOPE_NOWHERE;
    Request request(type, flags);
    request.header(info);
    request.address(RTA_DST, route.prefix.address());
    request.u32(RTA_TABLE, route.table);
    const bool default_v6 = route.metric == 0 && route.prefix.family() == Family::v6;
    const std::uint32_t metric = default_v6 ? kIpv6DefaultMetric : route.metric;
    if (metric != 0) request.u32(RTA_PRIORITY, metric);
    return request;
}

rtmsg look_up_of(const IpAddress& destination) {
    rtmsg info{};
    info.rtm_family = destination.is_v4() ? AF_INET : AF_INET6;
    info.rtm_dst_len = destination.bit_length();
    // IPv6 always says the table, and refuses the question for it.
    if (destination.is_v4()) info.rtm_flags = RTM_F_LOOKUP_TABLE;
    return info;
}

}  // namespace

bool is_default_route(Bytes message) {
    const auto info = family_header<rtmsg>(message);
    return !info || info->rtm_dst_len == 0;
}

Result<RouteMessage> parse_route(Bytes message) {
    const auto info = family_header<rtmsg>(message);
    if (!info) return tl::unexpected(info.error());
    RouteMessage out;
    if (info->rtm_family != AF_INET && info->rtm_family != AF_INET6) return out;
    const auto attributes = Attributes::of_message(message, sizeof(rtmsg), kRoutePolicy);
    if (!attributes) return tl::unexpected(attributes.error());
    auto route = parse_common(*attributes, *info);
    if (!route) return tl::unexpected(route.error());

    out.cloned = (info->rtm_flags & RTM_F_CLONED) != 0;
    out.tos = info->rtm_tos;
    const Bytes hops = attributes->bytes(RTA_MULTIPATH);
    if (has_device(route->type) && !hops.empty()) {
        auto done = parse_next_hops(hops, *route, out.routes);
        if (!done) return tl::unexpected(done.error());
        return out;
    }
    const auto gateway = parse_gateway(*attributes);
    if (!gateway) return tl::unexpected(gateway.error());
    // IPv6 puts its unreachable routes on `lo`; nobody asked for that.
    if (has_device(route->type)) {
        route->ifindex = static_cast<int>(attributes->u32(RTA_OIF).value_or(0));
        route->gateway = *gateway;
    }
    out.routes.push_back(*route);
    return out;
}

Request routes_request(Family family, std::uint32_t table, std::uint8_t protocol) {
    rtmsg info{};
    info.rtm_family = family == Family::v4 ? AF_INET : AF_INET6;
    info.rtm_protocol = protocol;
    Request request(RTM_GETROUTE, 0);
    request.header(info);
    request.u32(RTA_TABLE, table);
    return request;
}

Request route_to_request(const IpAddress& destination, std::uint32_t mark) {
    Request request(RTM_GETROUTE, 0);
    request.header(look_up_of(destination));
    request.address(RTA_DST, destination);
    if (mark != 0) request.u32(RTA_MARK, mark);
    return request;
}

Request route_of_request(const ArrivingPacket& packet) {
    rtmsg info = look_up_of(packet.destination);
    info.rtm_src_len = packet.source.bit_length();
    Request request(RTM_GETROUTE, 0);
    request.header(info);
    request.address(RTA_DST, packet.destination);
    request.address(RTA_SRC, packet.source);
    request.u32(RTA_IIF, static_cast<std::uint32_t>(packet.ifindex));
    if (packet.mark != 0) request.u32(RTA_MARK, packet.mark);
    return request;
}

Request add_route_request(const Route& route, AddMode mode) {
    const unsigned how = mode == AddMode::exclusive ? NLM_F_EXCL : NLM_F_REPLACE;
    Request request = route_request(RTM_NEWROUTE, NLM_F_CREATE | how, route);
    if (route.ifindex != 0) request.u32(RTA_OIF, static_cast<std::uint32_t>(route.ifindex));
    if (route.gateway) request.address(RTA_GATEWAY, *route.gateway);
    if (route.preferred_source) request.address(RTA_PREFSRC, *route.preferred_source);
    if (route.mtu != 0) request.nested(RTA_METRICS, [&] { request.u32(RTAX_MTU, route.mtu); });
    return request;
}

Request remove_route_request(const Route& route) {
    Request request = route_request(RTM_DELROUTE, 0, route);
    if (route.ifindex != 0) request.u32(RTA_OIF, static_cast<std::uint32_t>(route.ifindex));
    return request;
}

Result<> check_route(const Route& route) {
    const std::string name = "route " + route.prefix.to_string();
    if (route.protocol == 0) return fail(ErrorKind::invalid, name + " has no protocol to tell its owner by");
    if (number_of(route.type) == RTN_UNSPEC) {
        return fail(ErrorKind::invalid, name + " is neither unicast, unreachable nor blackhole");
    }
    const bool unicast = route.type == RouteType::unicast;
    if (unicast && route.ifindex <= 0) return fail(ErrorKind::invalid, name + " names no device");
    if (!unicast && (route.ifindex != 0 || route.gateway || route.mtu != 0)) {
        return fail(ErrorKind::invalid, name + " leads nowhere and can't have a device, gateway or MTU");
    }
    const Family family = route.prefix.family();
    if ((route.gateway && route.gateway->family() != family) ||
        (route.preferred_source && route.preferred_source->family() != family)) {
        return fail(ErrorKind::invalid, name + " has a gateway or source of the other family");
    }
    return {};
}

}  // namespace wglan::rtnl
