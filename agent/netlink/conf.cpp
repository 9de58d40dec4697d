// SPDX-License-Identifier: Apache-2.0
// Per-device settings: IPv4's over rtnetlink; IPv6 forwarding, for which no kernel has a netlink
// request (inet6_set_link_af() knows the token and the address generation mode alone), through
// /proc/sys; threaded NAPI through sysfs.
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>

#include "agent/base/unique_fd.h"
#include "agent/netlink/kernel_netlink.h"

namespace wglan::rtnl {
namespace {

// Where a container has the host's /proc/sys/net writable: its own is read-only.
constexpr char kHostRoot[] = "/host";

UniqueFd open_setting(const std::string& path) {
    UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (file.valid() || errno != EROFS) return file;
    UniqueFd outside(::open((kHostRoot + path).c_str(), O_WRONLY | O_CLOEXEC));
    if (!outside.valid()) errno = EROFS;
    return outside;
}

Result<> write_setting(const std::string& path, const char* value) {
    const UniqueFd file = open_setting(path);
    if (!file.valid()) return fail_errno("write " + path);
    if (::write(file.get(), value, 1) != 1) return fail_errno("write " + path);
    return {};
}

Failure no_family(int ifindex, const char* family) {
    return fail(ErrorKind::unsupported,
                fmt::format("device {} has no {} settings: {} is off there", ifindex, family, family));
}

}  // namespace

Result<> KernelNetlink::set_threaded_napi(const std::string& name, bool on) {
    if (auto found = link(name); !found) return fail_with(found, "set threaded NAPI");
    const auto done = write_setting(fmt::format("/sys/class/net/{}/threaded", name), on ? "1" : "0");
    if (done) return {};
    const int code = done.error().code();
    // EOPNOTSUPP: the device has no NAPI context; WireGuard makes one with each peer.
    if (code != ENOENT && code != EOPNOTSUPP) return fail_with(done, "set threaded NAPI of " + name);
    return fail(ErrorKind::unsupported, fmt::format("set threaded NAPI of {}: {}", name,
                                                    code == ENOENT ? "this kernel (or this /sys) lacks it"
                                                                   : "the device has no NAPI context yet"));
}

Result<int> KernelNetlink::rp_filter(int ifindex) {
    const auto found = link_by_index(ifindex);
    if (!found) return fail_with(found, "read rp_filter");
    if (!found->rp_filter) return no_family(ifindex, "IPv4");
    return *found->rp_filter;
}

Result<> KernelNetlink::set_rp_filter(int ifindex, int mode) {
    if (mode < 0 || mode > 2) return fail(ErrorKind::invalid, fmt::format("rp_filter can't be {}", mode));
    return change(inet_conf_request(ifindex, IPV4_DEVCONF_RP_FILTER, static_cast<std::uint32_t>(mode)),
                  fmt::format("set rp_filter of device {} to {}", ifindex, mode));
}

Result<bool> KernelNetlink::forwarding(int ifindex, Family family) {
    const auto found = link_by_index(ifindex);
    if (!found) return fail_with(found, "read forwarding");
    const bool v4 = family == Family::v4;
    const auto& value = v4 ? found->forwarding_v4 : found->forwarding_v6;
    if (!value) return no_family(ifindex, v4 ? "IPv4" : "IPv6");
    return *value;
}

Result<> KernelNetlink::set_forwarding(int ifindex, Family family, bool on) {
    if (family == Family::v4) {
        return change(inet_conf_request(ifindex, IPV4_DEVCONF_FORWARDING, on ? 1 : 0),
                      fmt::format("switch IPv4 forwarding of device {} {}", ifindex, on ? "on" : "off"));
    }
    const auto found = link_by_index(ifindex);
    if (!found) return fail_with(found, "set IPv6 forwarding");
    if (!found->forwarding_v6) return no_family(ifindex, "IPv6");
    if (*found->forwarding_v6 == on) return {};
    const std::string path = fmt::format("/proc/sys/net/ipv6/conf/{}/forwarding", found->link.name);
    auto done = write_setting(path, on ? "1" : "0");
    if (done) return {};
    if (done.error().code() != EROFS) return fail_with(done, "set IPv6 forwarding");
    return fail(
        ErrorKind::permission,
        fmt::format("{} is read-only and rtnetlink can't set it: mount the host's /proc/sys/net at "
                    "/host/proc/sys/net, or set net.ipv6.conf.default.forwarding={} before the agent starts",
                    path, on ? 1 : 0));
}

Result<> KernelNetlink::set_no_link_local(int ifindex) {
    auto done = change(addr_gen_mode_request(ifindex, IN6_ADDR_GEN_MODE_NONE),
                       fmt::format("switch automatic IPv6 addresses of device {} off", ifindex));
    if (!done && done.error().code() == EAFNOSUPPORT) return no_family(ifindex, "IPv6");
    return done;
}

}  // namespace wglan::rtnl
