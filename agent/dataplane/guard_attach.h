// SPDX-License-Identifier: Apache-2.0
// The guard's programs on devices: XDP links pinned in <pinPath>/links, or TC ingress by Attacher. The XDP
// program of anybody else is never replaced.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/dataplane/attach.h"
#include "agent/dataplane/guard_object.h"
#include "agent/model/guard.h"

namespace wglan {

class GuardAttacher {
public:
    // At TC ingress the guard is in front of all others; where somebody has come before it since, that place
    // is won back, at most this often a device.
    GuardAttacher(std::string pin_path, bool force_clsact, Seconds win_back_every = Seconds(300));

    // `physical`: by XDP, native, else generic; where another XDP program is, and on all other devices, at
    // TC ingress. What stands there of ours is updated in place; a move between the two leaves no gap.
    Result<GuardPlace> attach(int ifindex, const GuardObject& object, bool physical);
    Result<> detach(int ifindex);  // fine when nothing is there, or no such device

    // Ours that are in place, sorted. `current` are those whose program is one of `programs`.
    Result<std::vector<GuardPlace>> find(const std::vector<Program>& programs) const;

private:
    Result<GuardPlace> attach_xdp(int ifindex, const Program& program);
    Result<Attachment> attach_tc(int ifindex, const GuardObject& object);
    void drop_dead_pins() const;
    bool to_win_back(const Attachment& at) const;
    std::string xdp_pin(int ifindex) const;

    std::string links_;
    Attacher tc_;
    std::map<int, std::string> notes_;  // why not by XDP
    std::map<int, __u32> kept_out_by_;  // XDP program of somebody else
    WinningBack winning_back_;
};

}  // namespace wglan
