// SPDX-License-Identifier: Apache-2.0
#include <cerrno>

#include "agent/netlink/kernel_netlink.h"

namespace wglan::rtnl {

Result<std::vector<Neighbour>> KernelNetlink::neighbours() {
    std::vector<Neighbour> neighbours;
    Request request = neighbours_request();
    auto done = socket_.dump(
        request, [&] { neighbours.clear(); },
        [&](Bytes message) -> Result<> {
            const auto parsed = parse_neighbour(message);
            if (!parsed) return tl::unexpected(parsed.error());
            if (*parsed) neighbours.push_back(**parsed);
            return {};
        });
    if (!done) return fail_with(done, "list the neighbours");
    return neighbours;
}

Result<std::vector<ForwardingEntry>> KernelNetlink::forwarding_entries(int ifindex) {
    std::vector<ForwardingEntry> entries;
    Request request = forwarding_request(ifindex);
    auto done = socket_.dump(
        request, [&] { entries.clear(); },
        [&](Bytes message) -> Result<> {
            const auto parsed = parse_forwarding(message);
            if (!parsed) return tl::unexpected(parsed.error());
            if (*parsed && (*parsed)->ifindex == ifindex) entries.push_back(**parsed);
            return {};
        });
    // EOPNOTSUPP: a kernel that knows no bridges.
    if (!done && (done.error().code() == EOPNOTSUPP || done.error().code() == ENODEV))
        return std::vector<ForwardingEntry>();
    if (!done) return fail_with(done, "list a forwarding table");
    return entries;
}

Result<> KernelNetlink::probe_neighbour(int ifindex, const IpAddress& address) {
    return change(probe_neighbour_request(ifindex, address), "look for neighbour " + address.to_string());
}

}  // namespace wglan::rtnl
