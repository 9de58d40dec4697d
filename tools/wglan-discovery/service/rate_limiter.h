// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <list>
#include <optional>
#include <unordered_map>

#include "agent/base/clock.h"
#include "agent/base/ip.h"

namespace wglan::discovery_service {

// A token bucket for each client address (an IPv6 /64 is one client); remembers the latest `most`.
class RateLimiter {
public:
    // `rate` requests a second, `burst` at once; rate 0 = no limit.
    RateLimiter(double rate, double burst, std::size_t most = 65536)
        : rate_(rate), burst_(burst), most_(most) {}

    // Takes one token; otherwise how long until there is one, at least a second.
    std::optional<Seconds> take(const IpAddress& client, SteadyTime now);
    std::size_t clients() const { return buckets_.size(); }

private:
    struct Bucket {
        IpAddress client;
        double tokens = 0;
        SteadyTime filled;
    };
    double rate_, burst_;
    std::size_t most_;
    std::list<Bucket> recent_;  // latest first
    std::unordered_map<IpAddress, std::list<Bucket>::iterator> buckets_;
};

}  // namespace wglan::discovery_service
