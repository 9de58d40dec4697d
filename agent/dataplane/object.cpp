// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/object.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/dataplane/bpffs.h"
#include "agent/dataplane/carry.h"
#include "agent/dataplane/libbpf_log.h"
#include "bpf/steer.skel.h"
#include "maps/names.h"

namespace wglan {

namespace {

// What carries over when the layout changes; counters start anew.
constexpr const char* kCarried[] = {"wglan_route4", "wglan_route6", "wglan_peers", "wglan_endpts",
                                    "wglan_config"};

// Not pinned: filled anew by each agent.
constexpr const char* kFilledAnew[] = {"wglan_up", "wglan_strides", "wglan_exact6", "wglan_lengths"};

bpf_map_info info_of(int fd) {
    bpf_map_info info{};
    __u32 length = sizeof info;
    if (bpf_obj_get_info_by_fd(fd, &info, &length) != 0) info = {};
    return info;
}

// `open(name)` gives a descriptor of that map.
template <class Open>
Result<Tables> make_tables(Open open) {
    Tables tables;
    const auto take = [&](const char* name, auto& table) -> Result<> {
        auto fd = open(name);
        if (!fd) return Failure(fd.error());
        table = std::remove_reference_t<decltype(table)>(std::move(*fd), name);
        return {};
    };
    Result<> taken = take("wglan_route4", tables.route4);
    if (taken) taken = take("wglan_route6", tables.route6);
    if (taken) taken = take("wglan_peers", tables.peers);
    if (taken) taken = take("wglan_endpts", tables.endpoints);
    if (taken) taken = take("wglan_config", tables.config);
    if (taken) taken = take("wglan_stats", tables.stats);
    if (taken) taken = take("wglan_pstats", tables.peer_stats);
    if (taken) taken = take("wglan_clones", tables.clones);
    if (taken) taken = take("wglan_cache", tables.cache);
    if (!taken) return Failure(taken.error());
    return tables;
}

template <class Key, class Value>
bool sizes_match(const Table<Key, Value>& table) {
    const auto info = info_of(table.raw().fd());
    return info.key_size == sizeof(Key) && info.value_size == sizeof(Value);
}

template <class Key, class Value>
bool sizes_match(const PerCpuTable<Key, Value>& table) {
    const auto info = info_of(table.raw().fd());
    return info.key_size == sizeof(Key) && info.value_size == sizeof(Value);
}

bool is_our_layout(const Tables& tables) {
    if (!sizes_match(tables.route4) || !sizes_match(tables.route6) || !sizes_match(tables.peers) ||
        !sizes_match(tables.endpoints) || !sizes_match(tables.config) || !sizes_match(tables.stats) ||
        !sizes_match(tables.peer_stats) || !sizes_match(tables.clones) || !sizes_match(tables.cache))
        return false;
    const auto config = tables.config.get(0);
    return config && config->layout_version == WGLAN_LAYOUT_VERSION;
}

// Routes that were carried over from a layout without this field don't know their length.
template <class Key>
Result<> name_lengths(const Table<Key, wglan_route>& table) {
    const auto entries = table.dump();
    if (!entries) return Failure(entries.error());
    std::vector<Key> keys;
    std::vector<wglan_route> values;
    for (const auto& [key, value] : *entries) {
        if (value.prefix_len == key.prefix_len) continue;
        keys.push_back(key);
        values.push_back(value);
        values.back().prefix_len = key.prefix_len;
    }
    return keys.empty() ? Result<>{} : table.put_all(keys, values);
}

}  // namespace

Result<UniqueFd> duplicate(int fd) {
    UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (!copy.valid()) return fail_errno("duplicate a descriptor");
    return copy;
}

Error explain_load_error(int error) {
    if (error == EPERM)
        return fail_errno(
                   "load the BPF programs: run as root, or with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN; "
                   "details with --log-level debug",
                   error)
            .value();
    if (error == ENOSYS)
        return Error(ErrorKind::unsupported,
                     "load the BPF programs: this kernel has no bpf(2) (CONFIG_BPF_SYSCALL)", error);
    // EACCES is the verifier's word for an access that it can't follow, or a security module's.
    if (error == EINVAL || error == EACCES)
        return Error(ErrorKind::unsupported,
                     "load the BPF programs: this kernel refuses them (6.1 or newer is needed); details with "
                     "--log-level debug",
                     error);
    return fail_errno("load the BPF programs; details with --log-level debug", error).value();
}

bool same_definition(const bpf_map* wanted, int fd) {
    const auto found = info_of(fd);
    return found.type == static_cast<__u32>(bpf_map__type(wanted)) &&
           found.key_size == bpf_map__key_size(wanted) && found.value_size == bpf_map__value_size(wanted) &&
           found.max_entries == bpf_map__max_entries(wanted) && found.map_flags == bpf_map__map_flags(wanted);
}

Result<std::vector<Program>> loaded_programs(const bpf_object* object) {
    std::vector<Program> programs;
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object) {
        if (!bpf_program__autoload(program)) continue;
        bpf_prog_info info{};
        __u32 length = sizeof info;
        if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &length) != 0)
            return fail_errno("look at a loaded BPF program");
        // The kernel keeps 15 characters of a name, and that is what an attachment shows.
        programs.push_back(
            {{info.name, strnlen(info.name, sizeof info.name)}, bpf_program__fd(program), info.id});
    }
    return programs;
}

Result<Tables> open_pinned_tables(const std::string& pin_path) {
    auto tables =
        make_tables([&](const char* name) { return open_pin(pin_path + "/" + kMapsDirectory + "/" + name); });
    if (tables && !is_our_layout(*tables))
        return fail(ErrorKind::unsupported,
                    "the maps below " + pin_path + " are of another version's layout");
    return tables;
}

void SteerObject::Destroy::operator()(wglan_steer* skeleton) const noexcept {
    wglan_steer__destroy(skeleton);
}
SteerObject::SteerObject() = default;
SteerObject::SteerObject(SteerObject&&) noexcept = default;
SteerObject& SteerObject::operator=(SteerObject&&) noexcept = default;
SteerObject::~SteerObject() = default;

const Program& SteerObject::program(std::string_view name) const {
    return *std::find_if(programs_.begin(), programs_.end(),
                         [&](const Program& p) { return p.name == name; });
}

int SteerObject::map_fd(const char* name) const {
    return bpf_object__find_map_fd_by_name(skeleton_->obj, name);
}

Result<> SteerObject::open(std::uint32_t max_routes) {
    log_libbpf_through_ours();
    skeleton_.reset(wglan_steer__open());
    if (!skeleton_) return fail_errno("open the BPF object");
    for (auto* map : {skeleton_->maps.wglan_route4, skeleton_->maps.wglan_route6})
        if (bpf_map__set_max_entries(map, max_routes) != 0) return fail_errno("size the BPF maps");
    return {};
}

Result<> SteerObject::choose_maps(const std::string& pin_path) {
    const std::string directory = pin_path + "/" + kMapsDirectory + "/";
    bool all = true;
    for (const char* name : kPinnedMaps) {
        auto fd = open_pin(directory + name);
        if (!fd) {
            if (fd.error().kind() != ErrorKind::not_found) return Failure(fd.error());
            all = false;
            continue;
        }
        all = all && same_definition(bpf_object__find_map_by_name(skeleton_->obj, name), fd->get());
        old_maps_.emplace_back(name, std::move(*fd));
    }
    if (old_maps_.empty()) return {};
    if (all) {
        const auto old = open_pinned_tables(pin_path);
        all = old.has_value();
    }
    maps_ = all ? Maps::adopted : Maps::carried;
    if (!all) return {};
    for (const auto& [name, fd] : old_maps_)
        if (bpf_map__reuse_fd(bpf_object__find_map_by_name(skeleton_->obj, name.c_str()), fd.get()) != 0)
            return fail_errno("re-use BPF map " + name);
    old_maps_.clear();
    return {};
}

Result<> SteerObject::share(const SteerObject& first) {
    for (const char* name : kFilledAnew)
        if (bpf_map__reuse_fd(bpf_object__find_map_by_name(skeleton_->obj, name), first.map_fd(name)) != 0)
            return fail_errno(std::string("re-use BPF map ") + name);
    return {};
}

Result<> SteerObject::fill_and_pin(const std::string& pin_path) {
    for (const char* name : kCarried) {
        const auto old = std::find_if(old_maps_.begin(), old_maps_.end(),
                                      [&](const auto& entry) { return entry.first == name; });
        if (maps_ != Maps::carried) break;
        if (old == old_maps_.end()) {
            maps_ = Maps::unfilled;
        } else if (const auto carried = carry_map(old->second.get(), map_fd(name), name); !carried) {
            spdlog::warn("start with empty maps: {}", carried.error().message());
            maps_ = Maps::unfilled;
        }
    }
    if (auto named = name_lengths(tables_.route4); !named) return named;
    if (auto named = name_lengths(tables_.route6); !named) return named;
    const auto peers = tables_.peers.dump();
    if (!peers) return Failure(peers.error());
    for (const auto& [id, peer] : *peers)
        if (auto made = tables_.peer_stats.ensure(id); !made) return made;

    auto config = tables_.config.get(0);
    if (!config) return Failure(config.error());
    config->layout_version = WGLAN_LAYOUT_VERSION;
    if (auto put = tables_.config.put(0, *config); !put) return put;

    const std::string directory =
        pin_path + "/" + (maps_ == Maps::fresh ? kMapsDirectory : kNextMapsDirectory);
    if (auto removed = remove_pins(directory); !removed) return removed;
    if (auto made = make_directories(directory, 0700); !made) return made;
    for (const char* name : kPinnedMaps)
        if (auto pinned = pin(map_fd(name), directory + "/" + name); !pinned) return pinned;
    old_maps_.clear();
    return {};
}

Result<SteerObject> SteerObject::load(const std::string& pin_path, std::uint32_t max_routes,
                                      const SteerObject* first) {
    SteerObject object;
    if (auto opened = object.open(max_routes); !opened) return Failure(opened.error());
    if (auto chosen = object.choose_maps(pin_path); !chosen) return Failure(chosen.error());
    if (first != nullptr)
        if (auto shared = object.share(*first); !shared) return Failure(shared.error());
    if (const int error = -wglan_steer__load(object.skeleton_.get()); error != 0)
        return Failure(explain_load_error(error));

    auto tables = make_tables([&](const char* name) { return duplicate(object.map_fd(name)); });
    if (!tables) return Failure(tables.error());
    object.tables_ = std::move(*tables);
    auto programs = loaded_programs(object.skeleton_->obj);
    if (!programs) return Failure(programs.error());
    object.programs_ = std::move(*programs);
    if (object.maps_ != Maps::adopted)
        if (auto filled = object.fill_and_pin(pin_path); !filled) return Failure(filled.error());
    return object;
}

}  // namespace wglan
