// SPDX-License-Identifier: Apache-2.0
// What this host looks like now, and what follows from a change of it.
#include <algorithm>

#include <spdlog/spdlog.h>

#include "agent/app/agent.h"

namespace wglan {

bool Agent::refresh_facts() {
    auto facts = read_facts(
        *netlink_, config_,
        {route_health_.devices(), [this](const GuestNetwork& network) { return is_somebody_in(network); }});
    if (!facts) {
        note_errors({"look at this host's addresses: " + facts.error().message()});
        return false;
    }
    facts_dirty_ = false;
    if (*facts == facts_) {
        guest_networks_used_ = guest_networks_in_use();
        return true;
    }
    const bool moved = facts->node_addresses != facts_.node_addresses || facts->gateways != facts_.gateways ||
                       facts->uplinks != facts_.uplinks || facts->carriers != facts_.carriers;
    facts_ = std::move(*facts);
    guest_networks_used_ = guest_networks_in_use();
    merge_dirty_ = true;
    if (!moved) return true;
    if (first_reconcile_done_) spdlog::info("this host's addresses or gateways changed");
    if (clones_) clones_->network_changed();
    if (first_reconcile_done_) {
        look_for_peers_anew();
        if (sources_) sources_->network_changed();
    }
    return true;
}

// By other ways than before.
void Agent::look_for_peers_anew() {
    if (auto forgotten = wireguard_->forget_sources(secrets_, {}); !forgotten)
        spdlog::debug("forget sources: {}", forgotten.error().message());
    manager_.restart_searches(system_clock().now(), [this](const IpAddress& address) {
        const auto route = netlink_->route_to(address, config_.interface.firewall_mark);
        return route && route->type == RouteType::unicast;
    });
    if (!tick_peers()) return;
    merge_dirty_ = true;
    mark_dirty();
}

// What is hooked stays so, whoever is reached there now: what goes to a peer that is down must not leave in
// clear.
bool Agent::is_somebody_in(const GuestNetwork& network) const {
    const bool hooked = is_hooked(network.ifindex, Attachment::Hook::tc_egress);
    const auto first = std::ranges::lower_bound(reached_, network.prefix.address());
    return hooked || (first != reached_.end() && network.prefix.contains(*first));
}

std::vector<GuestNetwork> Agent::guest_networks_in_use() const {
    std::vector<GuestNetwork> used = facts_.guest_networks;
    std::erase_if(used, [this](const GuestNetwork& network) { return !is_somebody_in(network); });
    return used;
}

// Where peers, and what this node depends on, are reached. By others than before another bridge may be an
// uplink.
void Agent::look_at_guests() {
    if (facts_.guest_networks.empty()) return;
    reached_ = depended_on_;
    for (const ApiServer& server : api_in_force_) reached_.push_back(server.endpoint.address);
    for (const Peer& peer : merged_.peers)
        if (manager_.alive(peer.public_key))
            if (const auto endpoint = manager_.endpoint_in_use(peer.public_key))
                reached_.push_back(endpoint->address);
    std::erase_if(reached_, [this](const IpAddress& address) {
        return std::ranges::binary_search(facts_.all_addresses, address);
    });
    std::ranges::sort(reached_);
    if (guest_networks_in_use() == guest_networks_used_) return;
    facts_dirty_ = true;
    host_looks_.ask();
}

}  // namespace wglan
