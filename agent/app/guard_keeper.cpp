// SPDX-License-Identifier: Apache-2.0
#include "agent/app/guard_keeper.h"

#include <algorithm>

#include <spdlog/spdlog.h>

namespace wglan {

GuardDesired guard_wanted(const Config& config, const HostFacts& facts) {
    GuardDesired wanted;
    wanted.enabled = config.guard.enabled;
    if (!wanted.enabled) return wanted;
    wanted.settings.handshakes_per_s = config.guard.handshakes_per_s;
    // The published ones first: kube-proxy may keep thousands of Services' addresses on a device.
    std::set<IpAddress> addresses(facts.node_addresses.begin(), facts.node_addresses.end());
    for (const IpAddress& address : facts.all_addresses)
        if (addresses.size() < kMostGuardedAddresses) addresses.insert(address);
    wanted.settings.addresses.assign(addresses.begin(), addresses.end());
    wanted.uplinks.insert(facts.uplinks.begin(), facts.uplinks.end());
    wanted.physical = facts.physical_uplinks;
    return wanted;
}

void GuardKeeper::note(const GuardPlace& place) {
    const bool told = std::any_of(places_.begin(), places_.end(), [&](const GuardPlace& before) {
        return before.attachment == place.attachment && before.mode == place.mode &&
               before.note == place.note;
    });
    if (told) return;
    if (place.note.empty())
        spdlog::info("the guard stands at {} ({})", place.attachment.interface, to_string(place.mode));
    else
        spdlog::warn("the guard stands at {} by TC instead of XDP: {}", place.attachment.interface,
                     place.note);
}

Result<> GuardKeeper::run(Dataplane& dataplane, const GuardStep& step) {
    if (const auto* set = std::get_if<step::SetGuard>(&step)) return dataplane.set_guard(set->settings);
    if (std::holds_alternative<step::DropGuard>(step)) return dataplane.drop_guard();
    if (const auto* detach = std::get_if<step::DetachGuard>(&step))
        return dataplane.detach_guard(detach->ifindex);
    const auto& attach = std::get<step::AttachGuard>(step);
    const auto place = dataplane.attach_guard(attach.uplink.ifindex, attach.physical);
    if (!place) return fail_with(place, "attach the guard to " + attach.uplink.name);
    note(*place);
    return {};
}

GuardKeeper::Outcome GuardKeeper::keep(Dataplane& dataplane, const GuardDesired& wanted) {
    Outcome outcome;
    const auto failed = [&](const Error& error) {
        if (outcome.error.empty()) outcome.error = error.message();
    };
    const auto before = dataplane.guard();
    if (!before) {
        failed(before.error());
    } else {
        const GuardPlan plan = diff(wanted, {before->settings, before->places});
        for (const std::string& line : describe(plan)) spdlog::info("{}", line);
        for (const GuardStep& step : plan) {
            if (auto done = run(dataplane, step); !done) {
                failed(done.error());
                if (std::holds_alternative<step::SetGuard>(step)) break;
            } else {
                ++outcome.changes;
            }
        }
        auto after = outcome.changes == 0 ? *before : dataplane.guard().value_or(GuardState{});
        places_ = std::move(after.places);
        std::erase_if(places_, [](const GuardPlace& place) { return !place.current; });
    }
    if (!outcome.error.empty() && outcome.error != error_) spdlog::warn("guard: {}", outcome.error);
    error_ = outcome.error;
    looked_ = true;
    return outcome;
}

}  // namespace wglan
