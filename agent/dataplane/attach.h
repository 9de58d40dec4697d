// SPDX-License-Identifier: Apache-2.0
// Our programs on TC hooks: TCX links pinned in <pinPath>/links, or clsact filters with a handle and
// priority of our own. Everyone else's stay as they are; a clsact qdisc is never deleted.
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/base/unique_fd.h"
#include "agent/model/steering.h"

namespace wglan {

// "wl": tells our clsact filters from others'.
inline constexpr std::uint32_t kFilterHandle = 0x776c;
inline constexpr std::uint32_t kFilterPriority = 0x776c;

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

class Attacher {
public:
    Attacher(std::string pin_path, bool force_clsact);

    bool uses_tcx() const { return tcx_; }

    // An attachment of ours that stands there already is updated in place: no packet sees neither or
    // both programs' absence. `first`: before all other TCX programs of that hook, else after them.
    Result<Attachment> attach(int ifindex, Attachment::Hook hook, const Program& program, bool first);
    // Ours on both hooks of this device, whatever their program; fine when there is no such device.
    Result<> detach(int ifindex);
    Result<> detach(int ifindex, Attachment::Hook hook);
    // Puts the program of the same name in the place of each that is attached now.
    Result<> update_all(const std::vector<Program>& programs);

    // Ours that are in place on any device, sorted. Names are the programs'.
    Result<std::vector<FoundAttachment>> find() const;

private:
    Result<Attachment> attach_tcx(int ifindex, Attachment::Hook hook, const Program& program, bool first);
    Result<Attachment> attach_clsact(int ifindex, Attachment::Hook hook, const Program& program);
    Result<> drop_pins(int ifindex, Attachment::Hook hook, const std::string& except);

    std::string links_;
    bool tcx_ = false;
};

}  // namespace wglan
