// SPDX-License-Identifier: Apache-2.0
// Checks of the host: kernel, permissions, devices, settings, clock.
#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "agent/doctor/checks.h"

namespace wglan {
namespace {

using Status = FindingStatus;
using Role = DeviceFacts::Role;

constexpr std::uint32_t kOverhead = 80;                       // of WireGuard over IPv6
constexpr std::uint32_t kLeastMtu = 1280;                     // RFC 8200 section 5
constexpr UnixTime kSomeWhileAgo = 1'750'000'000;             // mid-2025: an earlier clock was never set
constexpr std::int64_t kClockApart = 60, kClockTooFar = 600;  // readers refuse records issued 10 min ahead

const DeviceFacts* tunnel_of(const HostView& host) {
    for (const DeviceFacts& device : host.devices)
        if (device.role == Role::tunnel) return &device;
    return nullptr;
}

Findings pass_unless(Findings findings, const char* check, std::string text) {
    if (findings.empty()) findings.push_back({check, Status::pass, std::move(text), ""});
    return findings;
}

void check_wireguard(const HostView& host, const AgentView* agent, Findings& findings) {
    const KernelFacts& kernel = host.kernel;
    if (agent != nullptr) {
        if (agent->backend == "userspace" && kernel.wireguard == true)
            findings.push_back({"kernel", Status::warn,
                                "wireguard-go is used although this kernel has WireGuard",
                                "set interface.backend to auto or kernel, and restart the agent"});
        return;
    }
    if (kernel.wireguard == true || kernel.wireguard_go) return;
    findings.push_back({"kernel", Status::fail, "this kernel has no WireGuard, and $PATH no wireguard-go",
                        "modprobe wireguard, or install wireguard-go"});
}

std::string kernel_text(const HostView& host, const AgentView* agent) {
    const KernelFacts& kernel = host.kernel;
    std::string text = fmt::format("Linux {}: BTF", kernel.release);
    if (kernel.tcx) text += *kernel.tcx ? ", TCX" : ", clsact filters (no TCX before 6.6)";
    if (kernel.jit && *kernel.jit != 0) text += ", BPF JIT";
    if (agent != nullptr && !agent->backend.empty())
        text += fmt::format(", {} WireGuard", agent->backend);
    else if (kernel.wireguard)
        text += *kernel.wireguard ? ", kernel WireGuard" : ", no kernel WireGuard";
    return text;
}

}  // namespace

Findings check_kernel(const HostView& host, const AgentView* agent) {
    const KernelFacts& kernel = host.kernel;
    Findings findings;
    if (!kernel.btf)
        findings.push_back({"kernel", Status::fail,
                            fmt::format("Linux {} has no BTF (/sys/kernel/btf/vmlinux)", kernel.release),
                            "use a kernel with CONFIG_DEBUG_INFO_BTF=y, 6.1 or newer"});
    if (kernel.bpffs == false)
        findings.push_back({"kernel", Status::fail, "no BPF file system where programs are pinned",
                            "mount -t bpf bpf /sys/fs/bpf"});
    if (kernel.jit == 0)
        findings.push_back({"kernel", Status::warn, "BPF programs are interpreted: steering is slow",
                            "sysctl net.core.bpf_jit_enable=1"});
    check_wireguard(host, agent, findings);
    return pass_unless(std::move(findings), "kernel", kernel_text(host, agent));
}

Findings check_permissions(const HostView& host, const AgentView* agent) {
    const PermissionFacts& permissions = host.permissions;
    Findings findings;
    if (!permissions.missing.empty()) {
        const std::string missing = fmt::format("{}", fmt::join(permissions.missing, ", "));
        findings.push_back(
            {"permissions", agent != nullptr ? Status::fail : Status::skip,
             agent != nullptr ? "the agent lacks " + missing
                              : "not everything could be looked at: this process lacks " + missing,
             agent != nullptr ? "run it as root, or give it these capabilities" : "run it as root"});
    } else if (!permissions.raw) {
        findings.push_back(
            {"permissions", Status::warn,
             "no CAP_NET_RAW: peers may be judged by handshakes alone, and whether the port is "
             "reachable can't be seen",
             "give it CAP_NET_RAW"});
    }
    if (permissions.proc_writable == false && permissions.missing.empty())
        findings.push_back(
            {"permissions", Status::warn,
             "/proc/sys/net is read-only: IPv6 forwarding can't be switched on for " + host.interface,
             "mount it writable, or set net.ipv6.conf.default.forwarding=1"});
    if (permissions.key_mode && (*permissions.key_mode & 077U) != 0)
        findings.push_back({"permissions", Status::fail,
                            fmt::format("{} has mode {:04o}: others can read the private key",
                                        permissions.key_file, *permissions.key_mode),
                            "chmod 600 " + permissions.key_file + ", and change the key"});
    return pass_unless(
        std::move(findings), "permissions",
        agent != nullptr ? "the agent has the capabilities it needs" : "this process may look at everything");
}

Findings check_interface(const HostView& host, const AgentView* agent) {
    const DeviceFacts* tunnel = tunnel_of(host);
    Findings findings;
    if (tunnel == nullptr) {
        findings.push_back({"interface", Status::fail, host.interface + " does not exist",
                            agent != nullptr ? "the agent makes it anew; if not, its log says why"
                                             : "start the agent: it makes it"});
        return findings;
    }
    if (!tunnel->up)
        findings.push_back({"interface", Status::fail, host.interface + " is down",
                            agent != nullptr ? "the agent puts it up within 2 s; if not, its log says why"
                                             : "ip link set " + host.interface + " up, or start the agent"});
    return pass_unless(std::move(findings), "interface",
                       fmt::format("{} is up, MTU {}", host.interface, tunnel->mtu));
}

// The kernel takes the larger of the device's value and that of "all".
Findings check_rp_filter(const HostView& host, const AgentView*) {
    const auto effective = [&](const DeviceFacts& device) {
        return device.rp_filter ? std::optional(std::max(*device.rp_filter, host.rp_filter_all.value_or(0)))
                                : std::nullopt;
    };
    Findings findings;
    const DeviceFacts* tunnel = tunnel_of(host);
    if (tunnel == nullptr || !effective(*tunnel)) {
        findings.push_back(
            {"rp_filter", Status::skip,
             tunnel == nullptr ? "there is no " + host.interface : "the value of " + host.interface + " can't be read",
             ""});
        return findings;
    }
    const int mode = *effective(*tunnel);
    if (mode == 1)
        findings.push_back(
            {"rp_filter", Status::fail,
             fmt::format("strict at {}: IPv4 packets from peers' node addresses are dropped", tunnel->name),
             fmt::format(
                 "sysctl net.ipv4.conf.{}.rp_filter=2 (the agent keeps it so; something sets it back)",
                 tunnel->name)});
    else if (mode != 0 && !tunnel->has_ipv4)
        findings.push_back({"rp_filter", Status::fail,
                            fmt::format("{} has no IPv4 address: with rp_filter on, all IPv4 from peers is "
                                        "dropped",
                                        tunnel->name),
                            "the agent puts one there; something removes it"});
    std::vector<std::string> strict;
    std::size_t ways_out = 0;
    for (const DeviceFacts& device : host.devices) {
        if (device.role != Role::uplink || !device.default_route) continue;
        ++ways_out;
        if (effective(device) == 1) strict.push_back(device.name);
    }
    if (ways_out > 1 && !strict.empty())
        findings.push_back(
            {"rp_filter", Status::warn,
             fmt::format("strict at {}, and there are {} ways out: packets of peers that come in by another "
                         "than the best are dropped",
                         fmt::join(strict, ", "), ways_out),
             fmt::format("sysctl net.ipv4.conf.{}.rp_filter=2", strict.front())});
    return pass_unless(std::move(findings), "rp_filter",
                       fmt::format("{} at {}", mode == 0 ? "off" : "loose", tunnel->name));
}

Findings check_forwarding(const HostView& host, const AgentView* agent) {
    const bool needs4 = agent == nullptr || agent->announces4, needs6 = agent == nullptr || agent->announces6;
    const Status off = agent == nullptr ? Status::warn : Status::fail;
    const std::string why = agent == nullptr ? "is off: pods behind this node can't be reached"
                                             : "is off, but this node announces prefixes behind it";
    Findings findings;
    if (needs4 && host.forwarding4 == false)
        findings.push_back({"forwarding", off, "IPv4 forwarding " + why, "sysctl net.ipv4.ip_forward=1"});
    if (needs6 && host.forwarding6 == false)
        findings.push_back(
            {"forwarding", off, "IPv6 forwarding " + why, "sysctl net.ipv6.conf.all.forwarding=1"});
    return pass_unless(std::move(findings), "forwarding",
                       needs4 || needs6 ? "on" : "not needed: this node announces nothing behind it");
}

Findings check_mtu(const HostView& host, const AgentView* agent) {
    Findings findings;
    const DeviceFacts* tunnel = tunnel_of(host);
    if (tunnel == nullptr) {
        findings.push_back({"mtu", Status::skip, "there is no " + host.interface, ""});
        return findings;
    }
    const DeviceFacts* narrow = nullptr;
    for (const DeviceFacts& device : host.devices)
        if (device.role == Role::uplink && device.mtu != 0 && (narrow == nullptr || device.mtu < narrow->mtu))
            narrow = &device;
    if (narrow != nullptr && tunnel->mtu + kOverhead > narrow->mtu)
        findings.push_back(
            {"mtu", Status::warn,
             fmt::format(
                 "{} has MTU {}, and {} takes {}: full packets need {} outside, so each is fragmented",
                 tunnel->name, tunnel->mtu, narrow->name, narrow->mtu, tunnel->mtu + kOverhead),
             narrow->mtu < kLeastMtu + kOverhead
                 ? fmt::format("raise the MTU of {} to {} at least", narrow->name, kLeastMtu + kOverhead)
                 : fmt::format("leave interface.mtu at auto, or set it to {}", narrow->mtu - kOverhead)});
    if (agent != nullptr && agent->wanted_mtu != 0 && agent->wanted_mtu != tunnel->mtu)
        findings.push_back(
            {"mtu", Status::warn,
             fmt::format("{} has MTU {} instead of {}", tunnel->name, tunnel->mtu, agent->wanted_mtu),
             "the agent sets it; something sets it back"});
    std::vector<std::string> wide;
    std::uint32_t widest = 0;
    for (const DeviceFacts& device : host.devices) {
        if (device.role != Role::pods && device.role != Role::cni_tunnel) continue;
        // A kernel that has IPIP or GRE makes tunl0, gre0 and so on, which stay down where nobody uses them.
        if (!device.up || device.mtu <= tunnel->mtu) continue;
        wide.push_back(device.name);
        widest = std::max(widest, device.mtu);
    }
    if (!wide.empty()) {
        const std::size_t count = wide.size();
        if (count > 3) wide.resize(3);
        findings.push_back(
            {"mtu", Status::warn,
             fmt::format("{}{} lead to pods with MTU {}, {} has {}: TCP is clamped and others are told, but "
                         "what ignores that is fragmented or lost",
                         fmt::join(wide, ", "), count > 3 ? fmt::format(" and {} more", count - 3) : "",
                         widest, tunnel->name, tunnel->mtu),
             fmt::format("set the CNI's MTU to {}", tunnel->mtu)});
    }
    return pass_unless(std::move(findings), "mtu",
                       narrow == nullptr ? fmt::format("{} has {}", tunnel->name, tunnel->mtu)
                                         : fmt::format("{} has {}, {} takes {}", tunnel->name, tunnel->mtu,
                                                       narrow->name, narrow->mtu));
}

Findings check_clock(const HostView& host, const std::vector<ClockOffset>& offsets) {
    Findings findings;
    const char* mend = "set up NTP (chrony, systemd-timesyncd)";
    if (host.clock.now < kSomeWhileAgo)
        findings.push_back({"clock", Status::fail,
                            "the clock says " + rfc3339(host.clock.now) + ": it was never set", mend});
    // The median: one peer whose clock is wrong is its own trouble.
    std::vector<std::int64_t> all;
    for (const ClockOffset& offset : offsets) all.push_back(offset.seconds);
    std::sort(all.begin(), all.end());
    const std::int64_t median = all.empty() ? 0 : all[all.size() / 2];
    const std::int64_t apart = median < 0 ? -median : median;
    if (apart > kClockApart)
        findings.push_back(
            {"clock", apart > kClockTooFar ? Status::fail : Status::warn,
             fmt::format("{} s {} that of {}{}", apart, median > 0 ? "behind" : "ahead of",
                         all.size() == 1 ? offsets.front().peer : fmt::format("{} peers", all.size()),
                         apart > kClockTooFar ? ": records more than 10 min ahead are refused" : ""),
             mend});
    if (!host.clock.synchronised)
        findings.push_back({"clock", Status::warn,
                            "the kernel doesn't call the clock synchronised: the age of records isn't judged",
                            mend});
    return pass_unless(std::move(findings), "clock",
                       all.empty() ? "synchronised"
                                   : fmt::format("synchronised, {} s off that of {} peer{}", apart,
                                                 all.size(), all.size() == 1 ? "" : "s"));
}

}  // namespace wglan
