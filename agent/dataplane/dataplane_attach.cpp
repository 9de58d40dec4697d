// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "agent/base/log.h"
#include "agent/dataplane/bpf_dataplane.h"
#include "agent/dataplane/bpffs.h"
#include "agent/dataplane/device.h"

namespace wglan {

namespace {

constexpr const char* kTunnelProgram = "wglan_tun_in";
constexpr const char *kUplinkProgram = "wglan_egress", *kUplinkProgramL3 = "wglan_egress_l3";

}  // namespace

// A link update is atomic: each packet runs either the old program or ours, both complete.
Result<> BpfDataplane::take_over() {
    auto successors = programs();
    std::erase_if(successors, [](const Program& program) {
        return program.name == kTunnelProgram || program.name == kHubTunnelProgram;
    });
    // Where there is no direct mode a predecessor's delivery into pods ends here; its pods' programs are
    // detached.
    for (const char* name : {kTunnelProgram, kHubTunnelProgram, kDirectTunnelProgram}) {
        if (direct_ && name == kDirectTunnelProgram) continue;
        Program successor = from_tunnel();
        successor.name = name;
        successors.push_back(std::move(successor));
    }
    if (auto updated = attacher_->update_all(successors, options_.order_first); !updated)
        return fail_with(updated, "take over the running data plane");
    if (object_->maps() == SteerObject::Maps::carried || object_->maps() == SteerObject::Maps::unfilled)
        if (auto exchanged = exchange_maps(options_.pin_path); !exchanged) return exchanged;
    return direct_ ? direct_->pin_maps(options_.pin_path) : Result<>{};
}

std::vector<Program> BpfDataplane::programs() const {
    auto all = object_->programs();
    if (direct_) all.insert(all.end(), direct_->programs().begin(), direct_->programs().end());
    if (hub_) all.push_back(hub_->program());
    if (second_) all.insert(all.end(), second_->programs().begin(), second_->programs().end());
    return all;
}

// At wglan0's ingress without direct mode. The stack forwards where the better one can't be had.
const Program& BpfDataplane::from_tunnel() {
    if (!hub_asked_) {
        hub_asked_ = true;
        auto hub = HubObject::load([this](const char* name) { return object_->map_fd(name); });
        if (hub)
            hub_ = std::move(*hub);
        else
            spdlog::debug("what goes from peer to peer is forwarded by the host's stack: {}",
                          hub.error().message());
    }
    return hub_ ? hub_->program() : object_->program(kTunnelProgram);
}

Result<> BpfDataplane::take_over_if_due() {
    if (!object_) return not_loaded();
    if (!take_over_due_) return {};
    if (auto taken = take_over(); !taken) return taken;
    take_over_due_ = false;
    return {};
}

Result<std::vector<Attachment>> BpfDataplane::attachments() {
    if (!attacher_) return not_loaded();
    auto found = attacher_->find();
    if (!found) return Failure(found.error());
    std::vector<Attachment> ours;
    const auto loaded = programs();
    for (FoundAttachment& one : *found)
        if (!to_win_back(one.attachment) &&
            std::any_of(loaded.begin(), loaded.end(),
                        [&](const Program& program) { return program.id == one.program_id; }))
            ours.push_back(std::move(one.attachment));
    if (guard_object_) {
        auto guarded = guard_attacher_->find(guard_object_->programs());
        if (!guarded) return Failure(guarded.error());
        for (GuardPlace& place : *guarded)
            if (place.current && !place.movable) ours.push_back(std::move(place.attachment));
    }
    std::sort(ours.begin(), ours.end());
    return ours;
}

Result<Attachment> BpfDataplane::attach_uplink(int ifindex, const std::string& name) {
    if (auto due = take_over_if_due(); !due) return Failure(due.error());
    const auto type = hardware_type(ifindex);
    if (!type) return fail_with(type, "attach to " + name);
    const PacketKind kind = packets_of(*type);
    if (kind == PacketKind::unknown)
        return fail(ErrorKind::unsupported, "attach to " + name + ": a device of type " +
                                                std::to_string(*type) + " can't be an uplink");
    const Program& program = object_->program(kind == PacketKind::frames ? kUplinkProgram : kUplinkProgramL3);
    if (to_win_back({ifindex, name, Attachment::Hook::tc_egress, Attachment::Kind::tcx, program.name}))
        return win_back(ifindex, program);
    return attacher_->attach(ifindex, Attachment::Hook::tc_egress, program, options_.order_first);
}

bool BpfDataplane::to_win_back(const Attachment& at) const {
    if (at.hook != Attachment::Hook::tc_egress || at.kind != Attachment::Kind::tcx ||
        (at.program != kUplinkProgram && at.program != kUplinkProgramL3))
        return false;
    return winning_back_.is_due(at.ifindex) &&
           attacher_->is_misplaced(at.ifindex, at.hook, options_.order_first);
}

// The one of the two instances of that program that doesn't stand at the device.
Result<const Program*> BpfDataplane::another_instance(int ifindex, const Program& program) {
    if (attacher_->attached_program(ifindex, Attachment::Hook::tc_egress, options_.order_first) != program.id)
        return &program;
    if (!second_) {
        auto object = SteerObject::load(options_.pin_path, options_.max_routes, &*object_);
        if (!object) return Failure(object.error());
        if (object->maps() != SteerObject::Maps::adopted)
            return fail(ErrorKind::internal, "the pinned maps aren't those in use");
        second_ = std::move(*object);
    }
    return &second_->program(program.name);
}

Result<Attachment> BpfDataplane::win_back(int ifindex, const Program& program) {
    winning_back_.begins(ifindex);
    const auto instance = another_instance(ifindex, program);
    if (!instance) return fail_with(instance, "win back our place at " + interface_name(ifindex));
    spdlog::info("somebody's program came {} ours at {}: ours takes its place again (steering.order)",
                 options_.order_first ? "before" : "behind", interface_name(ifindex));
    return attacher_->move(ifindex, Attachment::Hook::tc_egress, **instance, options_.order_first);
}

Result<std::vector<Attachment>> BpfDataplane::attach_tunnel(int ifindex, const std::string& name,
                                                            bool direct) {
    if (auto due = take_over_if_due(); !due) return Failure(due.error());
    if (direct)
        if (auto loaded = load_direct(); !loaded) return Failure(loaded.error());
    const Program& in = direct ? direct_->program(kDirectTunnelProgram) : from_tunnel();
    std::vector<Attachment> attachments;
    for (const auto& [hook, program] :
         {std::pair{Attachment::Hook::tc_egress, &object_->program("wglan_tun_out")},
          std::pair{Attachment::Hook::tc_ingress, &in}}) {
        auto attached = attacher_->attach(ifindex, hook, *program, false);
        if (!attached) return fail_with(attached, "attach to " + name);
        attachments.push_back(std::move(*attached));
    }
    return attachments;
}

Result<> BpfDataplane::detach(int ifindex) {
    if (!attacher_) return not_loaded();
    if (auto detached = guard_attacher_->detach(ifindex); !detached) return detached;
    return attacher_->detach(ifindex);
}

}  // namespace wglan
