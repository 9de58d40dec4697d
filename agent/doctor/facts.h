// SPDX-License-Identifier: Apache-2.0
// What doctor knows of a host: gathered by agent/inspect, and by the agent of itself. Plain values; nullopt =
// it couldn't be found out.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/model/network.h"
#include "agent/model/peer.h"
#include "agent/model/record.h"
#include "agent/model/steering.h"

namespace wglan {

struct KernelFacts {
    std::string release;  // uname -r
    bool btf = false;
    std::optional<bool> bpffs;  // at the pin path
    std::optional<bool> tcx;
    std::optional<int> jit;         // net.core.bpf_jit_enable
    std::optional<bool> wireguard;  // in the kernel, or a module of it that is there
    bool wireguard_go = false;      // in $PATH
};

// Of the process that looks.
struct PermissionFacts {
    std::vector<std::string> missing;   // capabilities without which no agent starts
    bool raw = true;                    // CAP_NET_RAW
    std::optional<bool> proc_writable;  // /proc/sys/net
    std::string key_file;               // "" = not looked at
    std::optional<unsigned> key_mode;
};

struct DeviceFacts {
    enum class Role { tunnel, uplink, cni_tunnel, pods };
    std::string name;
    Role role = Role::uplink;
    std::uint32_t mtu = 0;
    bool up = false;
    bool default_route = false;    // of IPv4
    std::optional<int> rp_filter;  // its own; the kernel takes the larger of that and "all"
    bool has_ipv4 = false;
};

// Programs at one hook in the order in which they run.
struct HookFacts {
    struct Place {
        std::string program;
        bool ours = false;
    };
    std::string interface;
    Attachment::Hook hook = Attachment::Hook::tc_egress;
    Attachment::Kind kind = Attachment::Kind::tcx;
    std::vector<Place> programs;
    std::uint32_t filter_priority = 1;  // of ours; clsact alone
};

struct ClockFacts {
    bool synchronised = true;
    UnixTime now = 0;
};

struct HostView {
    KernelFacts kernel;
    PermissionFacts permissions;
    std::string interface = "wglan0";
    std::vector<DeviceFacts> devices;  // the tunnel's, uplinks, and those that lead to pods
    std::optional<int> rp_filter_all;
    std::optional<bool> forwarding4, forwarding6;
    bool hooks_known = true;       // false: the kernel tells this process nothing
    std::vector<HookFacts> hooks;  // where ours stand, and where they should
    ClockFacts clock;
};

// What the agent alone knows.
struct AgentView {
    std::string version;
    std::string backend;  // "kernel", "userspace"
    bool order_first = true;
    bool guard = true;
    bool announces4 = false, announces6 = false;  // prefixes that this node would have to forward
    std::uint32_t wanted_mtu = 0;
    std::vector<std::string> uplinks;   // where the steering program belongs
    std::vector<std::string> guarded;   // devices
    std::vector<std::string> errors;    // of the last pass
    std::vector<std::string> warnings;  // of the status, errors left out
    std::string settings_error;         // of a refused configuration
    std::vector<SourceStatus> sources;
    struct PeerLine {
        std::string name;
        PeerState state = PeerState::unknown;
        std::string reason;
    };
    std::vector<PeerLine> peers;
    std::size_t refused = 0;
};

// Another host's clock less ours, as far as a round trip tells.
struct ClockOffset {
    std::string peer;
    std::int64_t seconds = 0;
};

}  // namespace wglan
