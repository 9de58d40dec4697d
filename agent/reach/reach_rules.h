// SPDX-License-Identifier: Apache-2.0
// What an agent does for a peer that asks to be knocked at. Pure; time is an argument.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/ip.h"
#include "agent/base/keys.h"

namespace wglan {

// Who asks, as this node knows it; nothing of it comes from the request.
struct ReachAsker {
    PublicKey key;
    std::optional<Endpoint> seen;     // where WireGuard reaches it now
    std::vector<Endpoint> announced;  // by its signed record, addresses alone
};

// Where to knock: where the asker is seen, then what it announces, kMostKnocks in all. Of what it announces
// only what is public: it could name anybody's address, and a private one means another host here.
std::vector<Endpoint> knock_targets(const ReachAsker& asker);

// One peer that may be asked.
struct ReachQuestion {
    std::string peer;   // name
    IpAddress address;  // overlay
    Endpoint endpoint;  // where this node reaches it
};
// Whom to ask, at most so many: those beyond the networks of this node first, since only they know of a NAT
// before it; and as many different addresses as there are, since a NAT may tell them apart.
std::vector<ReachQuestion> choose_asked(std::vector<ReachQuestion> all, const std::vector<Prefix>& networks,
                                        std::size_t most);

// Token buckets: what one member makes this node send elsewhere stays a few packets a minute, and what all
// of them do stays small too.
class ReachLimits {
public:
    static constexpr double kBurst = 6, kAllBurst = 32, kAllPerSecond = 4;
    static constexpr Seconds kInterval{5};  // of one peer's tokens

    bool take(const PublicKey& peer, SteadyTime now);
    std::size_t remembered() const { return peers_.size(); }

private:
    struct Bucket {
        double tokens = 0;
        SteadyTime at{};
    };
    static bool take_one(Bucket& bucket, double burst, double per_second, SteadyTime now);

    std::map<PublicKey, Bucket> peers_;  // those whose bucket isn't full
    std::optional<Bucket> all_;
};

}  // namespace wglan
