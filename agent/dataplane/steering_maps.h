// SPDX-License-Identifier: Apache-2.0
// Reads and writes what the programs decide by: routes, peers, endpoints, settings.
#pragma once

#include <set>
#include <vector>

#include "agent/dataplane/dataplane.h"
#include "agent/dataplane/exact.h"
#include "agent/dataplane/live_settings.h"
#include "agent/dataplane/map_memory.h"
#include "agent/dataplane/object.h"
#include "agent/dataplane/route_hits.h"
#include "agent/dataplane/strides.h"

namespace wglan {

// A dump. What the maps hold that can't be read is left out or read as the safer thing (codec.h).
Result<DataplaneState> read_tables(const Tables& tables);

// The one writer. Each change is known to the programs when its call returns, failed ones as far as they
// came.
class SteeringMaps {
public:
    // `object` outlives it. `exact_from`: see BesideTrie.
    static Result<SteeringMaps> open(const SteerObject& object, std::size_t exact_from);

    Result<DataplaneState> read();
    Result<bool> holds(const SteerSample& entries) const;
    Result<RouteHits> hits() const;
    Result<> set_config(const SteerConfig& config);
    Result<> heartbeat();
    void report_events(Seconds time) { live_.report_events(time); }

    Result<> put_routes(const std::vector<SteerRoute>& routes);
    Result<> remove_routes(const std::vector<Prefix>& prefixes);
    Result<> put_peers(const std::vector<SteerPeer>& peers);
    Result<> remove_peers(const std::vector<PeerId>& ids);
    Result<> put_endpoints(const std::vector<SteerEndpoint>& endpoints);
    Result<> remove_endpoints(const std::vector<SteerEndpoint>& endpoints);
    Result<> put_clones(const CloneList& list);
    Result<> remove_clones(const Endpoint& used);

private:
    // The routes of one family, in the trie and beside it.
    template <class Key, class Beside>
    struct RouteTables {
        const Table<Key, wglan_route>* trie;
        Beside beside;
        std::size_t most = 0;  // that there may be: an overwritten one counts twice until all are counted
    };

    SteeringMaps(const SteerObject& object, LiveSettings live, MapMemory up, std::size_t exact_from);
    template <class Routes, class Key>
    Result<> put(Routes& tables, const std::vector<Key>& keys, const std::vector<wglan_route>& values);
    template <class Routes, class Key>
    static Result<> remove(Routes& tables, const Key& key);
    template <class Key, class Beside>
    static void count_all(RouteTables<Key, Beside>& tables);

    void set_up(PeerId id, bool up);
    void announce_reach_ports();
    // Address and protocol of each endpoint that has a fragment entry.
    std::set<std::pair<IpAddress, std::uint8_t>> fragments_let_pass() const;

    const Tables* tables_;
    LiveSettings live_;
    MapMemory up_;  // wglan_up: a bit for each peer
    RouteTables<wglan_key4, StrideTable> ipv4_;
    RouteTables<wglan_key6, ExactTable> ipv6_;
    std::set<SteerEndpoint> endpoints_;  // mirrors wglan_endpts: when does a fragment entry go?
};

}  // namespace wglan
