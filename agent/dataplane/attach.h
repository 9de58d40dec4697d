// SPDX-License-Identifier: Apache-2.0
// Our programs on TC hooks: TCX links pinned in <pinPath>/links, or clsact filters with a handle and
// priority of our own. Everyone else's stay as they are; a clsact qdisc is left alone (see clsact.h).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/result.h"
#include "agent/base/unique_fd.h"
#include "agent/model/steering.h"

namespace wglan {

// Programs of one purpose. Those of others, and of our other purposes, are never touched.
struct HookSlot {
    const char* pin_prefix;  // of names below links
    std::uint32_t filter_handle, filter_priority;
};
// "wl" tells our clsact filters from others'.
inline constexpr HookSlot kSteerSlot{"tc-", 0x776c, 0x776c};
// "wg"; in front of what steers.
inline constexpr HookSlot kGuardSlot{"guard-tc-", 0x7767, 0x7767};

struct Program {
    std::string name;  // as in Attachment
    int fd = -1;       // not owned
    std::uint32_t id = 0;
};

// One attachment as it was found.
struct FoundAttachment {
    Attachment attachment;
    std::uint32_t program_id = 0;
    std::string pin;  // name below links; "" for clsact
};

std::string interface_name(int ifindex);     // "" = there is none
std::string program_name(std::uint32_t id);  // "" = there is none
bool is_our_program(const std::string& name);
// TCX programs of everybody at a hook, in the order in which they run.
Result<std::vector<std::uint32_t>> tcx_program_ids(int ifindex, Attachment::Hook hook);
// Detaches it at once, and removes its pin; a link whose last reference goes is detached a little later.
Result<> drop_link(const std::string& path);

// A place among others' programs that is won back at most so often a device: who insists too shall not make
// us fight.
class WinningBack {
public:
    explicit WinningBack(Seconds every) : every_(every) {}
    bool is_due(int ifindex) const;
    void begins(int ifindex) { last_[ifindex] = system_clock().now(); }

private:
    Seconds every_;
    std::map<int, SteadyTime> last_;  // by ifindex
};

class Attacher {
public:
    Attacher(std::string pin_path, bool force_clsact, HookSlot slot = kSteerSlot);

    bool uses_tcx() const { return tcx_; }

    // An attachment of ours that stands there already is updated in place: no packet sees neither or
    // both programs' absence. `first`: before all other TCX programs of that hook, else after them.
    Result<Attachment> attach(int ifindex, Attachment::Hook hook, const Program& program, bool first);
    // Whether ours stands there, but others have come before it (not `first`: after it) since. By TCX alone:
    // a filter's place is its priority.
    bool is_misplaced(int ifindex, Attachment::Hook hook, bool first) const;
    // Puts `program` into the right place, then takes away the one that has lost it; a packet in between
    // may see both. They must be two instances: the kernel has a program at a hook only once.
    Result<Attachment> move(int ifindex, Attachment::Hook hook, const Program& program, bool first);
    std::uint32_t attached_program(int ifindex, Attachment::Hook hook, bool first) const;  // id; 0 = none
    // Ours on both hooks of this device, whatever their program; fine when there is no such device.
    Result<> detach(int ifindex);
    Result<> detach(int ifindex, Attachment::Hook hook);
    // Puts the program of the same name in the place of each that is attached now; but those of uplinks stay
    // as they are where they have the wrong place among others, until attach() mends that.
    Result<> update_all(const std::vector<Program>& programs, bool uplinks_first);

    // Ours that are in place on any device, sorted. Names are the programs'.
    Result<std::vector<FoundAttachment>> find() const;

private:
    Result<Attachment> attach_tcx(int ifindex, Attachment::Hook hook, const Program& program, bool first);
    Result<> make_link(int ifindex, Attachment::Hook hook, const Program& program, bool first,
                       const std::string& path) const;
    Result<Attachment> attach_clsact(int ifindex, Attachment::Hook hook, const Program& program);
    Result<> update(const FoundAttachment& old, const std::vector<Program>& programs, bool uplinks_first);
    Result<> drop_pins(int ifindex, Attachment::Hook hook, const std::string& except);
    void drop_dead_pins() const;
    Result<> drop_filter(int ifindex, Attachment::Hook hook);
    std::uint32_t filter_program(int ifindex, Attachment::Hook hook) const;
    void find_filters(std::vector<FoundAttachment>& found) const;
    std::string pin_name(int ifindex, Attachment::Hook hook, bool first) const;

    std::string links_;
    HookSlot slot_;
    bool tcx_ = false;
    mutable bool filters_may_be_there_ = true;
};

}  // namespace wglan
