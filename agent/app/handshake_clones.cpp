// SPDX-License-Identifier: Apache-2.0
#include "agent/app/handshake_clones.h"

#include <algorithm>
#include <set>

namespace wglan {

namespace {

constexpr std::size_t kMostWays = 65536;  // then all are asked for anew: some are of places long forgotten

}  // namespace

HandshakeClones::Way HandshakeClones::way_to(const IpAddress& address) {
    if (const auto known = ways_.find(address); known != ways_.end()) return known->second;
    if (ways_.size() >= kMostWays) ways_.clear();
    Way way;
    if (const auto route = table_.route_to(address); route && route->type == RouteType::unicast)
        way = {true, route->ifindex, route->gateway, route->preferred_source};
    return ways_.emplace(address, way).first->second;
}

std::optional<CloneList> HandshakeClones::list_for(const Endpoint& used,
                                                   const std::vector<Endpoint>& targets) {
    CloneList list{used, {}};
    std::optional<Way> from;
    for (const Endpoint& target : targets) {
        if (target == used || target.address.is_v4() != used.address.is_v4()) continue;
        if (!from) from = way_to(used.address);
        const Way to = way_to(target.address);
        // On a link every place is its own next hop.
        const bool same_way = from->known && from->next_hop && to == *from;
        if (!to.known || list.others.size() >= CloneList::kMost) continue;
        // Receivers whose filter of reverse paths is strict drop what comes from another device's address.
        const bool other_device = from->known && to.ifindex != from->ifindex;
        list.others.push_back({target, same_way, other_device ? to.source : std::nullopt});
    }
    if (list.others.empty()) return std::nullopt;
    return list;
}

void HandshakeClones::set(const PublicKey& key, const std::optional<CloneList>& wanted) {
    const auto there = lists_.find(key);
    if (there == lists_.end() && !wanted) return;
    if (there != lists_.end() && wanted && there->second == *wanted) return;
    if (there != lists_.end() && (!wanted || wanted->used != there->second.used))
        table_.remove(there->second.used);
    if (wanted) {
        table_.put(*wanted);
        lists_.insert_or_assign(key, *wanted);
    } else {
        lists_.erase(there);
    }
}

// Where the first host on the way is a router, which may be a NAT.
void HandshakeClones::open_way(const Endpoint& to) {
    if (to.address.is_v4() && way_to(to.address).next_hop) opener_.open_way(to);
}

void HandshakeClones::note_begin(const PublicKey& key, std::uint64_t search,
                                 const std::optional<CloneList>& list, const Endpoint& used,
                                 const std::vector<Endpoint>& targets) {
    const auto [noted, first] = begun_.try_emplace(key, search);
    if (!first && std::exchange(noted->second, search) == search) return;
    open_way(used);
    for (const Endpoint& target : targets)
        if (target != used) open_way(target);
    Incomplete one{key, {}, false, false};
    const auto note_neighbour = [&](const IpAddress& address) {
        if (const Way way = way_to(address); way.known && !way.next_hop)
            one.neighbours.emplace_back(way.ifindex, address);
    };
    if (list) {
        note_neighbour(used.address);
        for (const auto& other : list->others) note_neighbour(other.endpoint.address);
    }
    one.own_family = !one.neighbours.empty();
    for (const Endpoint& target : targets) {
        if (target.address.is_v4() == used.address.is_v4()) continue;
        one.other_family = true;
        note_neighbour(target.address);
    }
    if (!one.neighbours.empty() || one.other_family) incomplete_.push_back(std::move(one));
}

std::optional<Endpoint> HandshakeClones::carrier(const PeerManager& manager, const PublicKey& key,
                                                 bool other_family, const Leads& leads) {
    const auto used = manager.wanted_endpoint(key);
    if (!used) return std::nullopt;
    std::vector<Endpoint> candidates = manager.clone_targets(key);
    candidates.insert(candidates.begin(), *used);
    for (const Endpoint& candidate : candidates) {
        if ((candidate.address.is_v4() != used->address.is_v4()) != other_family) continue;
        const Way way = way_to(candidate.address);
        if (way.known &&
            leads(way.ifindex, way.next_hop.value_or(candidate.address), way.next_hop.has_value()))
            return candidate;
    }
    return std::nullopt;
}

// Neighbours that aren't known yet are asked for; later copies reach them.
void HandshakeClones::update_alive(const PeerManager& manager, const PublicKey& key) {
    begun_.erase(key);
    std::optional<CloneList> list;
    const auto copies = manager.copies(key);
    if (copies) list = list_for(copies->used, copies->others);
    if (list) list->what = copies->data ? CloneList::What::data : CloneList::What::probes;
    const auto there = lists_.find(key);
    const bool news = list && (there == lists_.end() || there->second != *list);
    set(key, list);
    if (!news) return;
    Incomplete one{key, {}, false, false};
    for (const auto& other : list->others)
        if (const Way way = way_to(other.endpoint.address); way.known && !way.next_hop)
            one.neighbours.emplace_back(way.ifindex, other.endpoint.address);
    if (!one.neighbours.empty()) incomplete_.push_back(std::move(one));
}

void HandshakeClones::update(const PeerManager& manager, const PublicKey& key) {
    if (manager.alive(key)) {
        update_alive(manager, key);
        return;
    }
    std::optional<Endpoint> used = manager.wanted_endpoint(key);
    if (!used) used = manager.endpoint_in_use(key);
    if (!used) {
        begun_.erase(key);
        set(key, std::nullopt);
        return;
    }
    const auto targets = manager.clone_targets(key);
    const auto list = list_for(*used, targets);
    set(key, list);
    note_begin(key, manager.search_number(key), list, *used, targets);
}

void HandshakeClones::update_all(const PeerManager& manager) {
    const auto keys = manager.keys();
    std::set<PublicKey> gone;
    for (const auto& [key, search] : begun_) gone.insert(key);
    for (const auto& [key, list] : lists_) gone.insert(key);
    for (const PublicKey& key : keys) gone.erase(key);
    for (const PublicKey& key : gone) update(manager, key);
    for (const PublicKey& key : keys) update(manager, key);
}

}  // namespace wglan
