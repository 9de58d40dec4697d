// SPDX-License-Identifier: Apache-2.0
#include "agent/inspect/host.h"

#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <set>
#include <string_view>

#include "agent/base/clock.h"
#include "agent/base/clock_state.h"
#include "agent/base/file.h"
#include "agent/dataplane/attach.h"
#include "agent/dataplane/bpffs.h"
#include "agent/dataplane/hook_order.h"
#include "agent/inspect/capabilities.h"
#include "agent/netlink/uplinks.h"

namespace wglan {
namespace {

constexpr std::size_t kModuleListLimit = 8U << 20;

std::optional<int> read_number(const std::string& path) {
    const auto text = read_file(path, 64);
    int value = 0;
    if (!text || std::from_chars(text->data(), text->data() + text->size(), value).ec != std::errc())
        return std::nullopt;
    return value;
}

std::optional<bool> read_switch(const std::string& path) {
    const auto value = read_number(path);
    return value ? std::optional(*value != 0) : std::nullopt;
}

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

bool in_path(const std::string& program) {
    const char* path = std::getenv("PATH");
    std::string_view rest = path == nullptr ? "" : path;
    while (!rest.empty()) {
        const auto end = std::min(rest.find(':'), rest.size());
        if (::access((std::string(rest.substr(0, end)) + "/" + program).c_str(), X_OK) == 0) return true;
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return false;
}

std::optional<bool> has_wireguard(const std::string& release) {
    if (exists("/sys/module/wireguard")) return true;
    bool listed = false;
    for (const char* list : {"modules.builtin", "modules.dep"}) {
        const auto text = read_file("/lib/modules/" + release + "/" + list, kModuleListLimit);
        if (!text) continue;
        listed = true;
        if (text->find("/wireguard.ko") != std::string::npos) return true;
    }
    return listed ? std::optional(false) : std::nullopt;
}

KernelFacts look_at_kernel(const HostQuestion& question) {
    KernelFacts facts;
    utsname name{};
    if (::uname(&name) == 0) facts.release = name.release;
    facts.btf = exists("/sys/kernel/btf/vmlinux");
    facts.bpffs = on_bpffs(exists(question.pin_path) ? question.pin_path : "/sys/fs/bpf");
    facts.jit = read_number("/proc/sys/net/core/bpf_jit_enable");
    facts.wireguard = has_wireguard(facts.release);
    facts.wireguard_go = in_path("wireguard-go");
    return facts;
}

PermissionFacts look_at_permissions(const HostQuestion& question) {
    PermissionFacts facts;
    if (const auto found = read_capabilities()) {
        facts.missing = found->missing;
        facts.raw = found->raw;
    }
    const char* setting = "/proc/sys/net/ipv6/conf/all/forwarding";
    // A container's own is read-only, and has the host's beside it (agent/netlink/conf.cpp).
    const std::string outside = std::string("/host") + setting;
    if (exists(setting))
        facts.proc_writable = ::access(setting, W_OK) == 0 || ::access(outside.c_str(), W_OK) == 0;
    struct stat info{};
    if (question.key_file.empty() || ::stat(question.key_file.c_str(), &info) != 0) return facts;
    facts.key_file = question.key_file;
    facts.key_mode = info.st_mode & 07777U;
    return facts;
}

class Devices {
public:
    Devices(Netlink& netlink, const HostQuestion& question) : question_(question) {
        const auto links = netlink.links();
        const auto addresses = netlink.addresses();
        const auto routes = netlink.default_routes();
        if (links) links_ = *links;
        if (addresses) addresses_ = *addresses;
        if (routes) routes_ = *routes;
        if (question.uplinks) {
            uplinks_.insert(question.uplinks->begin(), question.uplinks->end());
            return;
        }
        const auto chosen = select_uplinks(links_, addresses_, routes_, std::nullopt, question.interface,
                                           question.pod_prefixes);
        for (const Link& link : links_)
            if (std::binary_search(chosen.begin(), chosen.end(), link.ifindex)) uplinks_.insert(link.name);
    }

    const std::vector<Link>& links() const { return links_; }

    std::optional<DeviceFacts::Role> role_of(const Link& link) const {
        if (link.name == question_.interface) return DeviceFacts::Role::tunnel;
        if (is_tunnel(link)) return DeviceFacts::Role::cni_tunnel;
        if (uplinks_.contains(link.name)) return DeviceFacts::Role::uplink;
        if (faces_pods(link)) return DeviceFacts::Role::pods;
        return std::nullopt;
    }

    DeviceFacts facts_of(const Link& link, DeviceFacts::Role role) const {
        DeviceFacts facts;
        facts.name = link.name;
        facts.role = role;
        facts.mtu = link.mtu;
        facts.up = link.up;
        facts.rp_filter = read_number("/proc/sys/net/ipv4/conf/" + link.name + "/rp_filter");
        for (const Route& route : routes_)
            facts.default_route |= route.ifindex == link.ifindex && route.prefix.family() == Family::v4;
        for (const InterfaceAddress& address : addresses_)
            facts.has_ipv4 |= address.ifindex == link.ifindex && address.address.is_v4();
        return facts;
    }

private:
    bool is_pod_bridge(const Link& link) const {
        return link.kind == "bridge" &&
               std::any_of(addresses_.begin(), addresses_.end(), [&](const InterfaceAddress& address) {
                   return address.ifindex == link.ifindex &&
                          std::any_of(question_.pod_prefixes.begin(), question_.pod_prefixes.end(),
                                      [&](const Prefix& prefix) { return prefix.contains(address.address); });
               });
    }
    // Container engines have bridges of their own, whose guests are none of ours.
    bool faces_pods(const Link& link) const {
        if (link.kind == "bridge") return is_pod_bridge(link);
        if (link.kind != "netkit" && (link.kind != "veth" || !link.peer_in_other_netns)) return false;
        return link.master == 0 || std::any_of(links_.begin(), links_.end(), [&](const Link& bridge) {
                   return bridge.ifindex == link.master && is_pod_bridge(bridge);
               });
    }

    const HostQuestion& question_;
    std::vector<Link> links_;
    std::vector<InterfaceAddress> addresses_;
    std::vector<Route> routes_;
    std::set<std::string> uplinks_;
};

void look_at_hooks(const Devices& devices, HostView& view) {
    const auto kind = view.kernel.tcx == true ? Attachment::Kind::tcx : Attachment::Kind::clsact;
    const auto add = [&](const Link& link, Attachment::Hook hook) {
        const auto names = programs_in_order(link.ifindex, hook);
        if (!names) return;
        const bool guards = hook == Attachment::Hook::tc_ingress && link.name != view.interface;
        HookFacts at{link.name, hook, kind, {}, (guards ? kGuardSlot : kSteerSlot).filter_priority};
        for (const std::string& name : *names) at.programs.push_back({name, is_our_program(name)});
        view.hooks.push_back(std::move(at));
    };
    for (const Link& link : devices.links()) {
        const auto role = devices.role_of(link);
        if (!role || *role == DeviceFacts::Role::pods) continue;
        add(link, Attachment::Hook::tc_egress);
        add(link, Attachment::Hook::tc_ingress);
    }
}

}  // namespace

HostView inspect_host(Netlink& netlink, const HostQuestion& question) {
    HostView view;
    view.interface = question.interface;
    view.kernel = look_at_kernel(question);
    view.permissions = look_at_permissions(question);
    const Devices devices(netlink, question);
    for (const Link& link : devices.links()) {
        if (link.name == question.interface && link.kind == "wireguard") view.kernel.wireguard = true;
        if (const auto role = devices.role_of(link)) view.devices.push_back(devices.facts_of(link, *role));
    }
    view.hooks_known = view.permissions.missing.empty();
    if (view.hooks_known) {
        view.kernel.tcx = Attacher(question.pin_path, false).uses_tcx();
        look_at_hooks(devices, view);
    }
    view.rp_filter_all = read_number("/proc/sys/net/ipv4/conf/all/rp_filter");
    view.forwarding4 = read_switch("/proc/sys/net/ipv4/ip_forward");
    view.forwarding6 = read_switch("/proc/sys/net/ipv6/conf/all/forwarding");
    view.clock = {system_clock_synchronised(), system_clock().unix_now()};
    return view;
}

}  // namespace wglan
