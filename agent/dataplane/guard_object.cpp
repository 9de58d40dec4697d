// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/guard_object.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "agent/base/log.h"
#include "agent/dataplane/bpffs.h"
#include "bpf/guard.skel.h"
#include "maps/convert.h"
#include "maps/names.h"

namespace wglan {

static_assert(kMostGuardedAddresses == WGLAN_GUARD_ADDRESSES);

namespace {

constexpr const char* kShared[] = {"wglan_config", "wglan_stats", "wglan_events"};
constexpr std::uint64_t kSecond = 1'000'000'000;

// There once conntrack is, as a module or not, in every network namespace.
bool kernel_has_conntrack() { return ::access("/proc/sys/net/netfilter/nf_conntrack_max", F_OK) == 0; }

wglan_guard_address address_key(const IpAddress& address) {
    wglan_guard_address key{};
    put_address(key.address, address);
    return key;
}

}  // namespace

void GuardObject::Destroy::operator()(wglan_guard* skeleton) const noexcept {
    wglan_guard__destroy(skeleton);
}
GuardObject::GuardObject() = default;
GuardObject::GuardObject(GuardObject&&) noexcept = default;
GuardObject& GuardObject::operator=(GuardObject&&) noexcept = default;
GuardObject::~GuardObject() = default;

const Program& GuardObject::find(std::string_view suffix) const {
    return *std::find_if(programs_.begin(), programs_.end(),
                         [&](const Program& program) { return program.name.ends_with(suffix); });
}

int GuardObject::map_fd(const char* name) const {
    return bpf_object__find_map_fd_by_name(skeleton_->obj, name);
}

bool GuardObject::up_to_date() const { return asks_ || conntrack_at_load_ || !kernel_has_conntrack(); }

Result<> GuardObject::open_and_load(const std::string& pin_path, const SteerObject& steer, bool asks) {
    skeleton_.reset(wglan_guard__open());
    if (!skeleton_) return fail_errno("open the guard's BPF object");
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, skeleton_->obj) {
        const bool asking = std::string_view(bpf_program__name(program)).starts_with("wglan_guard");
        if (bpf_program__set_autoload(program, asking == asks) != 0)
            return fail_errno("choose the guard's programs");
    }
    for (const char* name : kShared)
        if (bpf_map__reuse_fd(bpf_object__find_map_by_name(skeleton_->obj, name), steer.map_fd(name)) != 0)
            return fail_errno("re-use BPF map " + std::string(name));
    for (const char* name : kGuardMaps) {
        auto* const map = bpf_object__find_map_by_name(skeleton_->obj, name);
        const auto old = open_pin(pin_path + "/" + kMapsDirectory + "/" + name);
        if (!old && old.error().kind() == ErrorKind::permission) return Failure(old.error());
        if (old && same_definition(map, old->get()) && bpf_map__reuse_fd(map, old->get()) != 0)
            return fail_errno("re-use BPF map " + std::string(name));
    }
    if (const int error = -wglan_guard__load(skeleton_.get()); error != 0)
        return Failure(explain_load_error(error));
    asks_ = asks;
    return {};
}

// A pin that isn't this map's is of another definition: its programs have it as long as they run.
Result<> GuardObject::pin_maps(const std::string& pin_path) const {
    const std::string directory = pin_path + "/" + kMapsDirectory + "/";
    for (const char* name : kGuardMaps) {
        auto* const map = bpf_object__find_map_by_name(skeleton_->obj, name);
        if (const auto old = open_pin(directory + name); old && same_definition(map, old->get())) continue;
        if (auto removed = wglan::unpin(directory + name); !removed) return removed;
        if (auto pinned = pin(map_fd(name), directory + name); !pinned) return pinned;
    }
    return {};
}

Result<GuardObject> GuardObject::load(const std::string& pin_path, const SteerObject& steer) {
    GuardObject object;
    object.conntrack_at_load_ = kernel_has_conntrack();
    Result<> loaded = fail(ErrorKind::unsupported, "this kernel has no conntrack");
    if (object.conntrack_at_load_) {
        loaded = object.open_and_load(pin_path, steer, true);
        if (!loaded)
            spdlog::debug("the guard can't ask conntrack, what is no WireGuard message passes: {}",
                          loaded.error().message());
    }
    if (!loaded) loaded = object.open_and_load(pin_path, steer, false);
    if (!loaded) return fail_with(loaded, "the guard of the WireGuard port");
    auto programs = loaded_programs(object.skeleton_->obj);
    if (!programs) return Failure(programs.error());
    object.programs_ = std::move(*programs);
    if (auto pinned = object.pin_maps(pin_path); !pinned) return Failure(pinned.error());
    auto addresses = duplicate(object.map_fd("wglan_gaddress"));
    if (!addresses) return Failure(addresses.error());
    object.addresses_ = {std::move(*addresses), "wglan_gaddress"};
    auto settings = duplicate(object.map_fd("wglan_guard"));
    if (!settings) return Failure(settings.error());
    object.settings_ = {std::move(*settings), "wglan_guard"};
    return object;
}

Result<> GuardObject::unpin(const std::string& pin_path) {
    for (const char* name : kGuardMaps)
        if (auto removed = wglan::unpin(pin_path + "/" + kMapsDirectory + "/" + name); !removed)
            return removed;
    return {};
}

std::optional<GuardSettings> GuardObject::peek(const std::string& pin_path) {
    const std::string directory = pin_path + "/" + kMapsDirectory + "/";
    auto settings = open_pin(directory + "wglan_guard");
    auto addresses = open_pin(directory + "wglan_gaddress");
    if (!settings || !addresses) return std::nullopt;
    const std::unique_ptr<wglan_guard, Destroy> layout(wglan_guard__open());
    if (!layout || !same_definition(layout->maps.wglan_guard, settings->get()) ||
        !same_definition(layout->maps.wglan_gaddress, addresses->get()))
        return std::nullopt;
    const Table<__u32, wglan_guard_settings> one(std::move(*settings), "wglan_guard");
    const Table<wglan_guard_address, __u32> many(std::move(*addresses), "wglan_gaddress");
    return read(one, many);
}

std::optional<GuardSettings> GuardObject::read(const Table<__u32, wglan_guard_settings>& settings,
                                               const Table<wglan_guard_address, __u32>& addresses) {
    const auto held = settings.get(0);
    const auto keys = addresses.dump();
    if (!held || !keys) return std::nullopt;
    GuardSettings found;
    found.handshakes_per_s = held->handshakes_per_s;
    for (const auto& [key, value] : *keys) found.addresses.push_back(to_address(key.address));
    std::sort(found.addresses.begin(), found.addresses.end());
    return found;
}

Result<> GuardObject::set(const GuardSettings& settings) const {
    const auto bytes_of = [](const wglan_guard_address& key) { return std::to_array(key.address); };
    std::set<std::array<__u8, 16>> wanted;
    std::vector<wglan_guard_address> keys;
    for (const IpAddress& address : settings.addresses) {
        const auto key = address_key(address);
        if (wanted.insert(bytes_of(key)).second) keys.push_back(key);
    }
    const auto found = addresses_.dump();
    if (!found) return Failure(found.error());
    for (const auto& [key, value] : *found)
        if (!wanted.contains(bytes_of(key)))
            if (auto removed = addresses_.remove(key); !removed) return removed;
    const std::vector<__u32> values(keys.size(), 1);
    if (auto put = addresses_.put_all(keys, values); !put) return put;

    wglan_guard_settings encoded{};
    encoded.handshakes_per_s = settings.handshakes_per_s;
    encoded.drop_odd = asks_ || !kernel_has_conntrack() ? 1 : 0;
    if (settings.handshakes_per_s != 0) {
        encoded.interval_ns = kSecond / settings.handshakes_per_s;
        encoded.tolerance_ns = (settings.handshakes_per_s - 1) * encoded.interval_ns;
    }
    return settings_.put(0, encoded);
}

}  // namespace wglan
