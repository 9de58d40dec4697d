// SPDX-License-Identifier: Apache-2.0
// Which devices lead to pods, and how: a decision over dumps. Pure.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/model/network.h"
#include "agent/model/pods.h"

namespace wglan {

struct PodDevices {
    std::map<int, PodDevice> devices;
    std::set<MacAddress> macs;  // as in PodSteering
    bool operator==(const PodDevices&) const = default;
};

// Configured: those whose name matches one of the globs (fnmatch(3)), and the ports of bridges among
// them. Otherwise: veth and netkit devices whose peer is in another namespace, and bridges that hold an
// address in own_pod_prefixes and have guests alone for ports, with those ports.
// Never the loopback device, own_interface, an uplink or a device without MAC addresses; nothing without
// own_pod_prefixes. `uplinks` is sorted.
PodDevices select_pod_devices(const std::vector<Link>& links, const std::vector<InterfaceAddress>& addresses,
                              const std::vector<int>& uplinks,
                              const std::optional<std::vector<std::string>>& configured_globs,
                              const std::string& own_interface, const std::vector<Prefix>& own_pod_prefixes);

}  // namespace wglan
