// SPDX-License-Identifier: Apache-2.0
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "agent/netlink/kernel_netlink.h"

namespace wglan::rtnl {
namespace {

std::string name_of(const Route& route) {
    return fmt::format("route {}{} metric {}", route.prefix.to_string(),
                       route.ifindex == 0 ? std::string() : fmt::format(" dev {}", route.ifindex),
                       route.metric);
}

std::string owner_of(const Route& route) {
    return fmt::format("{} protocol {}", name_of(route), route.protocol);
}

// IPv6 turns metric 0 into 1024; with our protocol 1024 reads back as 0, with another it doesn't.
std::uint32_t effective_metric(const Route& route) {
    return route.metric == 0 && route.prefix.family() == Family::v6 ? 1024 : route.metric;
}

}  // namespace

Result<std::vector<RouteMessage>> KernelNetlink::table(Family family, std::uint32_t table,
                                                       std::uint8_t protocol, Which which) {
    std::vector<RouteMessage> routes;
    Request request = routes_request(family, table, protocol);
    auto done = socket_.dump(
        request, [&] { routes.clear(); },
        [&](Bytes message) -> Result<> {
            if (which == Which::defaults && !is_default_route(message)) return {};
            auto parsed = parse_route(message);
            if (!parsed) return tl::unexpected(parsed.error());
            // A kernel that doesn't filter, or lacks the family, sends more than was asked for.
            const bool wanted =
                !parsed->cloned && !parsed->routes.empty() && parsed->routes[0].prefix.family() == family &&
                parsed->routes[0].table == table && (protocol == 0 || parsed->routes[0].protocol == protocol);
            if (wanted) routes.push_back(std::move(*parsed));
            return {};
        });
    // ENOENT: no route was ever added to that table. EAFNOSUPPORT, EOPNOTSUPP: no such family.
    const int code = done ? 0 : done.error().code();
    if (code == ENOENT || code == EAFNOSUPPORT || code == EOPNOTSUPP) return std::vector<RouteMessage>();
    if (!done) return fail_with(done, "list the routes");
    return routes;
}

Result<std::vector<Route>> KernelNetlink::routes(std::uint8_t protocol) {
    return main_table(protocol, Which::all);
}

Result<std::vector<Route>> KernelNetlink::default_routes() { return main_table(0, Which::defaults); }

Result<std::vector<Route>> KernelNetlink::main_table(std::uint8_t protocol, Which which) {
    std::vector<Route> all;
    for (const Family family : {Family::v4, Family::v6}) {
        auto some = table(family, RT_TABLE_MAIN, protocol, which);
        if (!some) return tl::unexpected(some.error());
        for (RouteMessage& message : *some) {
            all.insert(all.end(), message.routes.begin(), message.routes.end());
        }
    }
    return all;
}

Result<Route> KernelNetlink::route_to(const IpAddress& destination, std::uint32_t mark) {
    return look_up(route_to_request(destination, mark), destination);
}

Result<Route> KernelNetlink::route_of(const ArrivingPacket& packet) {
    return look_up(route_of_request(packet), packet.destination);
}

Result<Route> KernelNetlink::look_up(Request request, const IpAddress& destination) {
    std::optional<Route> found;
    auto done = socket_.request(request, [&](Bytes message) -> Result<> {
        auto parsed = parse_route(message);
        if (!parsed) return tl::unexpected(parsed.error());
        if (!parsed->routes.empty()) found = parsed->routes[0];
        return {};
    });
    if (done && found) return std::move(*found);
    const std::string what = "look up the route to " + destination.to_string();
    if (done) return fail(ErrorKind::protocol, what + ": the kernel answered without a route");
    // No route; and what IPv4 answers for an unreachable, prohibited or blackholed one.
    const int code = done.error().code();
    const bool refused = code == EHOSTUNREACH || code == EACCES || code == EINVAL;
    if (code == ENETUNREACH || (destination.is_v4() && refused)) {
        return Failure(Error(ErrorKind::not_found, what + ": there is none", code));
    }
    return fail_with(done, what);
}

Result<std::vector<Route>> KernelNetlink::competitors(const Route& route) {
    auto all = table(route.prefix.family(), route.table, 0);
    if (!all) return tl::unexpected(all.error());
    std::vector<Route> same;
    for (const RouteMessage& message : *all) {
        const Route& other = message.routes[0];
        const bool competes = message.tos == 0 && other.prefix == route.prefix &&
                              effective_metric(other) == effective_metric(route);
        if (competes) same.push_back(other);
    }
    return same;
}

Result<> KernelNetlink::add_route(const Route& route) {
    const std::string what = "add " + name_of(route);
    if (auto fits = check_route(route); !fits) return fits;
    auto added = change(add_route_request(route, AddMode::exclusive), what);
    if (added || added.error().code() != EEXIST) return added;

    // NLM_F_REPLACE takes the first route of that prefix and metric, whoever made it
    // (fib_table_insert(), fib6_add_rt2node()): look before asking for it.
    const auto same = competitors(route);
    if (!same) return fail_with(same, what);
    const auto foreign =
        std::ranges::find_if(*same, [&](const Route& other) { return other.protocol != route.protocol; });
    if (foreign != same->end()) {
        return fail(ErrorKind::exists,
                    fmt::format("{}: {} belongs to someone else", what, owner_of(*foreign)));
    }
    if (same->size() == 1 && same->front() == route) return {};
    return change(add_route_request(route, AddMode::replace), what);
}

Result<> KernelNetlink::remove_route(const Route& route) {
    const std::string what = "remove " + name_of(route);
    if (route.protocol == 0) {
        return fail(ErrorKind::invalid, what + ": it has no protocol to tell its owner by");
    }
    // To IPv4 a metric of 0 means any: without the look it could take our other route.
    if (route.metric == 0 && route.prefix.family() == Family::v4) {
        const auto same = competitors(route);
        if (!same) return fail_with(same, what);
        const bool ours =
            std::ranges::any_of(*same, [&](const Route& other) { return other.protocol == route.protocol; });
        if (!ours) return {};
    }
    auto done = change(remove_route_request(route), what);
    const int code = done ? 0 : done.error().code();
    if (code == ESRCH || code == ENODEV || code == ENOENT) return {};
    return done;
}

}  // namespace wglan::rtnl
