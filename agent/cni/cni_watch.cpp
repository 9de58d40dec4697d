// SPDX-License-Identifier: Apache-2.0
#include "agent/cni/cni_watch.h"

#include <algorithm>

namespace wglan {

void CniWatch::due(SteadyTime when) {
    if (!next_ || when < *next_) next_ = when;
}

// What is wrong is believed at once, that it is mended after a while. A prefix that is new starts trusted,
// unless an agent before us had to steer it.
bool CniWatch::trust(Trust& trust, bool sound, bool fresh, SteadyTime now) {
    if (!sound) {
        if (trust.trusted)
            trust.hold = now - trust.since < kSteady ? std::min(2 * trust.hold, kMostHold) : kLeastHold;
        trust.trusted = trust.sound = false;
        return false;
    }
    if (!trust.sound) {
        trust.sound = true;
        trust.since = now;
    }
    if (trust.trusted) return true;
    if (fresh || now - trust.since >= trust.hold) {
        trust.trusted = true;
        // A first time isn't a recovery: what fails soon after it hasn't been flapping.
        trust.since = fresh ? now - kSteady : now;
        return true;
    }
    due(trust.since + trust.hold);
    return false;
}

CniWatch::State CniWatch::judge(const Prefix& prefix, const CniPrefix& there, SteadyTime now) {
    const auto [it, fresh] = trust_.try_emplace(prefix);
    const bool sound = !there.way.empty();
    State state;
    state.wider = there.wider;
    if (!trust(it->second, sound, fresh && !there.steered, now)) {
        CniDown& down = down_[there.peer];
        (prefix.family() == Family::v4 ? down.v4 : down.v6) = true;
        state.reason = sound                 ? there.way + " works again, and is watched for a while"
                       : there.fault.empty() ? "the CNI has no route for it"
                                             : "the CNI's route leads nowhere: " + there.fault;
        return state;
    }
    const auto said = told_.find(there.peer);
    if (said != told_.end() && said->second.until > now && said->second.down.of(prefix.family())) {
        due(said->second.until);
        state.reason = there.peer_name + " says that its CNI doesn't reach this node";
        return state;
    }
    state.left = true;
    state.reason = there.way;
    return state;
}

bool CniWatch::update(const std::map<Prefix, CniPrefix>& prefixes, SteadyTime now) {
    next_.reset();
    down_.clear();
    std::erase_if(told_, [&](const auto& item) { return item.second.until <= now; });
    std::erase_if(trust_, [&](const auto& item) { return !prefixes.contains(item.first); });
    std::map<Prefix, State> states;
    for (const auto& [prefix, there] : prefixes) {
        State state = judge(prefix, there, now);
        const State* before = find(prefix);
        if (before != nullptr && before->left && !state.left) ++failovers_;
        states.emplace(prefix, std::move(state));
    }
    const bool changed = states != states_;
    states_ = std::move(states);
    return changed;
}

void CniWatch::told(const PublicKey& peer, CniDown down, SteadyTime now) {
    if (down.any())
        told_[peer] = {down, now + kToldHolds};
    else
        told_.erase(peer);
}

const CniWatch::State* CniWatch::find(const Prefix& prefix) const {
    const auto it = states_.find(prefix);
    return it == states_.end() ? nullptr : &it->second;
}

std::size_t CniWatch::left() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(states_, [](const auto& item) { return item.second.left; }));
}

}  // namespace wglan
