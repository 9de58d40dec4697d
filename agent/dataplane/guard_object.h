// SPDX-License-Identifier: Apache-2.0
// The loaded programs of the guard (bpf/guard.bpf.c). Settings, counters and events are in the steering
// object's maps; its own are pinned beside them, and a predecessor's are taken over.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/dataplane/attach.h"
#include "agent/dataplane/object.h"
#include "agent/model/guard.h"
#include "maps/table.h"
#include "maps/wglan_guard.h"

struct wglan_guard;

namespace wglan {

class GuardObject {
public:
    static Result<GuardObject> load(const std::string& pin_path, const SteerObject& steer);
    // The maps' pins go; programs that are attached keep their maps.
    static Result<> unpin(const std::string& pin_path);
    // What the pinned maps hold; nullopt where there are none of this layout.
    static std::optional<GuardSettings> peek(const std::string& pin_path);

    GuardObject(GuardObject&&) noexcept;
    GuardObject& operator=(GuardObject&&) noexcept;
    ~GuardObject();

    const Program& xdp() const { return find("_xdp"); }
    const Program& tc() const { return find("_tc"); }
    const Program& tc_l3() const { return find("_l3"); }  // for packets without a MAC header
    const std::vector<Program>& programs() const { return programs_; }

    // The programs can ask conntrack whose a packet is that is no WireGuard message.
    bool asks_conntrack() const { return asks_; }
    // False once this kernel has got a conntrack that they might ask, but don't: load anew.
    bool up_to_date() const;

    // What isn't a WireGuard message is dropped only where it can't be somebody else's.
    Result<> set(const GuardSettings& settings) const;
    std::optional<GuardSettings> held() const { return read(settings_, addresses_); }  // by the maps
    int map_fd(const char* name) const;  // not owned; -1 if there is none

private:
    static std::optional<GuardSettings> read(const Table<__u32, wglan_guard_settings>& settings,
                                             const Table<wglan_guard_address, __u32>& addresses);
    struct Destroy {
        void operator()(wglan_guard* skeleton) const noexcept;
    };
    GuardObject();
    Result<> open_and_load(const std::string& pin_path, const SteerObject& steer, bool asks);
    Result<> pin_maps(const std::string& pin_path) const;
    const Program& find(std::string_view suffix) const;

    std::unique_ptr<wglan_guard, Destroy> skeleton_;
    std::vector<Program> programs_;
    Table<wglan_guard_address, __u32> addresses_;
    Table<__u32, wglan_guard_settings> settings_;
    bool asks_ = false;
    bool conntrack_at_load_ = false;
};

}  // namespace wglan
