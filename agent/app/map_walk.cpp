// SPDX-License-Identifier: Apache-2.0
#include "agent/app/map_walk.h"

#include <algorithm>

namespace wglan {
namespace {

// Calls take() with each of `count` elements from behind `last` on, and returns the last of them.
template <class Container, class Key, class KeyOf, class Take>
Key walk(const Container& container, Key last, std::size_t count, KeyOf key_of, Take take) {
    auto at = container.upper_bound(last);
    for (count = std::min(count, container.size()); count > 0; --count, ++at) {
        if (at == container.end()) at = container.begin();
        take(*at);
        last = key_of(*at);
    }
    return last;
}

}  // namespace

SteerSample MapWalk::next(const Observed& observed, std::size_t most) {
    SteerSample sample;
    sample.config = observed.steer_config;
    const auto first = [](const auto& entry) { return entry.first; };
    route_ = walk(observed.steer_routes, route_, most, first,
                  [&](const auto& entry) { sample.routes.push_back(entry.second); });
    peer_ = walk(observed.steer_peers, peer_, most, first,
                 [&](const auto& entry) { sample.peers.push_back(entry.second); });
    endpoint_ = walk(
        observed.steer_endpoints, endpoint_, most, [](const SteerEndpoint& entry) { return entry; },
        [&](const SteerEndpoint& entry) { sample.endpoints.push_back(entry); });
    return sample;
}

}  // namespace wglan
