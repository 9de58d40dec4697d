// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "agent/dataplane/bpf_dataplane.h"

namespace wglan {

Result<> detach_all(GuardAttacher& attacher) {
    const auto places = attacher.find({});
    if (!places) return Failure(places.error());
    for (const GuardPlace& place : *places)
        if (auto detached = attacher.detach(place.attachment.ifindex); !detached) return detached;
    return {};
}

Result<GuardState> BpfDataplane::guard() {
    if (!guard_attacher_) return not_loaded();
    GuardState state;
    if (guard_object_ && guard_object_->up_to_date()) state.settings = guard_object_->held();
    auto places = guard_attacher_->find(guard_object_ ? guard_object_->programs() : std::vector<Program>{});
    if (!places) return Failure(places.error());
    state.places = std::move(*places);
    return state;
}

Result<> BpfDataplane::set_guard(const GuardSettings& settings) {
    // Its programs read the steering programs' settings: those of the maps that are in force.
    if (auto due = take_over_if_due(); !due) return due;
    if (!guard_object_ || !guard_object_->up_to_date()) {
        auto object = GuardObject::load(options_.pin_path, *object_);
        if (!object) return Failure(object.error());
        guard_object_ = std::move(*object);
    }
    return guard_object_->set(settings);
}

Result<GuardPlace> BpfDataplane::attach_guard(int ifindex, bool physical) {
    if (!guard_object_) return fail(ErrorKind::internal, "the guard isn't loaded");
    return guard_attacher_->attach(ifindex, *guard_object_, physical);
}

Result<> BpfDataplane::detach_guard(int ifindex) {
    if (!guard_attacher_) return not_loaded();
    return guard_attacher_->detach(ifindex);
}

Result<> BpfDataplane::drop_guard() {
    if (!guard_attacher_) return not_loaded();
    if (auto dropped = detach_all(*guard_attacher_); !dropped) return dropped;
    guard_object_.reset();
    return GuardObject::unpin(options_.pin_path);
}

Result<GuardState> peek_guard(const std::string& pin_path) {
    auto places = GuardAttacher(pin_path, false).find({});
    if (!places) return Failure(places.error());
    GuardState state{GuardObject::peek(pin_path), std::move(*places)};
    // Whose program it is only its own process knows; the next agent takes it over as it stands.
    for (GuardPlace& place : state.places) place.current = true;
    return state;
}

}  // namespace wglan
