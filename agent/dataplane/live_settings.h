// SPDX-License-Identifier: Apache-2.0
// The numbers of wglan_config that change often, written where the programs read them: no system call.
#pragma once

#include <array>
#include <cstdint>

#include "agent/base/clock.h"
#include "agent/base/result.h"
#include "agent/dataplane/map_memory.h"
#include "maps/wglan_maps.h"

namespace wglan {

class LiveSettings {
public:
    // Of the map behind `fd`, which may be closed afterwards.
    static Result<LiveSettings> open(int fd);

    // What the programs have kept of the other maps holds no longer (see bpf/lib/cache.h). Comes after the
    // change that it makes known.
    void new_generation();
    // An agent is alive. Makes a new generation once more when the last one is a second old: none of the
    // programs that ran then runs any more.
    void heartbeat();
    // Somebody reads events for so long; 0 = nobody.
    void report_events(Seconds time);

    // Data of peers that have a list is cloned for so long, or longer if it was to be already.
    void clone_data(Milliseconds time);

    // Ports that may be in WGLAN_ENDPOINT_REACH.
    using Ports = std::array<std::uint64_t, 4>;
    void set_reach_ports(const Ports& bits);

    // Those numbers as they are now, for a value that replaces all.
    void keep_in(wglan_config& value) const;

private:
    explicit LiveSettings(MapMemory memory) : memory_(std::move(memory)) {}
    void add_generation();
    wglan_config& page() const { return *memory_.values<wglan_config>(); }

    MapMemory memory_;
    std::uint64_t made_ns_ = 0;  // when the last one was that is to be made once more; 0 = none is
};

}  // namespace wglan
