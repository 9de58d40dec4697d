// SPDX-License-Identifier: Apache-2.0
#include "agent/reach/reach_rules.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "agent/reach/reach_codec.h"

namespace wglan {
namespace {

constexpr std::size_t kForgetAbove = 64;  // peers remembered before those with full buckets are dropped

}  // namespace

std::vector<Endpoint> knock_targets(const ReachAsker& asker) {
    std::vector<Endpoint> targets;
    const auto add = [&](const Endpoint& endpoint) {
        if (targets.size() >= kMostKnocks || endpoint.port == 0 || !endpoint.address.is_global_unicast() ||
            std::find(targets.begin(), targets.end(), endpoint) != targets.end())
            return;
        targets.push_back(endpoint);
    };
    if (asker.seen) add(*asker.seen);
    for (const Endpoint& endpoint : asker.announced)
        if (!endpoint.address.is_private()) add(endpoint);
    return targets;
}

std::vector<ReachQuestion> choose_asked(std::vector<ReachQuestion> all, const std::vector<Prefix>& networks,
                                        std::size_t most) {
    std::stable_partition(all.begin(), all.end(), [&](const ReachQuestion& question) {
        return std::none_of(networks.begin(), networks.end(), [&](const Prefix& network) {
            return network.contains(question.endpoint.address);
        });
    });
    std::vector<ReachQuestion> chosen, rest;
    std::set<IpAddress> addresses;
    for (ReachQuestion& question : all)
        (addresses.insert(question.endpoint.address).second ? chosen : rest).push_back(std::move(question));
    std::move(rest.begin(), rest.end(), std::back_inserter(chosen));
    if (chosen.size() > most) chosen.erase(chosen.begin() + static_cast<std::ptrdiff_t>(most), chosen.end());
    return chosen;
}

bool ReachLimits::take_one(Bucket& bucket, double burst, double per_second, SteadyTime now) {
    const double passed =
        std::chrono::duration<double>(std::max(now - bucket.at, SteadyTime::duration{})).count();
    bucket.tokens = std::min(burst, bucket.tokens + passed * per_second);
    bucket.at = std::max(now, bucket.at);
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
}

bool ReachLimits::take(const PublicKey& peer, SteadyTime now) {
    const double rate = 1.0 / std::chrono::duration<double>(kInterval).count();
    if (peers_.size() > kForgetAbove)
        std::erase_if(peers_, [&](const auto& item) {
            const double passed = std::chrono::duration<double>(now - item.second.at).count();
            return item.second.tokens + passed * rate >= kBurst;
        });
    auto& bucket = peers_.try_emplace(peer, Bucket{kBurst, now}).first->second;
    if (!all_) all_ = Bucket{kAllBurst, now};
    // In this order: who has used up its own share takes nothing of the others'.
    return take_one(bucket, kBurst, rate, now) && take_one(*all_, kAllBurst, kAllPerSecond, now);
}

}  // namespace wglan
