// SPDX-License-Identifier: Apache-2.0
// What a cluster's nodes and people need besides peers: its API servers reached in any case, and news where
// they look for them.
#include <algorithm>

#include <spdlog/spdlog.h>

#include "agent/app/agent.h"

namespace wglan {
namespace {

constexpr std::size_t kMostApiServers = 128;
// WireGuard ends a session that is older (REJECT_AFTER_TIME).
constexpr UnixTime kFreshHandshake = 180;
// A node that just started, and one whose peers are being looked for, isn't called broken yet.
constexpr Seconds kBeforeUnready{30};

}  // namespace

void Agent::begin_with_cached_api_servers() {
    const auto all = sources_->statuses();
    const bool cluster = std::any_of(all.begin(), all.end(), [](const SourceStatus& source) {
        return source.name == to_string(SourceKind::kubernetes);
    });
    api_hosts_.clear();
    api_hosts_complete_ = false;
    if (!cluster) {
        api_cached_.clear();
        api_addresses_.clear();
    } else {
        // On a reload what is in force is newer than what the file says.
        ClusterMemory cached = sources_->cached_cluster();
        api_cached_ = api_addresses_.empty() ? std::move(cached.api_servers) : api_addresses_;
        api_addresses_ = api_cached_;
        // Without its pods this node would tell other sources that it has none.
        if (!assigned_pods_ && cached.own_pods) take_assigned_pods(std::move(*cached.own_pods));
    }
    told_condition_.reset();  // nobody has told the new source
}

void Agent::take_assigned_pods(std::vector<Prefix> pods) {
    assigned_pods_ = std::move(pods);
    if (!pods_are_assigned_ || config_.node.pod_prefixes == assigned_pods_) return;
    std::string all;
    for (const Prefix& prefix : *assigned_pods_) all += " " + prefix.to_string();
    spdlog::info("pod prefixes of this node, by its cluster:{}", all.empty() ? " none" : all);
    config_.node.pod_prefixes = assigned_pods_;
    facts_dirty_ = true;
}

void Agent::take_api_servers(std::vector<HostPort> told, bool complete) {
    api_hosts_ = std::move(told);
    api_hosts_complete_ = complete;
}

// While the cluster hasn't told all, or a name has no address yet, what was known before counts too: an agent
// that starts while the API is away must not be what keeps it away.
void Agent::find_api_servers() {
    std::vector<Endpoint> found;
    bool whole = api_hosts_complete_;
    for (const HostPort& host : api_hosts_) {
        const auto there = names_.endpoints(host);
        whole = whole && !there.empty();
        for (const Endpoint& endpoint : there)
            if (!endpoint.address.is_loopback()) found.push_back(endpoint);
    }
    if (!whole) found.insert(found.end(), api_cached_.begin(), api_cached_.end());
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    if (found.size() > kMostApiServers) found.resize(kMostApiServers);
    if (found == api_addresses_) return;
    std::string text;
    for (const Endpoint& endpoint : found) text += " " + endpoint.to_string();
    spdlog::info("API servers, reached past the tunnel while it is down:{}", text.empty() ? " none" : text);
    api_addresses_ = std::move(found);
    find_api_server_owners();
}

// The longest prefix that holds the address decides, as in the programs.
void Agent::find_api_server_owners() {
    api_owners_.clear();
    for (const Endpoint& endpoint : api_addresses_) {
        unsigned longest = 0;
        for (const Peer& peer : merged_.peers)
            for (const OwnedPrefix& owned : peer.prefixes) {
                if (!owned.prefix.contains(endpoint.address) || owned.prefix.length() + 1U <= longest)
                    continue;
                longest = owned.prefix.length() + 1U;
                api_owners_[endpoint.address] = peer.public_key;
            }
    }
}

std::vector<ApiServer> Agent::api_servers() const {
    std::vector<ApiServer> servers;
    const UnixTime now = system_clock().unix_now();
    for (const Endpoint& endpoint : api_addresses_) {
        ApiServer server{endpoint};
        if (const auto owner = api_owners_.find(endpoint.address); owner != api_owners_.end()) {
            const auto status = manager_.status(owner->second);
            server.by_tunnel = status && manager_.steering_state(owner->second) == PeerState::up &&
                               status->last_handshake != 0 && now - status->last_handshake <= kFreshHandshake;
        }
        servers.push_back(server);
    }
    return servers;
}

bool Agent::holds_api_server(const Peer& peer) const {
    return std::any_of(peer.prefixes.begin(), peer.prefixes.end(), [&](const OwnedPrefix& owned) {
        return std::any_of(api_addresses_.begin(), api_addresses_.end(),
                           [&](const Endpoint& endpoint) { return owned.prefix.contains(endpoint.address); });
    });
}

// A handshake grows old without any other news.
void Agent::look_at_api_servers() {
    if (first_reconcile_done_ && api_servers() != api_in_force_) mark_dirty();
}

void Agent::tell_condition() {
    if (!sources_) return;
    const auto alive = std::count_if(merged_.peers.begin(), merged_.peers.end(),
                                     [this](const Peer& peer) { return manager_.alive(peer.public_key); });
    const auto own = ready();
    auto condition =
        condition_of(own.ready ? "" : own.reason, merged_.peers.size(), static_cast<std::size_t>(alive));
    if (condition == told_condition_) {
        unready_since_.reset();
        return;
    }
    // All but the best is waited for: peers come within seconds, or come back.
    if (condition.reason != kMeshReady) {
        const SteadyTime now = system_clock().now();
        if (!unready_since_) unready_since_ = now;
        if (now - *unready_since_ < kBeforeUnready) return;
    }
    unready_since_.reset();
    if (told_condition_ && told_condition_->ready != condition.ready)
        sources_->tell_event({!condition.ready, condition.reason, condition.message});
    sources_->tell_condition(condition);
    told_condition_ = std::move(condition);
}

void Agent::tell_peer_changes(const std::vector<PeerChange>& changes) {
    if (!sources_ || changes.empty()) return;
    for (const NodeEvent& event : events_of(changes, config_.node.name, merged_.peers.size() + 1))
        sources_->tell_event(event);
}

void Agent::tell_refusal(const SourceUpdate& update) {
    if (!sources_ || update.source != to_string(SourceKind::kubernetes) ||
        !is_witness(config_.node.name, update.refused_peer, merged_.peers.size() + 1))
        return;
    sources_->tell_event({true, "RefusedAnnotations", update.refused_peer + ": " + update.refused_reason});
}

}  // namespace wglan
