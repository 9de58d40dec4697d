// SPDX-License-Identifier: Apache-2.0
// steering.pods: cniDown. Which pod prefixes are left to the CNI, and why the others aren't. Pure: time is
// told.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "agent/base/clock.h"
#include "agent/base/ip.h"
#include "agent/base/keys.h"

namespace wglan {

// Which families of a node's pods its own CNI doesn't reach; both false: all is well.
struct CniDown {
    bool v4 = false, v6 = false;
    bool any() const { return v4 || v6; }
    bool of(Family family) const { return family == Family::v4 ? v4 : v6; }
    auto operator<=>(const CniDown&) const = default;
};

// A peer's pod prefix.
struct CniPrefix {
    PublicKey peer;
    std::string peer_name;
    std::string way;       // of a route of the CNI that leads on; "" = none does
    bool wider = false;    // that route is not for the prefix itself
    std::string fault;     // why none does
    bool steered = false;  // by a predecessor, or until now
};

class CniWatch {
public:
    // Recovered routes are trusted after kLeastHold; after twice that, four times ... at most kMostHold,
    // where they failed again within kSteady of being trusted.
    static constexpr Milliseconds kLeastHold{3000}, kMostHold{60'000}, kSteady{60'000};
    // What a peer said holds so long.
    static constexpr Milliseconds kToldHolds{7000};

    struct State {
        bool left = false;  // to the CNI
        bool wider = false;
        std::string reason;  // the CNI's way, or why its prefix is steered
        friend bool operator==(const State&, const State&) = default;
    };

    // All that there are now. True if something is another than before.
    bool update(const std::map<Prefix, CniPrefix>& prefixes, SteadyTime now);
    // A peer says that its CNI doesn't reach this node.
    void told(const PublicKey& peer, CniDown down, SteadyTime now);
    // To be looked at again at this time, with or without news.
    std::optional<SteadyTime> next() const { return next_; }

    const std::map<Prefix, State>& states() const { return states_; }
    const State* find(const Prefix& prefix) const;
    std::size_t left() const;
    // Prefixes that were left to the CNI and had to be steered.
    std::uint64_t failovers() const { return failovers_; }
    // What each peer is to be told: by own signs alone, so that two nodes don't keep each other from going
    // back.
    const std::map<PublicKey, CniDown>& down() const { return down_; }

private:
    struct Trust {
        bool trusted = false;
        SteadyTime since{};  // trusted, or sound, since
        bool sound = false;
        Milliseconds hold = kLeastHold;
    };
    struct Told {
        CniDown down;
        SteadyTime until{};
    };
    State judge(const Prefix& prefix, const CniPrefix& now_there, SteadyTime now);
    bool trust(Trust& trust, bool sound, bool fresh, SteadyTime now);
    void due(SteadyTime when);

    std::map<Prefix, Trust> trust_;
    std::map<PublicKey, Told> told_;
    std::map<Prefix, State> states_;
    std::map<PublicKey, CniDown> down_;
    std::optional<SteadyTime> next_;
    std::uint64_t failovers_ = 0;
};

}  // namespace wglan
