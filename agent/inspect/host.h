// SPDX-License-Identifier: Apache-2.0
// Looks at this host for doctor. What can't be found out stays open in the view.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/doctor/facts.h"
#include "agent/netlink/netlink.h"

namespace wglan {

struct HostQuestion {
    std::string interface = "wglan0";
    std::string pin_path = "/sys/fs/bpf/wglan";
    std::string key_file;
    std::optional<std::vector<std::string>> uplinks;  // names; nullopt = as steering.uplinks: auto has it
    std::vector<Prefix> pod_prefixes;                 // own ones
};

HostView inspect_host(Netlink& netlink, const HostQuestion& question);

}  // namespace wglan
