// SPDX-License-Identifier: Apache-2.0
// The agent's part of `wglanctl doctor`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/control/json.h"
#include "agent/doctor/finding.h"
#include "agent/doctor/nat.h"

namespace wglan {

// One peer that was asked where it sees this node, and to knock at its port.
struct AskedPeerView {
    std::string peer;
    Endpoint endpoint;   // where this node reaches it
    std::string status;  // "knocked", "tooMany", "unable", "noAnswer"
    std::optional<Endpoint> seen;
    std::optional<std::int64_t> clock_offset_s;
    std::vector<KnockResult> knocks;
};

struct DoctorView {
    std::string version;
    Findings findings;
    std::vector<NatVerdict> nat;  // by family
    std::vector<AskedPeerView> asked;
    // What others' rules are held against.
    std::string interface;
    std::uint16_t listen_port = 0;
    std::uint32_t firewall_mark = 0, firewall_mark_mask = 0;
    bool direct = false;  // podDatapath
};

Json to_json(const DoctorView& view);

}  // namespace wglan
