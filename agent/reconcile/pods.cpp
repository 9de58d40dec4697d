// SPDX-License-Identifier: Apache-2.0
#include "agent/reconcile/pods.h"

#include <algorithm>

namespace wglan {
namespace {

const Attachment* program_at(const Observed& observed, int ifindex) {
    const auto found =
        std::find_if(observed.attachments.begin(), observed.attachments.end(),
                     [&](const Attachment& a) { return a.ifindex == ifindex && a.program == kPodProgram; });
    return found == observed.attachments.end() ? nullptr : &*found;
}

bool in_place(const PodDevice& device, const Observed& observed) {
    const auto entry = observed.pods.devices.find(device.ifindex);
    return entry != observed.pods.devices.end() && entry->second.same_entry(device) &&
           (!device.runs_program() || program_at(observed, device.ifindex) != nullptr);
}

bool wanted(const PodSteering& pods, int ifindex) {
    const auto device = pods.devices.find(ifindex);
    return pods.direct && device != pods.devices.end();
}

}  // namespace

bool is_pod_attachment(const Desired& desired, const Attachment& attachment) {
    return attachment.program == kPodProgram && wanted(desired.pods, attachment.ifindex);
}

bool tunnel_program_fits(const Desired& desired, const Observed& observed) {
    return desired.pods.direct == observed.pods.direct;
}

void leave_direct(const Desired& desired, const Observed& observed, Plan& plan) {
    std::set<Prefix> kept;
    for (const Prefix& prefix : observed.pods.own)
        if (desired.pods.direct && desired.pods.own.contains(prefix)) kept.insert(prefix);
    if (kept != observed.pods.own) plan.push_back(step::SetOwnPods{std::move(kept)});
    std::vector<PodDevice> gone;
    for (const auto& [ifindex, device] : observed.pods.devices) {
        if (wanted(desired.pods, ifindex)) continue;
        PodDevice named = device;
        if (const Attachment* at = program_at(observed, ifindex)) named.name = at->interface;
        gone.push_back(std::move(named));
    }
    for (const Attachment& at : observed.attachments)
        if (at.program == kPodProgram && !wanted(desired.pods, at.ifindex) &&
            !observed.pods.devices.contains(at.ifindex))
            gone.push_back({at.ifindex, at.interface, PodDevice::Kind::peer, {}});
    if (!gone.empty()) plan.push_back(step::RemovePods{std::move(gone)});
}

void enter_direct(const Desired& desired, const Observed& observed, Plan& plan) {
    if (!desired.pods.direct) return;
    std::vector<PodDevice> missing;
    for (const auto& [ifindex, device] : desired.pods.devices)
        if (!in_place(device, observed)) missing.push_back(device);
    if (!missing.empty() || desired.pods.macs != observed.pods.macs)
        plan.push_back(step::PutPods{std::move(missing), desired.pods.macs});
    if (desired.pods.own != observed.pods.own) plan.push_back(step::SetOwnPods{desired.pods.own});
}

}  // namespace wglan
