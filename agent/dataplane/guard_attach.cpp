// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/guard_attach.h"

#include <linux/if_link.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "agent/base/log.h"
#include "agent/dataplane/bpffs.h"
#include "agent/dataplane/device.h"

namespace wglan {

namespace {

constexpr char kXdpPin[] = "guard-xdp-";

struct XdpState {
    __u32 program_id = 0;  // 0: none
    GuardMode mode = GuardMode::native;
};

XdpState xdp_state(int ifindex) {
    LIBBPF_OPTS(bpf_xdp_query_opts, options);
    if (bpf_xdp_query(ifindex, 0, &options) != 0) return {};
    XdpState state;
    state.program_id = options.prog_id != 0       ? options.prog_id
                       : options.drv_prog_id != 0 ? options.drv_prog_id
                       : options.skb_prog_id != 0 ? options.skb_prog_id
                                                  : options.hw_prog_id;
    if (options.attach_mode == XDP_ATTACHED_SKB) state.mode = GuardMode::generic;
    return state;
}

// Program of a link of ours that holds that device; 0: detached, or of another device.
__u32 program_of_link(int fd, int ifindex) {
    bpf_link_info info{};
    __u32 length = sizeof info;
    if (bpf_obj_get_info_by_fd(fd, &info, &length) != 0 || info.type != BPF_LINK_TYPE_XDP) return 0;
    return info.xdp.ifindex == static_cast<__u32>(ifindex) ? info.prog_id : 0;
}

std::string describe(__u32 program_id) {
    const auto name = program_name(program_id);
    return "another XDP program (" + (name.empty() ? "" : name + ", ") + "id " + std::to_string(program_id) +
           ") is there";
}

GuardPlace place_of(int ifindex, const std::string& program, GuardMode mode) {
    return {.attachment = {ifindex, interface_name(ifindex), Attachment::Hook::xdp, Attachment::Kind::xdp,
                           program},
            .mode = mode,
            .note = {}};
}

}  // namespace

GuardAttacher::GuardAttacher(std::string pin_path, bool force_clsact, Seconds win_back_every)
    : links_(pin_path + "/" + kLinksDirectory),
      tc_(pin_path, force_clsact, kGuardSlot),
      winning_back_(win_back_every) {}

std::string GuardAttacher::xdp_pin(int ifindex) const {
    return links_ + "/" + kXdpPin + std::to_string(ifindex);
}

Result<GuardPlace> GuardAttacher::attach_xdp(int ifindex, const Program& program) {
    const auto path = xdp_pin(ifindex);
    if (auto fd = open_pin(path)) {
        if (program_of_link(fd->get(), ifindex) != 0) {
            if (bpf_link_update(fd->get(), program.fd, nullptr) != 0)
                return fail_errno("update " + program.name + " at " + interface_name(ifindex));
            return place_of(ifindex, program.name, xdp_state(ifindex).mode);
        }
        if (auto dropped = drop_link(path); !dropped) return Failure(dropped.error());
    }
    if (const auto other = xdp_state(ifindex); other.program_id != 0) {
        kept_out_by_[ifindex] = other.program_id;
        return fail(ErrorKind::exists, describe(other.program_id));
    }
    int error = 0;
    for (const auto& [mode, flag] : {std::pair{GuardMode::native, XDP_FLAGS_DRV_MODE},
                                     std::pair{GuardMode::generic, XDP_FLAGS_SKB_MODE}}) {
        LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flag);
        const UniqueFd link(bpf_link_create(program.fd, ifindex, BPF_XDP, &options));
        if (link.valid()) {
            if (auto pinned = pin(link.get(), path); !pinned) return Failure(pinned.error());
            return place_of(ifindex, program.name, mode);
        }
        error = errno;
    }
    return fail_errno("attach " + program.name, error);
}

Result<Attachment> GuardAttacher::attach_tc(int ifindex, const GuardObject& object) {
    const auto type = hardware_type(ifindex);
    if (!type) return Failure(type.error());
    const auto kind = packets_of(*type);
    if (kind == PacketKind::unknown)
        return fail(ErrorKind::unsupported,
                    "a device of type " + std::to_string(*type) + " can't be guarded");
    if (to_win_back({ifindex, "", Attachment::Hook::tc_ingress, Attachment::Kind::tcx, ""})) {
        winning_back_.begins(ifindex);
        spdlog::info("somebody's program came before the guard at {}: it takes its place again",
                     interface_name(ifindex));
        // A moment without it lets some packets more through, and loses none.
        if (auto dropped = tc_.detach(ifindex, Attachment::Hook::tc_ingress); !dropped)
            return Failure(dropped.error());
    }
    // In front of all others: what isn't wanted costs the least there, and all else goes on to them.
    return tc_.attach(ifindex, Attachment::Hook::tc_ingress,
                      kind == PacketKind::frames ? object.tc() : object.tc_l3(), true);
}

bool GuardAttacher::to_win_back(const Attachment& at) const {
    return at.kind == Attachment::Kind::tcx && winning_back_.is_due(at.ifindex) &&
           tc_.is_misplaced(at.ifindex, at.hook, true);
}

// As of the TC programs: see Attacher.
void GuardAttacher::drop_dead_pins() const {
    for (const std::string& name : list_pins(links_)) {
        const auto ifindex = ifindex_of_pin(name, kXdpPin);
        if (!ifindex) continue;
        const auto fd = open_pin(links_ + "/" + name);
        if (fd && program_of_link(fd->get(), *ifindex) == 0) (void)drop_link(links_ + "/" + name);
    }
}

Result<GuardPlace> GuardAttacher::attach(int ifindex, const GuardObject& object, bool physical) {
    drop_dead_pins();
    notes_.erase(ifindex);
    kept_out_by_.erase(ifindex);
    const auto type = hardware_type(ifindex);
    if (!type) return Failure(type.error());
    if (physical && packets_of(*type) == PacketKind::frames) {
        auto place = attach_xdp(ifindex, object.xdp());
        if (place) {
            if (auto left = tc_.detach(ifindex); !left) return Failure(left.error());
            return place;
        }
        notes_[ifindex] = place.error().message();
    }
    auto attachment = attach_tc(ifindex, object);
    if (!attachment) return Failure(attachment.error());
    if (open_pin(xdp_pin(ifindex)))
        if (auto left = drop_link(xdp_pin(ifindex)); !left) return Failure(left.error());
    const auto note = notes_.find(ifindex);
    return GuardPlace{.attachment = std::move(*attachment),
                      .mode = GuardMode::tc,
                      .note = note == notes_.end() ? "" : note->second};
}

Result<> GuardAttacher::detach(int ifindex) {
    notes_.erase(ifindex);
    kept_out_by_.erase(ifindex);
    if (auto dropped = drop_link(xdp_pin(ifindex)); !dropped) return dropped;
    return tc_.detach(ifindex);
}

Result<std::vector<GuardPlace>> GuardAttacher::find(const std::vector<Program>& programs) const {
    const auto current = [&](__u32 id) {
        return std::any_of(programs.begin(), programs.end(),
                           [&](const Program& program) { return program.id == id; });
    };
    std::vector<GuardPlace> places;
    for (const std::string& name : list_pins(links_)) {
        const auto ifindex = ifindex_of_pin(name, kXdpPin);
        if (!ifindex) continue;
        const auto fd = open_pin(links_ + "/" + name);
        if (!fd && fd.error().kind() == ErrorKind::permission) return Failure(fd.error());
        const __u32 id = fd ? program_of_link(fd->get(), *ifindex) : 0;
        if (id == 0) continue;
        GuardPlace place = place_of(*ifindex, program_name(id), xdp_state(*ifindex).mode);
        place.current = current(id);
        places.push_back(std::move(place));
    }
    auto at_tc = tc_.find();
    if (!at_tc) return Failure(at_tc.error());
    for (FoundAttachment& one : *at_tc) {
        GuardPlace place{.attachment = std::move(one.attachment), .mode = GuardMode::tc, .note = {}};
        place.current = current(one.program_id);
        if (const auto note = notes_.find(place.attachment.ifindex); note != notes_.end())
            place.note = note->second;
        place.movable =
            to_win_back(place.attachment) || (kept_out_by_.contains(place.attachment.ifindex) &&
                                              xdp_state(place.attachment.ifindex).program_id == 0);
        places.push_back(std::move(place));
    }
    std::sort(places.begin(), places.end(),
              [](const GuardPlace& a, const GuardPlace& b) { return a.attachment < b.attachment; });
    return places;
}

}  // namespace wglan
