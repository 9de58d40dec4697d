// SPDX-License-Identifier: Apache-2.0
#include <cerrno>

#include <fmt/format.h>

#include "agent/netlink/kernel_netlink.h"

namespace wglan::rtnl {
namespace {

std::string name_of(const InterfaceAddress& address) {
    return fmt::format("address {}/{} of device {}", address.address.to_string(), address.prefix_length,
                       address.ifindex);
}

}  // namespace

Result<std::vector<InterfaceAddress>> KernelNetlink::addresses() {
    std::vector<InterfaceAddress> addresses;
    Request request = addresses_request();
    auto done = socket_.dump(
        request, [&] { addresses.clear(); },
        [&](Bytes message) -> Result<> {
            const auto parsed = parse_address(message);
            if (!parsed) return tl::unexpected(parsed.error());
            if (*parsed) addresses.push_back(**parsed);
            return {};
        });
    if (!done) return fail_with(done, "list the addresses");
    return addresses;
}

Result<> KernelNetlink::add_address(const InterfaceAddress& address) {
    auto done = change(add_address_request(address), "add " + name_of(address));
    if (!done && done.error().code() == EEXIST) return {};
    return done;
}

Result<> KernelNetlink::remove_address(const InterfaceAddress& address) {
    auto done = change(remove_address_request(address), "remove " + name_of(address));
    const int code = done ? 0 : done.error().code();
    if (code == EADDRNOTAVAIL || code == ENODEV || code == ENXIO) return {};
    return done;
}

}  // namespace wglan::rtnl
