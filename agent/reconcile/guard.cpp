// SPDX-License-Identifier: Apache-2.0
#include "agent/reconcile/guard.h"

#include <algorithm>

namespace wglan {
namespace {

struct Describe {
    std::string operator()(const step::SetGuard& s) const {
        return "guard the WireGuard port at " + std::to_string(s.settings.addresses.size()) +
               " addresses: " + std::to_string(s.settings.handshakes_per_s) +
               " handshakes a second from one source";
    }
    std::string operator()(const step::AttachGuard& s) const {
        return "attach the guard to " + s.uplink.name + (s.physical ? " (XDP)" : "");
    }
    std::string operator()(const step::DetachGuard& s) const { return "detach the guard from " + s.name; }
    std::string operator()(const step::DropGuard&) const { return "remove the guard"; }
};

}  // namespace

GuardPlan diff(const GuardDesired& desired, const GuardObserved& observed) {
    GuardPlan plan;
    if (!desired.enabled) {
        if (observed.settings || !observed.places.empty()) plan.emplace_back(step::DropGuard{});
        return plan;
    }
    if (observed.settings != desired.settings) plan.emplace_back(step::SetGuard{desired.settings});
    for (const Uplink& uplink : desired.uplinks) {
        const bool physical = desired.physical.contains(uplink.ifindex);
        const bool stands =
            std::any_of(observed.places.begin(), observed.places.end(), [&](const GuardPlace& place) {
                return place.attachment.ifindex == uplink.ifindex && place.current && !place.movable &&
                       (physical || place.mode == GuardMode::tc);
            });
        // Programs that are loaded anew hold no place yet.
        if (!stands || !observed.settings) plan.emplace_back(step::AttachGuard{uplink, physical});
    }
    std::set<int> gone;
    for (const GuardPlace& place : observed.places) {
        const auto& [ifindex, name, hook, kind, program] = place.attachment;
        const bool wanted = std::any_of(desired.uplinks.begin(), desired.uplinks.end(),
                                        [&](const Uplink& uplink) { return uplink.ifindex == ifindex; });
        if (!wanted && gone.insert(ifindex).second) plan.emplace_back(step::DetachGuard{ifindex, name});
    }
    return plan;
}

std::vector<std::string> describe(const GuardPlan& plan) {
    std::vector<std::string> lines;
    for (const GuardStep& step : plan) lines.push_back(std::visit(Describe{}, step));
    return lines;
}

}  // namespace wglan
