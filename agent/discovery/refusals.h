// SPDX-License-Identifier: Apache-2.0
// What a source said that can't be accepted, peer by peer, until it says better. A source that repeats
// nonsense must fill neither log nor memory.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/clock.h"
#include "agent/discovery/source.h"

namespace wglan {

class Refusals {
public:
    // `source`: status().name.
    explicit Refusals(std::string source) : source_(std::move(source)) {}

    // Adds a refusal: once a minute for each peer, or four times where it was forgiven meanwhile; of no more
    // than 256 peers.
    void tell(const std::string& peer, const std::string& reason, SteadyTime now,
              std::vector<SourceUpdate>& updates) {
        if (told_.size() >= kMost) make_room(now, updates);
        if (told_.size() >= kMost && !told_.contains(peer)) return;
        Told& told = told_.try_emplace(peer, Told{.since = now}).first->second;
        told.listed = true;
        if (now - told.since >= kInterval) told = {.since = now, .listed = true};
        if (told.times >= kTimes || (told.stands && told.times > 0)) return;
        ++told.times;
        told.stands = true;
        add(SourceUpdate::Kind::refused, peer, updates).refused_reason = reason;
    }

    // What was said of the peer now is sound.
    void forgive(const std::string& peer, std::vector<SourceUpdate>& updates) {
        const auto it = told_.find(peer);
        if (it == told_.end() || !std::exchange(it->second.stands, false)) return;
        add(SourceUpdate::Kind::forgiven, peer, updates);
    }

    // Between the two all is told that is wrong with a complete list; who isn't among them is forgiven.
    void begin_list() {
        for (auto& [peer, told] : told_) told.listed = false;
    }
    void end_list(std::vector<SourceUpdate>& updates) {
        for (const auto& [peer, told] : told_)
            if (!told.listed) forgive(peer, updates);
    }

private:
    struct Told {
        SteadyTime since{};   // the minute's beginning
        unsigned times = 0;   // in this minute
        bool stands = false;  // it wasn't forgiven since
        bool listed = false;  // in the list being read
    };

    void make_room(SteadyTime now, std::vector<SourceUpdate>& updates) {
        std::erase_if(told_, [&](const auto& item) {
            if (now - item.second.since < kInterval) return false;
            if (item.second.stands) add(SourceUpdate::Kind::forgiven, item.first, updates);
            return true;
        });
    }

    SourceUpdate& add(SourceUpdate::Kind kind, const std::string& peer, std::vector<SourceUpdate>& updates) {
        SourceUpdate& update = updates.emplace_back();
        update.kind = kind;
        update.source = source_;
        update.refused_peer = peer;
        return update;
    }

    static constexpr Seconds kInterval{60};
    static constexpr std::size_t kMost = 256;
    static constexpr unsigned kTimes = 4;
    std::string source_;
    std::map<std::string, Told> told_;
};

}  // namespace wglan
