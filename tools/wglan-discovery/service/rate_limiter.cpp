// SPDX-License-Identifier: Apache-2.0
#include "tools/wglan-discovery/service/rate_limiter.h"

#include <algorithm>
#include <cmath>

namespace wglan::discovery_service {
namespace {

IpAddress group_of(const IpAddress& client) {
    if (client.is_v4()) return client;
    auto prefix = Prefix::make(client, 64);
    return prefix ? prefix->address() : client;
}

}  // namespace

std::optional<Seconds> RateLimiter::take(const IpAddress& client, SteadyTime now) {
    if (rate_ <= 0) return std::nullopt;
    const IpAddress group = group_of(client);
    auto found = buckets_.find(group);
    if (found == buckets_.end()) {
        if (buckets_.size() >= most_) {
            buckets_.erase(recent_.back().client);
            recent_.pop_back();
        }
        recent_.push_front({group, burst_, now});
        found = buckets_.emplace(group, recent_.begin()).first;
    } else {
        recent_.splice(recent_.begin(), recent_, found->second);
    }
    Bucket& bucket = *found->second;
    const std::chrono::duration<double> idle = now - bucket.filled;
    bucket.tokens = std::min(burst_, bucket.tokens + idle.count() * rate_);
    bucket.filled = now;
    if (bucket.tokens >= 1) {
        bucket.tokens -= 1;
        return std::nullopt;
    }
    return Seconds(std::max(1L, std::lround(std::ceil((1 - bucket.tokens) / rate_))));
}

}  // namespace wglan::discovery_service
