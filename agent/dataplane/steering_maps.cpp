// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/steering_maps.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "agent/dataplane/codec.h"
#include "maps/convert.h"

namespace wglan {

namespace {

// The agent tends such lists several times in this time; if it is gone, they end with it.
constexpr Milliseconds kDataCloned{5000};

// Made before a change, so that it is known even if only a part of it succeeds.
class Announcement {
public:
    explicit Announcement(LiveSettings& live) : live_(live) {}
    Announcement(const Announcement&) = delete;
    Announcement& operator=(const Announcement&) = delete;
    ~Announcement() { live_.new_generation(); }

private:
    LiveSettings& live_;
};

bool is_up(PeerState state) { return state == PeerState::up || state == PeerState::degraded; }

}  // namespace

Result<DataplaneState> read_tables(const Tables& tables) {
    DataplaneState state;
    const auto routes = [&](const auto& table) -> Result<> {
        const auto entries = table.dump();
        if (!entries) return Failure(entries.error());
        for (const auto& [key, value] : *entries) {
            const Prefix prefix = to_prefix(key);
            state.routes.emplace(prefix, decode_route(prefix, value));
        }
        return {};
    };
    if (auto read = routes(tables.route4); !read) return Failure(read.error());
    if (auto read = routes(tables.route6); !read) return Failure(read.error());

    const auto peers = tables.peers.dump();
    if (!peers) return Failure(peers.error());
    // One without counters is written anew, with them.
    for (const auto& [id, peer] : *peers)
        if (tables.peer_stats.get(id)) state.peers.emplace(id, decode_peer(id, peer));

    const auto endpoints = tables.endpoints.dump();
    if (!endpoints) return Failure(endpoints.error());
    for (const auto& [key, value] : *endpoints)
        if (SteerEndpoint endpoint; decode_endpoint(key, endpoint)) state.endpoints.push_back(endpoint);
    std::sort(state.endpoints.begin(), state.endpoints.end());

    const auto config = tables.config.get(0);
    if (!config) return Failure(config.error());
    if (config->layout_version == WGLAN_LAYOUT_VERSION) state.config = decode_config(*config);
    return state;
}

SteeringMaps::SteeringMaps(const SteerObject& object, LiveSettings live, MapMemory up, std::size_t exact_from)
    : tables_(&object.tables()),
      live_(std::move(live)),
      up_(std::move(up)),
      ipv4_{&tables_->route4, {object.map_fd("wglan_strides"), exact_from}},
      ipv6_{&tables_->route6,
            {object.map_fd("wglan_exact6"), object.map_fd("wglan_lengths"), tables_->route6.raw().fd(),
             exact_from}} {}

Result<SteeringMaps> SteeringMaps::open(const SteerObject& object, std::size_t exact_from) {
    auto live = LiveSettings::open(object.map_fd("wglan_config"));
    if (!live) return Failure(live.error());
    auto up = MapMemory::open(object.map_fd("wglan_up"), "wglan_up");
    if (!up) return Failure(up.error());
    SteeringMaps maps(object, std::move(*live), std::move(*up), exact_from);
    const auto peers = maps.tables_->peers.dump();
    if (!peers) return Failure(peers.error());
    for (const auto& [id, peer] : *peers)
        if (id <= kMaxPeers) maps.set_up(id, is_up(decode_peer(id, peer).state));
    const auto entries = maps.tables_->endpoints.dump();
    if (!entries) return Failure(entries.error());
    for (const auto& [key, value] : *entries)
        if (SteerEndpoint endpoint; decode_endpoint(key, endpoint)) maps.endpoints_.insert(endpoint);
    // Versions before let later fragments to WireGuard's endpoints pass.
    const auto fragments = maps.fragments_let_pass();
    for (const auto& [key, value] : *entries)
        if (key.kind == WGLAN_ENDPOINT_FRAGMENT &&
            !fragments.contains({to_address(key.address), key.protocol}))
            if (auto removed = maps.tables_->endpoints.remove(key); !removed) return Failure(removed.error());
    const auto clones = maps.tables_->clones.dump();
    if (!clones) return Failure(clones.error());
    for (const auto& [used, places] : *clones)
        if (auto removed = maps.tables_->clones.remove(used); !removed) return Failure(removed.error());
    maps.announce_reach_ports();
    // A predecessor may have ended between a change of the maps and what makes it known.
    maps.live_.new_generation();
    return maps;
}

Result<DataplaneState> SteeringMaps::read() {
    auto state = read_tables(*tables_);
    if (!state) return state;
    endpoints_ = {state->endpoints.begin(), state->endpoints.end()};
    ipv4_.most = ipv6_.most = 0;
    for (const auto& [prefix, route] : state->routes)
        ++(prefix.family() == Family::v4 ? ipv4_.most : ipv6_.most);
    return state;
}

Result<bool> SteeringMaps::holds(const SteerSample& entries) const {
    const auto is = [](const auto& got, const auto& same) -> Result<bool> {
        if (got) return same(*got);
        if (got.error().kind() == ErrorKind::not_found) return false;
        return Failure(got.error());
    };
    for (const SteerRoute& route : entries.routes) {
        const auto same = [&](const wglan_route& value) {
            return decode_route(route.prefix, value) == route;
        };
        const auto held = route.prefix.family() == Family::v4
                              ? is(tables_->route4.get(to_key4(route.prefix)), same)
                              : is(tables_->route6.get(to_key6(route.prefix)), same);
        if (!held || !*held) return held;
    }
    for (const SteerPeer& peer : entries.peers) {
        const auto held = is(tables_->peers.get(peer.id),
                             [&](const wglan_peer& value) { return decode_peer(peer.id, value) == peer; });
        if (!held || !*held) return held;
        const auto counted = is(tables_->peer_stats.get(peer.id), [](const auto&) { return true; });
        if (!counted || !*counted) return counted;
    }
    if (entries.config) {
        const auto config = tables_->config.get(0);
        if (!config) return Failure(config.error());
        if (config->layout_version != WGLAN_LAYOUT_VERSION || !(decode_config(*config) == *entries.config))
            return false;
    }
    for (const SteerEndpoint& endpoint : entries.endpoints) {
        const auto [whole, fragment] = encode_endpoint(endpoint);
        const auto there = [](const wglan_endpoint&) { return true; };
        const auto held = is(tables_->endpoints.get(whole), there);
        if (!held || !*held) return held;
        if (!fragment) continue;
        const auto fragments = is(tables_->endpoints.get(*fragment), there);
        if (!fragments || !*fragments) return fragments;
    }
    return true;
}

Result<RouteHits> SteeringMaps::hits() const {
    RouteHits hits;
    const auto count = [&](const auto& tables) -> Result<> {
        const auto entries = tables.trie->dump();
        if (!entries) return Failure(entries.error());
        for (const auto& [key, value] : *entries) hits[to_prefix(key)] += value.hits;
        tables.beside.add_hits(hits);
        return {};
    };
    if (auto counted = count(ipv4_); !counted) return Failure(counted.error());
    if (auto counted = count(ipv6_); !counted) return Failure(counted.error());
    const auto slots = tables_->cache.dump_values();
    if (!slots) return Failure(slots.error());
    add_slots(hits, *slots);
    settle(hits);
    return hits;
}

Result<> SteeringMaps::set_config(const SteerConfig& config) {
    live_.heartbeat();
    wglan_config encoded{};
    encode_config(config, encoded);
    encoded.layout_version = WGLAN_LAYOUT_VERSION;
    live_.keep_in(encoded);
    return tables_->config.put(0, encoded);
}

// The tables beside the tries are made here: nobody waits for a heartbeat.
Result<> SteeringMaps::heartbeat() {
    live_.heartbeat();
    if (ipv4_.beside.wants_all(ipv4_.most)) count_all(ipv4_);
    if (ipv6_.beside.wants_all(ipv6_.most)) count_all(ipv6_);
    return {};
}

// A whole dump.
template <class Key, class Beside>
void SteeringMaps::count_all(RouteTables<Key, Beside>& tables) {
    const auto entries = tables.trie->dump();
    if (!entries) return;
    std::vector<Key> keys;
    std::vector<wglan_route> values;
    for (const auto& [key, value] : *entries) {
        keys.push_back(key);
        values.push_back(value);
        values.back().hits = 0;  // those stay where they are
    }
    tables.most = keys.size();
    tables.beside.fill(keys, values);
}

template <class Routes, class Key>
Result<> SteeringMaps::put(Routes& tables, const std::vector<Key>& keys,
                           const std::vector<wglan_route>& values) {
    if (keys.empty()) return {};
    if (auto put = tables.trie->put_all(keys, values); !put) {
        tables.beside.doubt();  // part of them may be in
        return put;
    }
    tables.beside.put(keys, values);
    tables.most += keys.size();
    return {};
}

Result<> SteeringMaps::put_routes(const std::vector<SteerRoute>& routes) {
    std::vector<wglan_key4> keys4;
    std::vector<wglan_key6> keys6;
    std::vector<wglan_route> values4, values6;
    for (const SteerRoute& route : routes) {
        if (route.action == SteerAction::steer && route.peer == 0)
            return fail(ErrorKind::invalid, "steer " + route.prefix.to_string() + " to no peer");
        if (route.prefix.family() == Family::v4) {
            keys4.push_back(to_key4(route.prefix));
            values4.push_back(encode_route(route));
        } else {
            keys6.push_back(to_key6(route.prefix));
            values6.push_back(encode_route(route));
        }
    }
    const Announcement announcement(live_);
    auto done = put(ipv4_, keys4, values4);
    return done ? put(ipv6_, keys6, values6) : done;
}

template <class Routes, class Key>
Result<> SteeringMaps::remove(Routes& tables, const Key& key) {
    if (auto removed = tables.trie->remove(key); !removed) return removed;
    tables.beside.remove(key);
    return {};
}

Result<> SteeringMaps::remove_routes(const std::vector<Prefix>& prefixes) {
    const Announcement announcement(live_);
    for (const Prefix& prefix : prefixes) {
        auto removed =
            prefix.family() == Family::v4 ? remove(ipv4_, to_key4(prefix)) : remove(ipv6_, to_key6(prefix));
        if (!removed) return removed;
    }
    return {};
}

Result<> SteeringMaps::put_peers(const std::vector<SteerPeer>& peers) {
    const Announcement announcement(live_);
    for (const SteerPeer& peer : peers) {
        if (peer.id == 0 || peer.id > kMaxPeers)
            return fail(ErrorKind::invalid, "peer id " + std::to_string(peer.id) + " is out of range");
        if (auto made = tables_->peer_stats.ensure(peer.id); !made) return made;
        if (auto put = tables_->peers.put(peer.id, encode_peer(peer)); !put) return put;
        set_up(peer.id, is_up(peer.state));
    }
    return {};
}

// The programs hear of it with the new generation, as of all else.
void SteeringMaps::set_up(PeerId id, bool up) {
    std::atomic_ref word(up_.values<std::uint64_t>()[id / 64]);
    const std::uint64_t bit = std::uint64_t{1} << (id % 64);
    if (up)
        word.fetch_or(bit);
    else
        word.fetch_and(~bit);
}

Result<> SteeringMaps::remove_peers(const std::vector<PeerId>& ids) {
    const Announcement announcement(live_);
    for (const PeerId id : ids) {
        if (id <= kMaxPeers) set_up(id, false);
        if (auto removed = tables_->peers.remove(id); !removed) return removed;
        if (auto removed = tables_->peer_stats.remove(id); !removed) return removed;
    }
    return {};
}

void SteeringMaps::announce_reach_ports() {
    LiveSettings::Ports bits{};
    for (const SteerEndpoint& endpoint : endpoints_)
        if (endpoint.kind == SteerEndpoint::Kind::reach)
            bits[endpoint.endpoint.port >> 6U & 3U] |= std::uint64_t{1} << (endpoint.endpoint.port & 63U);
    live_.set_reach_ports(bits);
}

std::set<std::pair<IpAddress, std::uint8_t>> SteeringMaps::fragments_let_pass() const {
    std::set<std::pair<IpAddress, std::uint8_t>> found;
    for (const SteerEndpoint& endpoint : endpoints_)
        if (encode_endpoint(endpoint).fragment) found.emplace(endpoint.endpoint.address, endpoint.protocol);
    return found;
}

Result<> SteeringMaps::put_endpoints(const std::vector<SteerEndpoint>& endpoints) {
    std::vector<wglan_endpoint_key> keys;
    for (const SteerEndpoint& endpoint : endpoints) {
        const auto [whole, fragment] = encode_endpoint(endpoint);
        keys.push_back(whole);
        if (fragment) keys.push_back(*fragment);
    }
    const std::vector<wglan_endpoint> values(keys.size());
    if (auto put = tables_->endpoints.put_all(keys, values); !put) return put;
    endpoints_.insert(endpoints.begin(), endpoints.end());
    announce_reach_ports();
    return {};
}

Result<> SteeringMaps::remove_endpoints(const std::vector<SteerEndpoint>& endpoints) {
    for (const SteerEndpoint& endpoint : endpoints) endpoints_.erase(endpoint);
    announce_reach_ports();
    const auto fragments = fragments_let_pass();
    for (const SteerEndpoint& endpoint : endpoints) {
        const auto [whole, fragment] = encode_endpoint(endpoint);
        if (auto removed = tables_->endpoints.remove(whole); !removed) return removed;
        if (!fragment || fragments.contains({endpoint.endpoint.address, endpoint.protocol})) continue;
        if (auto removed = tables_->endpoints.remove(*fragment); !removed) return removed;
    }
    return {};
}

Result<> SteeringMaps::put_clones(const CloneList& list) {
    if (list.what != CloneList::What::initiations) live_.clone_data(kDataCloned);
    return tables_->clones.put(encode_place(list.used), encode_clones(list));
}

Result<> SteeringMaps::remove_clones(const Endpoint& used) {
    return tables_->clones.remove(encode_place(used));
}

}  // namespace wglan
