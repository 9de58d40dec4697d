// SPDX-License-Identifier: Apache-2.0
#include "agent/reconcile/part.h"

#include <algorithm>

namespace wglan {
namespace {

template <class K, class V, class Wanted>
void take(const std::map<K, V>& from, const std::map<K, Wanted>& keys, std::map<K, V>& to) {
    for (const auto& [key, ignored] : keys)
        if (const auto it = from.find(key); it != from.end()) to.insert(*it);
}

template <class T>
void take(const std::set<T>& from, const std::set<T>& keys, std::set<T>& to) {
    for (const T& key : keys)
        if (from.contains(key)) to.insert(key);
}

template <class K, class V>
void replace(std::map<K, V>& in, const std::map<K, V>& before, const std::map<K, V>& after,
             std::map<K, V>& part) {
    for (const auto& [key, ignored] : before) in.erase(key);
    for (const auto& [key, ignored] : after) in.erase(key);
    in.merge(part);
}

template <class K, class V>
void drop_common(std::map<K, V>& first, std::map<K, V>& second) {
    std::erase_if(first, [&](const auto& item) {
        const auto it = second.find(item.first);
        if (it == second.end() || !(it->second == item.second)) return false;
        second.erase(it);
        return true;
    });
}

}  // namespace

void keep_differences(Desired& before, Desired& after) {
    drop_common(before.peers, after.peers);
    drop_common(before.routes, after.routes);
    drop_common(before.steer_routes, after.steer_routes);
    drop_common(before.steer_peers, after.steer_peers);
    std::erase_if(before.steer_endpoints,
                  [&](const SteerEndpoint& endpoint) { return after.steer_endpoints.erase(endpoint) > 0; });
}

Observed part_of(const Observed& observed, const Desired& before, const Desired& after) {
    Observed part;
    part.interface = observed.interface;
    part.steer_config = observed.steer_config;
    part.attachments = observed.attachments;
    part.pods = observed.pods;
    for (const Desired* desired : {&before, &after}) {
        take(observed.routes, desired->routes, part.routes);
        take(observed.steer_routes, desired->steer_routes, part.steer_routes);
        take(observed.steer_peers, desired->steer_peers, part.steer_peers);
        take(observed.steer_endpoints, desired->steer_endpoints, part.steer_endpoints);
    }
    if (!observed.wireguard) return part;
    const WgDevice& device = *observed.wireguard;
    part.wireguard = WgDevice{device.public_key, device.listen_port, device.firewall_mark, {}};
    for (const WgObservedPeer& peer : device.peers)
        if (before.peers.contains(peer.peer.key) || after.peers.contains(peer.peer.key))
            part.wireguard->peers.push_back(peer);
    return part;
}

void put_back(Observed& observed, const Desired& before, const Desired& after, Observed part) {
    observed.interface = std::move(part.interface);
    observed.steer_config = part.steer_config;
    observed.attachments = std::move(part.attachments);
    observed.pods = std::move(part.pods);
    replace(observed.routes, before.routes, after.routes, part.routes);
    replace(observed.steer_routes, before.steer_routes, after.steer_routes, part.steer_routes);
    replace(observed.steer_peers, before.steer_peers, after.steer_peers, part.steer_peers);
    for (const Desired* desired : {&before, &after})
        for (const SteerEndpoint& endpoint : desired->steer_endpoints)
            observed.steer_endpoints.erase(endpoint);
    observed.steer_endpoints.merge(part.steer_endpoints);
    if (!observed.wireguard || !part.wireguard) return;
    // The order of a dump is the kernel's own.
    std::vector<WgObservedPeer>& peers = observed.wireguard->peers;
    std::map<PublicKey, WgObservedPeer*> now;
    for (WgObservedPeer& peer : part.wireguard->peers) now.emplace(peer.peer.key, &peer);
    std::erase_if(peers, [&](WgObservedPeer& peer) {
        if (!before.peers.contains(peer.peer.key) && !after.peers.contains(peer.peer.key)) return false;
        const auto found = now.extract(peer.peer.key);
        if (found) peer = std::move(*found.mapped());
        return found.empty();
    });
    for (const auto& [key, peer] : now) peers.push_back(std::move(*peer));
}

}  // namespace wglan
