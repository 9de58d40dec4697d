// SPDX-License-Identifier: Apache-2.0
// Netlink on the real kernel. One class over several files, by topic: links.cpp, conf.cpp,
// addresses.cpp, routes.cpp, neighbours.cpp.
#pragma once

#include "agent/netlink/codec.h"
#include "agent/netlink/netlink.h"
#include "agent/netlink/socket.h"

namespace wglan::rtnl {

class KernelNetlink final : public Netlink {
public:
    explicit KernelNetlink(Socket socket) : socket_(std::move(socket)) {}

    std::uint32_t port() const override { return socket_.port(); }
    Result<std::vector<Link>> links() override;
    Result<Link> link(const std::string& name) override;
    Result<std::vector<InterfaceAddress>> addresses() override;
    Result<std::vector<Route>> routes(std::uint8_t protocol) override;
    Result<std::vector<Route>> default_routes() override;
    Result<std::vector<Neighbour>> neighbours() override;
    Result<std::vector<ForwardingEntry>> forwarding_entries(int ifindex) override;
    Result<> probe_neighbour(int ifindex, const IpAddress& address) override;
    Result<Route> route_to(const IpAddress& destination, std::uint32_t mark) override;
    Result<Route> route_of(const ArrivingPacket& packet) override;

    Result<> create_wireguard(const std::string& name) override;
    Result<> remove_link(const std::string& name) override;
    Result<> set_alias(int ifindex, const std::string& alias) override;
    Result<> set_mtu(int ifindex, std::uint32_t mtu) override;
    Result<> set_up(int ifindex, bool up) override;
    Result<> set_threaded_napi(const std::string& name, bool on) override;
    Result<int> rp_filter(int ifindex) override;
    Result<> set_rp_filter(int ifindex, int mode) override;
    Result<bool> forwarding(int ifindex, Family family) override;
    Result<> set_forwarding(int ifindex, Family family, bool on) override;
    Result<> set_no_link_local(int ifindex) override;

    Result<> add_address(const InterfaceAddress& address) override;
    Result<> remove_address(const InterfaceAddress& address) override;
    Result<> add_route(const Route& route) override;
    Result<> remove_route(const Route& route) override;

private:
    // The one link that the request asks for.
    Result<LinkMessage> query_link(Request request);
    Result<LinkMessage> link_by_index(int ifindex);
    Result<> change(Request request, const std::string& what);
    enum class Which { all, defaults };
    // IPv4 and IPv6 routes of one table with tos 0; protocol 0 = all.
    Result<std::vector<RouteMessage>> table(Family family, std::uint32_t table, std::uint8_t protocol,
                                            Which which = Which::all);
    Result<std::vector<Route>> main_table(std::uint8_t protocol, Which which);
    Result<Route> look_up(Request request, const IpAddress& destination);
    // Those of the same prefix and metric.
    Result<std::vector<Route>> competitors(const Route& route);

    Socket socket_;
};

}  // namespace wglan::rtnl
