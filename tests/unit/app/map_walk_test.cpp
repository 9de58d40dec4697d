// SPDX-License-Identifier: Apache-2.0
#include "agent/app/map_walk.h"

#include <set>

#include <gtest/gtest.h>

namespace wglan {
namespace {

Observed with_routes(int count) {
    Observed observed;
    for (int i = 0; i < count; ++i) {
        SteerRoute route;
        route.prefix = Prefix::parse("10.0." + std::to_string(i) + ".0/24").value();
        observed.steer_routes.emplace(route.prefix, route);
    }
    return observed;
}

std::set<Prefix> prefixes(const SteerSample& sample) {
    std::set<Prefix> found;
    for (const SteerRoute& route : sample.routes) found.insert(route.prefix);
    return found;
}

TEST(MapWalk, ComesToEveryEntryAndBeginsAgain) {
    MapWalk walk;
    const Observed observed = with_routes(10);
    std::set<Prefix> seen;
    for (int i = 0; i < 4; ++i) {
        const SteerSample sample = walk.next(observed, 3);
        EXPECT_EQ(sample.routes.size(), 3U);
        for (const Prefix& prefix : prefixes(sample)) seen.insert(prefix);
    }
    EXPECT_EQ(seen.size(), 10U);
}

TEST(MapWalk, TakesSmallTablesWholeAndEachEntryOnce) {
    MapWalk walk;
    Observed observed = with_routes(3);
    SteerPeer peer;
    peer.id = 7;
    observed.steer_peers.emplace(peer.id, peer);
    observed.steer_endpoints.insert(SteerEndpoint{});
    for (int i = 0; i < 2; ++i) {
        const SteerSample sample = walk.next(observed, 100);
        EXPECT_EQ(sample.routes.size(), 3U);
        EXPECT_EQ(prefixes(sample).size(), 3U);
        EXPECT_EQ(sample.peers.size(), 1U);
        EXPECT_EQ(sample.endpoints.size(), 1U);
    }
}

TEST(MapWalk, DoesNotMindThatEntriesGo) {
    MapWalk walk;
    (void)walk.next(with_routes(10), 8);
    EXPECT_EQ(walk.next(with_routes(2), 8).routes.size(), 2U);
    EXPECT_TRUE(walk.next(Observed{}, 8).routes.empty());
}

}  // namespace
}  // namespace wglan
