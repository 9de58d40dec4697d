// SPDX-License-Identifier: Apache-2.0
// The BPF object of `podDatapath: direct`: its programs share the maps of the steering object and add
// some of their own, pinned beside them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/dataplane/attach.h"
#include "agent/model/pods.h"
#include "maps/table.h"
#include "maps/wglan_direct.h"

struct wglan_direct;

namespace wglan {

struct DirectTables {
    Table<__u32, wglan_pod> pods;
    Table<wglan_mac, __u32> macs;
    Table<__u32, wglan_own> own;
    PerCpuTable<__u32, wglan_direct_stats> stats;
};

// Where conntrack is a module its functions are known to BPF only while it is loaded: has it loaded.
void wake_conntrack();

// True if a predecessor's maps are pinned there.
bool direct_is_pinned(const std::string& pin_path);
// Opens the pinned maps; not_found where direct mode never ran, unsupported if they are of another layout.
Result<DirectTables> open_pinned_direct(const std::string& pin_path);

// All that the maps hold but PodSteering::direct and the names.
Result<PodSteering> read_pods(const DirectTables& tables);

wglan_pod encode_pod(const PodDevice& device);
PodDevice decode_pod(int ifindex, const wglan_pod& pod);
// The first kMaxOwnPrefixes of each family.
wglan_own encode_own(const std::set<Prefix>& own);
std::set<Prefix> decode_own(const wglan_own& own);

class DirectObject {
public:
    // `shared_map` gives the descriptor of one of the steering object's maps by name, -1 if it has none
    // such. `unsupported` says what the kernel lacks.
    static Result<DirectObject> load(const std::string& pin_path,
                                     const std::function<int(const char*)>& shared_map);

    DirectObject(DirectObject&&) noexcept;
    DirectObject& operator=(DirectObject&&) noexcept;
    ~DirectObject();

    // Pins those maps that aren't: an exchange of the steering object's takes the folder along.
    Result<> pin_maps(const std::string& pin_path) const;
    const DirectTables& tables() const { return tables_; }
    const std::vector<Program>& programs() const { return programs_; }
    const Program& program(std::string_view name) const;  // must exist

private:
    struct Destroy {
        void operator()(wglan_direct* skeleton) const noexcept;
    };
    DirectObject();
    Result<> take_maps(const std::string& pin_path, const std::function<int(const char*)>& shared_map);

    std::unique_ptr<wglan_direct, Destroy> skeleton_;
    std::vector<Program> programs_;
    DirectTables tables_;
};

}  // namespace wglan
