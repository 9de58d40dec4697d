// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/attach.h"

#include <net/if.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <spdlog/spdlog.h>

#include "agent/dataplane/bpffs.h"
#include "agent/dataplane/clsact.h"
#include "agent/dataplane/libbpf_log.h"

namespace wglan {

namespace {

// linux/bpf.h of 6.6; the build host's may be older.
constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);
constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);
constexpr __u32 kBefore = 1U << 3, kAfter = 1U << 4;  // BPF_F_BEFORE, BPF_F_AFTER
constexpr __u32 kTcxLink = 11;                        // BPF_LINK_TYPE_TCX

constexpr char kNextSuffix[] = "-next";
constexpr char kProgramPrefix[] = "wglan_", kUplinkPrograms[] = "wglan_egress";

bpf_attach_type attach_type(Attachment::Hook hook) {
    return hook == Attachment::Hook::tc_egress ? kTcxEgress : kTcxIngress;
}

std::string where(int ifindex, Attachment::Hook hook) {
    const auto name = interface_name(ifindex);
    return std::string(to_string(hook)) + " of " +
           (name.empty() ? "ifindex " + std::to_string(ifindex) : name);
}

// Without a loopback device there is nothing to ask, and nothing to attach to either.
bool kernel_has_tcx() {
    __u32 count = 0;
    return bpf_prog_query(1, kTcxEgress, 0, nullptr, nullptr, &count) == 0 || errno != EINVAL;
}

struct LinkInfo {
    __u32 program_id = 0;
    int ifindex = 0;  // 0: detached, or its device is gone
    Attachment::Hook hook = Attachment::Hook::tc_egress;
};

std::optional<LinkInfo> link_info(int fd) {
    bpf_link_info info{};
    __u32 length = sizeof info;
    if (bpf_obj_get_info_by_fd(fd, &info, &length) != 0 || info.type != kTcxLink) return std::nullopt;
    // struct { __u32 ifindex; __u32 attach_type; } tcx stands where netns does.
    return LinkInfo{
        info.prog_id, static_cast<int>(info.netns.netns_ino),
        info.netns.attach_type == kTcxIngress ? Attachment::Hook::tc_ingress : Attachment::Hook::tc_egress};
}

bpf_tc_hook clsact_hook(int ifindex, Attachment::Hook hook) {
    LIBBPF_OPTS(bpf_tc_hook, tc, .ifindex = ifindex,
                .attach_point = hook == Attachment::Hook::tc_egress ? BPF_TC_EGRESS : BPF_TC_INGRESS);
    return tc;
}

struct NameIndexFree {
    void operator()(struct if_nameindex* list) const noexcept { ::if_freenameindex(list); }
};

}  // namespace

std::string interface_name(int ifindex) {
    char name[IF_NAMESIZE] = {};
    return ::if_indextoname(static_cast<unsigned>(ifindex), name) == nullptr ? std::string() : name;
}

std::string program_name(std::uint32_t id) {
    const UniqueFd fd(bpf_prog_get_fd_by_id(id));
    bpf_prog_info info{};
    __u32 length = sizeof info;
    if (!fd.valid() || bpf_obj_get_info_by_fd(fd.get(), &info, &length) != 0) return {};
    return {info.name, strnlen(info.name, sizeof info.name)};
}

Result<std::vector<std::uint32_t>> tcx_program_ids(int ifindex, Attachment::Hook hook) {
    std::vector<std::uint32_t> ids(64);  // BPF_MPROG_MAX
    auto count = static_cast<__u32>(ids.size());
    if (bpf_prog_query(ifindex, attach_type(hook), 0, nullptr, ids.data(), &count) != 0)
        return fail_errno("ask which programs are at " + where(ifindex, hook));
    ids.resize(std::min<std::size_t>(count, ids.size()));
    return ids;
}

bool is_our_program(const std::string& name) { return name.rfind(kProgramPrefix, 0) == 0; }

Result<> drop_link(const std::string& path) {
    if (auto fd = open_pin(path)) (void)bpf_link_detach(fd->get());
    return unpin(path);
}

Attacher::Attacher(std::string pin_path, bool force_clsact, HookSlot slot)
    : links_(std::move(pin_path) + "/" + kLinksDirectory),
      slot_(slot),
      tcx_(!force_clsact && kernel_has_tcx()) {
    log_libbpf_through_ours();
}

std::string Attacher::pin_name(int ifindex, Attachment::Hook hook, bool first) const {
    return slot_.pin_prefix + std::string(hook == Attachment::Hook::tc_egress ? "egress" : "ingress") +
           (first ? "-first-" : "-last-") + std::to_string(ifindex);
}

// Program id of the filter with our handle and priority; 0 if there is none.
std::uint32_t Attacher::filter_program(int ifindex, Attachment::Hook hook) const {
    const auto tc = clsact_hook(ifindex, hook);
    LIBBPF_OPTS(bpf_tc_opts, options, .handle = slot_.filter_handle, .priority = slot_.filter_priority);
    return bpf_tc_query(&tc, &options) == 0 ? options.prog_id : 0;
}

Result<> Attacher::drop_filter(int ifindex, Attachment::Hook hook) {
    const auto id = filter_program(ifindex, hook);
    if (id == 0 || !is_our_program(program_name(id))) return {};
    const auto tc = clsact_hook(ifindex, hook);
    LIBBPF_OPTS(bpf_tc_opts, options, .handle = slot_.filter_handle, .priority = slot_.filter_priority);
    const int error = -bpf_tc_detach(&tc, &options);
    if (error == 0 || error == ENOENT || error == ENODEV || error == EINVAL) return {};
    return fail_errno("remove our filter from " + where(ifindex, hook), error);
}

void Attacher::find_filters(std::vector<FoundAttachment>& found) const {
    const std::unique_ptr<struct if_nameindex, NameIndexFree> list(::if_nameindex());
    for (const auto* device = list.get(); device != nullptr && device->if_index != 0; ++device) {
        for (const auto hook : {Attachment::Hook::tc_egress, Attachment::Hook::tc_ingress}) {
            const int ifindex = static_cast<int>(device->if_index);
            const auto id = filter_program(ifindex, hook);
            auto name = id == 0 ? std::string() : program_name(id);
            if (!is_our_program(name)) continue;
            found.push_back(
                {{ifindex, device->if_name, hook, Attachment::Kind::clsact, std::move(name)}, id, ""});
        }
    }
}

Result<> Attacher::drop_pins(int ifindex, Attachment::Hook hook, const std::string& except) {
    for (const std::string& name : list_pins(links_))
        if (name != except &&
            (name == pin_name(ifindex, hook, true) || name == pin_name(ifindex, hook, false) ||
             name == pin_name(ifindex, hook, true) + kNextSuffix ||
             name == pin_name(ifindex, hook, false) + kNextSuffix))
            if (auto dropped = drop_link(links_ + "/" + name); !dropped) return dropped;
    return {};
}

// A device that is made anew has another ifindex, and so another pin; the link of the one that is gone holds
// nothing but its program.
void Attacher::drop_dead_pins() const {
    for (const std::string& name : list_pins(links_)) {
        if (!name.starts_with(slot_.pin_prefix)) continue;
        const auto fd = open_pin(links_ + "/" + name);
        const auto info = fd ? link_info(fd->get()) : std::nullopt;
        if (info && info->ifindex == 0) (void)drop_link(links_ + "/" + name);
    }
}

Result<Attachment> Attacher::attach_tcx(int ifindex, Attachment::Hook hook, const Program& program,
                                        bool first) {
    const auto name = pin_name(ifindex, hook, first), path = links_ + "/" + name;
    const Attachment attachment{ifindex, interface_name(ifindex), hook, Attachment::Kind::tcx, program.name};
    if (auto fd = open_pin(path)) {
        const auto info = link_info(fd->get());
        if (info && info->ifindex == ifindex && info->hook == hook) {
            if (bpf_link_update(fd->get(), program.fd, nullptr) != 0)
                return fail_errno("update " + program.name + " at " + where(ifindex, hook));
            return attachment;
        }
        if (auto dropped = drop_link(path); !dropped) return Failure(dropped.error());
    }
    if (auto made = make_link(ifindex, hook, program, first, path); !made) return Failure(made.error());
    return attachment;
}

Result<> Attacher::make_link(int ifindex, Attachment::Hook hook, const Program& program, bool first,
                             const std::string& path) const {
    LIBBPF_OPTS(bpf_link_create_opts, options, .flags = first ? kBefore : kAfter);
    const UniqueFd link(bpf_link_create(program.fd, ifindex, attach_type(hook), &options));
    if (!link.valid()) return fail_errno("attach " + program.name + " to " + where(ifindex, hook));
    return pin(link.get(), path);
}

std::uint32_t Attacher::attached_program(int ifindex, Attachment::Hook hook, bool first) const {
    const auto fd = open_pin(links_ + "/" + pin_name(ifindex, hook, first));
    const auto info = fd ? link_info(fd->get()) : std::nullopt;
    return info && info->ifindex == ifindex && info->hook == hook ? info->program_id : 0;
}

bool WinningBack::is_due(int ifindex) const {
    const auto last = last_.find(ifindex);
    return last == last_.end() || system_clock().now() - last->second >= every_;
}

bool Attacher::is_misplaced(int ifindex, Attachment::Hook hook, bool first) const {
    const auto ours = tcx_ ? attached_program(ifindex, hook, first) : 0;
    if (ours == 0) return false;
    const auto ids = tcx_program_ids(ifindex, hook);
    return ids && !ids->empty() && (first ? ids->front() : ids->back()) != ours;
}

Result<Attachment> Attacher::move(int ifindex, Attachment::Hook hook, const Program& program, bool first) {
    const auto path = links_ + "/" + pin_name(ifindex, hook, first), next = path + kNextSuffix;
    if (auto dropped = drop_link(next); !dropped) return Failure(dropped.error());
    if (auto made = make_link(ifindex, hook, program, first, next); !made) return Failure(made.error());
    if (auto dropped = drop_link(path); !dropped) return Failure(dropped.error());
    if (::rename(next.c_str(), path.c_str()) != 0) return fail_errno("rename the pin " + next);
    return Attachment{ifindex, interface_name(ifindex), hook, Attachment::Kind::tcx, program.name};
}

Result<Attachment> Attacher::attach_clsact(int ifindex, Attachment::Hook hook, const Program& program) {
    auto tc = clsact_hook(ifindex, hook);
    const int made = -bpf_tc_hook_create(&tc);
    if (made != 0 && made != EEXIST)
        return fail_errno("make a clsact qdisc for " + where(ifindex, hook), made);
    if (made == 0)
        if (auto noted = note_own_clsact(links_, ifindex); !noted)
            spdlog::debug("--cleanup will leave clsact at {}: {}", interface_name(ifindex),
                          noted.error().message());
    const auto id = filter_program(ifindex, hook);
    if (id != 0 && !is_our_program(program_name(id)))
        return fail(ErrorKind::exists, "attach " + program.name + " to " + where(ifindex, hook) +
                                           ": another program's filter has our handle and priority");
    LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = program.fd,
                .flags = id != 0 ? static_cast<__u32>(BPF_TC_F_REPLACE) : 0U, .handle = slot_.filter_handle,
                .priority = slot_.filter_priority);
    const int error = -bpf_tc_attach(&tc, &options);
    if (error != 0) return fail_errno("attach " + program.name + " to " + where(ifindex, hook), error);
    return Attachment{ifindex, interface_name(ifindex), hook, Attachment::Kind::clsact, program.name};
}

Result<Attachment> Attacher::attach(int ifindex, Attachment::Hook hook, const Program& program, bool first) {
    auto attached = tcx_ ? attach_tcx(ifindex, hook, program, first) : attach_clsact(ifindex, hook, program);
    if (!attached) return attached;
    // The other kind, or the other place, from before; only now, so that no packet goes unseen.
    if (tcx_)
        if (auto dropped = drop_filter(ifindex, hook); !dropped) return Failure(dropped.error());
    if (auto dropped = drop_pins(ifindex, hook, tcx_ ? pin_name(ifindex, hook, first) : ""); !dropped)
        return Failure(dropped.error());
    drop_dead_pins();
    return attached;
}

Result<> Attacher::detach(int ifindex, Attachment::Hook hook) {
    if (auto dropped = drop_pins(ifindex, hook, ""); !dropped) return dropped;
    return drop_filter(ifindex, hook);
}

Result<> Attacher::detach(int ifindex) {
    for (const auto hook : {Attachment::Hook::tc_egress, Attachment::Hook::tc_ingress})
        if (auto dropped = detach(ifindex, hook); !dropped) return dropped;
    return {};
}

Result<std::vector<FoundAttachment>> Attacher::find() const {
    std::vector<FoundAttachment> found;
    for (const std::string& name : list_pins(links_)) {
        if (!name.starts_with(slot_.pin_prefix)) continue;
        const auto fd = open_pin(links_ + "/" + name);
        if (!fd) {
            if (fd.error().kind() == ErrorKind::permission) return Failure(fd.error());
            continue;
        }
        const auto info = link_info(fd->get());
        if (!info || info->ifindex == 0) continue;
        found.push_back({{info->ifindex, interface_name(info->ifindex), info->hook, Attachment::Kind::tcx,
                          program_name(info->program_id)},
                         info->program_id,
                         name});
    }
    // With TCX there are none but a predecessor's; to look takes a question for each device.
    if (filters_may_be_there_) {
        const std::size_t links = found.size();
        find_filters(found);
        filters_may_be_there_ = !tcx_ || found.size() > links;
    }
    std::sort(found.begin(), found.end(),
              [](const auto& a, const auto& b) { return a.attachment < b.attachment; });
    return found;
}

Result<> Attacher::update_all(const std::vector<Program>& programs, bool uplinks_first) {
    auto found = find();
    if (!found) return Failure(found.error());
    for (const FoundAttachment& old : *found) {
        auto updated = update(old, programs, uplinks_first);
        // A device that went meanwhile took its program along.
        if (!updated && !interface_name(old.attachment.ifindex).empty()) return updated;
    }
    return {};
}

Result<> Attacher::update(const FoundAttachment& old, const std::vector<Program>& programs,
                          bool uplinks_first) {
    const auto program = std::find_if(programs.begin(), programs.end(),
                                      [&](const Program& p) { return p.name == old.attachment.program; });
    const auto& [ifindex, interface, hook, kind, name] = old.attachment;
    if (program == programs.end()) return detach(ifindex);
    if (kind == Attachment::Kind::clsact) {
        if (auto replaced = attach_clsact(ifindex, hook, *program); !replaced)
            return Failure(replaced.error());
        return {};
    }
    // A program can't be at one hook twice: attach() puts ours into the other place, then drops this one.
    if (name.starts_with(kUplinkPrograms) && old.pin != pin_name(ifindex, hook, uplinks_first)) return {};
    const auto fd = open_pin(links_ + "/" + old.pin);
    if (!fd) return Failure(fd.error());
    if (bpf_link_update(fd->get(), program->fd, nullptr) != 0)
        return fail_errno("update " + program->name + " at " + where(ifindex, hook));
    return {};
}

}  // namespace wglan
