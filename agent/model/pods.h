// SPDX-License-Identifier: Apache-2.0
// `podDatapath: direct` as values: what the programs are told of the host's pods.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/base/ip.h"

namespace wglan {

using MacAddress = std::array<std::uint8_t, 6>;

// Names of the programs that direct mode attaches, as in Attachment.
inline constexpr char kPodProgram[] = "wglan_pod_in";
inline constexpr char kDirectTunnelProgram[] = "wglan_tun_dir";
// Of each family; what is beyond goes by the stack.
inline constexpr std::size_t kMaxOwnPrefixes = 8;

// Of devices, and of MAC addresses; likewise.
inline constexpr std::size_t kMaxPods = 16384;

// A device of this host that leads to pods. Numbers as in maps/wglan_direct.h (WGLAN_POD_*).
struct PodDevice {
    enum class Kind : std::uint8_t {
        peer = 1,    // veth, netkit: the pod's end is its peer
        device = 2,  // another Ethernet device
        port = 3,    // of a bridge among these devices
        bridge = 4,
    };
    int ifindex = 0;
    std::string name;  // for messages; not kept by the maps
    Kind kind = Kind::peer;
    MacAddress mac{};  // frames for this host: the device's, a port's bridge's

    bool operator==(const PodDevice&) const = default;
    bool runs_program() const { return kind != Kind::bridge; }
    bool same_entry(const PodDevice& other) const {
        return ifindex == other.ifindex && kind == other.kind && mac == other.mac;
    }
};

struct PodSteering {
    bool direct = false;               // wglan0's ingress delivers into pods
    std::set<Prefix> own;              // this node's pods; empty = nothing goes direct
    std::map<int, PodDevice> devices;  // by ifindex
    std::set<MacAddress> macs;         // addresses of bridges besides those above: their ports'
};

}  // namespace wglan
