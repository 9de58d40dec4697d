// SPDX-License-Identifier: Apache-2.0
// Inner header: the parts of wire.h's JSON that other files of this module nest in theirs.
#pragma once

#include <nlohmann/json.hpp>

#include "agent/discovery/wire.h"

namespace wglan {

Result<NodeEntry> read_node_entry(const nlohmann::json& object);
nlohmann::json write_node_entry(const NodeEntry& entry);

}  // namespace wglan
