// SPDX-License-Identifier: Apache-2.0
// Links, addresses, routes and per-device settings over rtnetlink (libnl-3). Calls are short and
// synchronous; every request waits for its acknowledgement. Dumps that were interrupted
// (NLM_F_DUMP_INTR) are made again; after five tries the call fails with `conflict`.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/network.h"

namespace wglan {

class Netlink {
public:
    virtual ~Netlink() = default;

    // Of the socket that asks for changes; another one after an answer that never came.
    virtual std::uint32_t port() const = 0;
    virtual Result<std::vector<Link>> links() = 0;
    virtual Result<Link> link(const std::string& name) = 0;  // not_found
    virtual Result<std::vector<InterfaceAddress>> addresses() = 0;
    // Main table, both families; protocol 0 = all protocols. A route with several next hops is
    // listed once for each. Routes of ours (kRouteProtocol) read back as they were asked for:
    // metric 0 = the kernel's default (which IPv6 shows as 1024).
    virtual Result<std::vector<Route>> routes(std::uint8_t protocol = 0) = 0;
    // Of those the default routes; the others cost next to nothing.
    virtual Result<std::vector<Route>> default_routes() = 0;
    virtual Result<std::vector<Neighbour>> neighbours() = 0;  // both families
    // Of that device (vxlan, geneve), those with a remote end; none where there is no such device.
    virtual Result<std::vector<ForwardingEntry>> forwarding_entries(int ifindex) = 0;
    // Makes the kernel look for it, as a packet to it would.
    virtual Result<> probe_neighbour(int ifindex, const IpAddress& address) = 0;
    // The kernel's answer to "which way to this address" (RTM_GETROUTE), marked with fwmark.
    virtual Result<Route> route_to(const IpAddress& destination, std::uint32_t mark = 0) = 0;
    // The way on of a packet that comes in. Its source is judged, too: what rp_filter refuses is an error.
    virtual Result<Route> route_of(const ArrivingPacket& packet) = 0;

    virtual Result<> create_wireguard(const std::string& name) = 0;  // with kInterfaceAlias
    virtual Result<> remove_link(const std::string& name) = 0;       // idempotent
    virtual Result<> set_alias(int ifindex, const std::string& alias) = 0;
    virtual Result<> set_mtu(int ifindex, std::uint32_t mtu) = 0;
    virtual Result<> set_up(int ifindex, bool up) = 0;
    // `unsupported` where the kernel lacks it, or the device has no NAPI context yet (WireGuard
    // makes one with each peer).
    virtual Result<> set_threaded_napi(const std::string& name, bool on) = 0;
    // IPv4 conf values by rtnetlink's IFLA_AF_SPEC / IFLA_INET_CONF (works where /proc/sys is read-only).
    // IPv6 forwarding can only be written through /proc/sys (`permission` where that is read-only),
    // and needs conf/all/forwarding too before the kernel forwards anything.
    virtual Result<int> rp_filter(int ifindex) = 0;
    virtual Result<> set_rp_filter(int ifindex, int mode) = 0;
    virtual Result<bool> forwarding(int ifindex, Family family) = 0;
    virtual Result<> set_forwarding(int ifindex, Family family, bool on) = 0;
    // No SLAAC, no link-local address: addr_gen_mode none.
    virtual Result<> set_no_link_local(int ifindex) = 0;

    // EEXIST / missing are success: the wanted state is there. The kernel adds IFA_F_PERMANENT to
    // the flags that are read back; an address that is there takes the wanted flags (IPv6).
    virtual Result<> add_address(const InterfaceAddress& address) = 0;
    virtual Result<> remove_address(const InterfaceAddress& address) = 0;
    // Replaces a route of the same prefix, table and metric if it is ours (protocol); `exists` if
    // not, naming the other. The protocol must not be 0.
    virtual Result<> add_route(const Route& route) = 0;
    virtual Result<> remove_route(const Route& route) = 0;
};

Result<std::unique_ptr<Netlink>> make_netlink();

// Something changed: multicast of links, IPv4/IPv6 addresses, routes, neighbours and forwarding tables. An
// overrun of the socket (ENOBUFS) is reported as everything having changed.
struct NetlinkEvent {
    enum class What { link, address, route, neighbour, forwarding, overrun };
    What what = What::overrun;
    int ifindex = 0;
    std::string interface;  // where known (links)
    bool removed = false;
    std::optional<Route> route;  // for What::route
    IpAddress neighbour;         // for What::neighbour
};

// Own netlink socket, non-blocking: app awaits fd() on its event loop and calls read_events().
class NetlinkMonitor {
public:
    virtual ~NetlinkMonitor() = default;
    virtual int fd() const = 0;
    // All that is queued now (at most about 16,000 events a call), in order; main table alone; IPv4 routes
    // that the kernel drops along with a link or an address are not announced by it: look at the routes after
    // such an event.
    virtual Result<std::vector<NetlinkEvent>> read_events() = 0;
};

// Changes of routes by the socket of that port (Netlink::port()) are left out; 0 = none.
Result<std::unique_ptr<NetlinkMonitor>> make_netlink_monitor(std::uint32_t own_port = 0);

}  // namespace wglan
