// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "agent/dataplane/bpf_dataplane.h"
#include "agent/dataplane/codec.h"
#include "agent/dataplane/device.h"

namespace wglan {

bool delivers_into_pods(const std::vector<Attachment>& attachments) {
    return std::any_of(attachments.begin(), attachments.end(),
                       [](const Attachment& a) { return a.program == kDirectTunnelProgram; });
}

Result<> BpfDataplane::load_direct() {
    if (!object_) return not_loaded();
    if (direct_) return {};
    auto object =
        DirectObject::load(options_.pin_path, [this](const char* name) { return object_->map_fd(name); });
    if (!object) return Failure(object.error());
    direct_ = std::move(*object);
    return {};
}

// nullopt: the device is gone, or its packets carry no MAC header: pods behind it go by the stack.
Result<std::optional<Attachment>> BpfDataplane::attach_pod(const PodDevice& device) {
    const auto type = hardware_type(device.ifindex);
    if (!type) return std::nullopt;
    if (packets_of(*type) != PacketKind::frames) return std::nullopt;
    auto attached =
        attacher_->attach(device.ifindex, Attachment::Hook::tc_ingress, direct_->program(kPodProgram), false);
    if (attached) return std::optional(std::move(*attached));
    if (!hardware_type(device.ifindex)) return std::nullopt;
    return Failure(attached.error());
}

Result<std::vector<Attachment>> BpfDataplane::put_pods(const std::vector<PodDevice>& devices,
                                                       const std::set<MacAddress>& macs) {
    if (auto due = take_over_if_due(); !due) return Failure(due.error());
    if (auto loaded = load_direct(); !loaded) return Failure(loaded.error());
    if (auto set = set_macs(macs); !set) return Failure(set.error());
    std::vector<Attachment> attachments;
    std::optional<Error> first;
    const auto put = [&](const PodDevice& device) {
        auto done = direct_->tables().pods.put(static_cast<__u32>(device.ifindex), encode_pod(device));
        if (!done && !first) first = done.error();
    };
    for (const PodDevice& device : devices) {
        if (!device.runs_program()) continue;
        auto attached = attach_pod(device);
        if (!attached && !first) first = attached.error();
        if (!attached || !*attached) continue;
        attachments.push_back(std::move(**attached));
        put(device);
    }
    for (const PodDevice& device : devices)
        if (!device.runs_program() && !first) put(device);
    if (first) return Failure(*first);
    return attachments;
}

Result<> BpfDataplane::set_macs(const std::set<MacAddress>& macs) {
    const auto& table = direct_->tables().macs;
    const auto found = table.dump();
    if (!found) return Failure(found.error());
    const auto key_of = [](const MacAddress& mac) {
        wglan_mac key{};
        std::copy(mac.begin(), mac.end(), key.mac);
        return key;
    };
    for (const MacAddress& mac : macs)
        if (auto put = table.put(key_of(mac), 1); !put) return put;
    for (const auto& [key, value] : *found) {
        MacAddress mac;
        std::copy(std::begin(key.mac), std::end(key.mac), mac.begin());
        if (macs.contains(mac)) continue;
        if (auto removed = table.remove(key); !removed) return removed;
    }
    return {};
}

Result<> BpfDataplane::remove_pods(const std::vector<int>& ifindexes) {
    if (!attacher_) return not_loaded();
    if (direct_)
        for (const int ifindex : ifindexes)
            if (auto removed = direct_->tables().pods.remove(static_cast<__u32>(ifindex)); !removed)
                return removed;
    for (const int ifindex : ifindexes)
        if (auto detached = attacher_->detach(ifindex, Attachment::Hook::tc_ingress); !detached)
            return detached;
    return {};
}

Result<PodReplayVerdict> BpfDataplane::replay_from_pod(const ReplayPacket& packet, const PodDevice& device) {
    const auto open = tables();
    if (!open) return Failure(open.error());
    if (!direct_) return fail(ErrorKind::unsupported, "podDatapath: direct isn't in force");
    if (!pod_replay_) {
        auto loaded = PodReplay::load(**open, direct_->tables());
        if (!loaded) return fail_with(loaded, "load the program at pods' devices for a test");
        pod_replay_ = std::move(*loaded);
    }
    return pod_replay_->ingress(packet, device);
}

Result<> BpfDataplane::set_own_pods(const std::set<Prefix>& own) {
    if (own.empty() && !direct_) return {};
    if (auto loaded = load_direct(); !loaded) return loaded;
    return direct_->tables().own.put(0, encode_own(own));
}

}  // namespace wglan
