// SPDX-License-Identifier: Apache-2.0
#include <linux/if.h>
#include <linux/netdevice.h>

#include <cerrno>
#include <charconv>

#include <fmt/format.h>

#include "agent/base/file.h"
#include "agent/netlink/kernel_netlink.h"

namespace wglan::rtnl {
namespace {

Result<> check_name(const std::string& name) {
    const bool fits = !name.empty() && name.size() < IFNAMSIZ && name != "." && name != ".." &&
                      name.find_first_of("/: \t\n") == std::string::npos;
    if (fits) return {};
    return fail(ErrorKind::invalid, fmt::format("`{}` can't be an interface's name (1 to {} characters, no "
                                                "white space, `/` or `:`)",
                                                name, IFNAMSIZ - 1));
}

std::optional<int> sysfs_number(const std::string& name, const char* file) {
    const auto text = read_file(fmt::format("/sys/class/net/{}/{}", name, file), 64);
    int number = 0;
    if (!text || std::from_chars(text->data(), text->data() + text->size(), number).ec != std::errc()) {
        return std::nullopt;
    }
    return number;
}

// An address that an administrator or a virtualiser set (NET_ADDR_SET) stands in sysfs alone. A
// /sys of another network namespace shows other devices: those don't count.
void complete_mac(Link& link) {
    if (!link.has_mac || link.mac_stable || sysfs_number(link.name, "ifindex") != link.ifindex) return;
    link.mac_stable = sysfs_number(link.name, "addr_assign_type") == NET_ADDR_SET;
}

}  // namespace

Result<std::vector<Link>> KernelNetlink::links() {
    std::vector<Link> links;
    Request request = links_request();
    auto done = socket_.dump(
        request, [&] { links.clear(); },
        [&](Bytes message) -> Result<> {
            auto parsed = parse_link(message);
            if (!parsed) return tl::unexpected(parsed.error());
            links.push_back(std::move(parsed->link));
            return {};
        });
    if (!done) return fail_with(done, "list the links");
    for (Link& link : links) complete_mac(link);
    return links;
}

Result<LinkMessage> KernelNetlink::query_link(Request request) {
    std::optional<LinkMessage> found;
    auto done = socket_.request(request, [&](Bytes message) -> Result<> {
        auto parsed = parse_link(message);
        if (!parsed) return tl::unexpected(parsed.error());
        found = std::move(*parsed);
        return {};
    });
    if (!done) return tl::unexpected(done.error());
    if (!found) return fail(ErrorKind::protocol, "the kernel answered without a link");
    return std::move(*found);
}

Result<LinkMessage> KernelNetlink::link_by_index(int ifindex) {
    if (ifindex <= 0) return fail(ErrorKind::not_found, fmt::format("no device has the index {}", ifindex));
    auto found = query_link(link_request(ifindex));
    if (!found) return fail_with(found, fmt::format("read device {}", ifindex));
    return found;
}

Result<Link> KernelNetlink::link(const std::string& name) {
    if (auto fits = check_name(name); !fits) return tl::unexpected(fits.error());
    auto found = query_link(link_request(name));
    if (!found) return fail_with(found, "read device " + name);
    complete_mac(found->link);
    return found->link;
}

Result<> KernelNetlink::change(Request request, const std::string& what) {
    auto done = socket_.request(request);
    if (!done) return fail_with(done, what);
    return {};
}

Result<> KernelNetlink::create_wireguard(const std::string& name) {
    if (auto fits = check_name(name); !fits) return fits;
    const std::string what = "create WireGuard device " + name;
    auto made = change(create_link_request(name, "wireguard"), what);
    if (!made) return made;
    // The kernel ignores an alias in the creating request (rtnl_create_link()).
    auto created = link(name);
    auto named = created ? set_alias(created->ifindex, kInterfaceAlias) : tl::unexpected(created.error());
    if (named) return {};
    // Without the alias nobody could tell that it is ours.
    if (auto undone = remove_link(name); !undone) {
        return fail(named.error().kind(),
                    fmt::format("{}: {}; it is left behind without an owner's mark: {}", what,
                                named.error().message(), undone.error().message()));
    }
    return fail_with(named, what);
}

Result<> KernelNetlink::remove_link(const std::string& name) {
    if (auto fits = check_name(name); !fits) return fits;
    auto done = change(remove_link_request(name), "remove device " + name);
    if (!done && done.error().code() == ENODEV) return {};
    return done;
}

Result<> KernelNetlink::set_alias(int ifindex, const std::string& alias) {
    return change(alias_request(ifindex, alias), fmt::format("set the alias of device {}", ifindex));
}

Result<> KernelNetlink::set_mtu(int ifindex, std::uint32_t mtu) {
    return change(mtu_request(ifindex, mtu), fmt::format("set the MTU of device {} to {}", ifindex, mtu));
}

Result<> KernelNetlink::set_up(int ifindex, bool up) {
    return change(up_request(ifindex, up), fmt::format("set device {} {}", ifindex, up ? "up" : "down"));
}

}  // namespace wglan::rtnl

namespace wglan {

Result<std::unique_ptr<Netlink>> make_netlink() {
    auto socket = rtnl::Socket::open();
    if (!socket) return tl::unexpected(socket.error());
    return std::make_unique<rtnl::KernelNetlink>(std::move(*socket));
}

}  // namespace wglan
