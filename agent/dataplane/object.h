// SPDX-License-Identifier: Apache-2.0
// The loaded BPF object: programs with their maps, a predecessor's or new ones.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/dataplane/attach.h"
#include "maps/table.h"
#include "maps/wglan_maps.h"

struct bpf_map;
struct bpf_object;
struct wglan_steer;

namespace wglan {

Result<UniqueFd> duplicate(int fd);
// For every object of ours. `error`: of bpf_object__load, positive.
Error explain_load_error(int error);
// An open map, as it will be made, is of the same kind, sizes and flags as the one at fd.
bool same_definition(const bpf_map* wanted, int fd);
Result<std::vector<Program>> loaded_programs(const bpf_object* object);

// The maps by type. Each has descriptors of its own.
struct Tables {
    Table<wglan_key4, wglan_route> route4;
    Table<wglan_key6, wglan_route> route6;
    Table<__u32, wglan_peer> peers;
    Table<wglan_endpoint_key, wglan_endpoint> endpoints;
    Table<__u32, wglan_config> config;
    PerCpuTable<__u32, wglan_stats> stats;
    PerCpuTable<__u32, wglan_peer_stats> peer_stats;
    Table<wglan_place, wglan_places> clones;
    PerCpuTable<__u32, wglan_slot> cache;
};

// Opens the pinned maps; not_found if one is missing, unsupported if one has another definition or the
// layout version isn't ours.
Result<Tables> open_pinned_tables(const std::string& pin_path);

class SteerObject {
public:
    enum class Maps {
        fresh,     // there was no predecessor; the new maps are pinned
        adopted,   // the predecessor's maps are ours now
        carried,   // new maps hold the predecessor's entries; pinned beside the old ones
        unfilled,  // as carried, but the old entries couldn't be read: the agent fills them
    };

    // The pin path must be prepared. The predecessor keeps forwarding with its own maps whatever
    // happens here. `first`: another instance of ours, whose maps that aren't pinned serve this one too.
    static Result<SteerObject> load(const std::string& pin_path, std::uint32_t max_routes,
                                    const SteerObject* first = nullptr);

    SteerObject(SteerObject&&) noexcept;
    SteerObject& operator=(SteerObject&&) noexcept;
    ~SteerObject();

    Maps maps() const { return maps_; }
    const Tables& tables() const { return tables_; }
    const std::vector<Program>& programs() const { return programs_; }
    const Program& program(std::string_view name) const;  // must exist
    int map_fd(const char* name) const;                   // not owned; -1 if there is none

private:
    struct Destroy {
        void operator()(wglan_steer* skeleton) const noexcept;
    };
    SteerObject();
    Result<> open(std::uint32_t max_routes);
    Result<> choose_maps(const std::string& pin_path);
    Result<> share(const SteerObject& first);
    Result<> fill_and_pin(const std::string& pin_path);

    std::unique_ptr<wglan_steer, Destroy> skeleton_;
    std::vector<Program> programs_;
    Tables tables_;
    Maps maps_ = Maps::fresh;
    std::vector<std::pair<std::string, UniqueFd>> old_maps_;  // by name, while new ones take their place
};

}  // namespace wglan
