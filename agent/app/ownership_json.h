// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agent/registry/registry.h"

namespace wglan {

// What a cluster said, and an agent that starts without its API needs.
struct ClusterMemory {
    std::vector<Endpoint> api_servers;            // sorted, at most 128
    std::optional<std::vector<Prefix>> own_pods;  // none = it never said
    bool operator==(const ClusterMemory&) const = default;
};

// The incumbents, and the cluster's word, as a JSON object, for the cache's free part. Pure.
std::string ownership_json(const Ownership& ownership, const ClusterMemory& cluster = {});
// What can't be read is left out: an incumbent forgotten is a tie settled anew.
Ownership parse_ownership(std::string_view json);
ClusterMemory parse_cluster(std::string_view json);

}  // namespace wglan
