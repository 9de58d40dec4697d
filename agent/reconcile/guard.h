// SPDX-License-Identifier: Apache-2.0
// What has to change for the guard of the WireGuard port to stand where it should.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "agent/model/guard.h"
#include "agent/reconcile/state.h"

namespace wglan {

struct GuardDesired {
    bool enabled = false;
    GuardSettings settings;
    std::set<Uplink> uplinks;
    std::set<int> physical;  // those of them that are guarded by XDP where that can be had
};

struct GuardObserved {
    std::optional<GuardSettings> settings;  // as its programs that are loaded have them
    std::vector<GuardPlace> places;
};

namespace step {
struct SetGuard {
    GuardSettings settings;
};
struct AttachGuard {
    Uplink uplink;
    bool physical;
};
struct DetachGuard {
    int ifindex;
    std::string name;
};
struct DropGuard {};
}  // namespace step

using GuardStep = std::variant<step::SetGuard, step::AttachGuard, step::DetachGuard, step::DropGuard>;
using GuardPlan = std::vector<GuardStep>;

// Pure; applied twice it is empty. Settings come before places. A place that another process's or build's
// program holds is taken over, one that had to make do with TC moves once it can.
GuardPlan diff(const GuardDesired& desired, const GuardObserved& observed);
std::vector<std::string> describe(const GuardPlan& plan);

}  // namespace wglan
