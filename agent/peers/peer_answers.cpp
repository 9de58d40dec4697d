// SPDX-License-Identifier: Apache-2.0
// What PeerManager knows of a peer, for whoever asks.
#include <algorithm>

#include "agent/peers/peer_manager.h"

namespace wglan {

NoPath PeerManager::no_path(const Entry& entry) const {
    NoPathFacts facts;
    facts.endpoints = entry.search.size();
    facts.own_seen = own_seen_;
    facts.announced = entry.input.announced && services_heard_ && entry.records_tell;
    for (const PeerCandidate& candidate : entry.input.candidates)
        if (candidate.source == CandidateSource::peers) facts.peer_seen.push_back(candidate.endpoint);
    return explain_no_path(facts);
}

void PeerManager::add(PeerTotals& totals, const Entry& entry) {
    totals.probes_sent += entry.status.path.sent();
    totals.probes_lost += entry.status.path.lost();
    totals.sweep_tries += entry.search.tries();
    totals.sweep_rounds += entry.search.rounds();
    totals.trials_won += entry.status.trials_won;
    totals.trials_lost += entry.status.trials_lost;
    totals.new_beginnings += entry.status.new_beginnings;
}

PeerTotals PeerManager::totals() const {
    PeerTotals totals = gone_;
    for (const auto& [key, entry] : peers_) add(totals, entry);
    return totals;
}

std::vector<PublicKey> PeerManager::keys() const {
    std::vector<PublicKey> keys;
    keys.reserve(peers_.size());
    for (const auto& [key, entry] : peers_) keys.push_back(key);
    return keys;
}

PeerState PeerManager::state(const PublicKey& key) const {
    const auto it = peers_.find(key);
    return it == peers_.end() ? PeerState::unknown : it->second.life.state();
}

bool PeerManager::alive(const PublicKey& key) const {
    const auto it = peers_.find(key);
    return it != peers_.end() && it->second.life.alive();
}

PeerState PeerManager::steering_state(const PublicKey& key) const {
    const auto it = peers_.find(key);
    return it == peers_.end() || !it->second.life.ever_up() ? PeerState::unknown : it->second.life.state();
}

std::uint64_t PeerManager::search_number(const PublicKey& key) const {
    const auto it = peers_.find(key);
    return it == peers_.end() ? 0 : it->second.search.number();
}

std::optional<SteadyTime> PeerManager::held_until(const PublicKey& key) const {
    const auto it = peers_.find(key);
    return it == peers_.end() ? std::nullopt : it->second.hold_until;
}

std::optional<Endpoint> PeerManager::wanted_endpoint(const PublicKey& key) const {
    const auto it = peers_.find(key);
    if (it == peers_.end()) return std::nullopt;
    return it->second.move ? std::optional(it->second.move->to) : it->second.search.wanted();
}

std::vector<Endpoint> PeerManager::clone_targets(const PublicKey& key) const {
    const auto it = peers_.find(key);
    if (it == peers_.end() || it->second.life.alive()) return {};
    return it->second.search.clone_targets();
}

std::optional<Endpoint> PeerManager::endpoint_in_use(const PublicKey& key) const {
    const auto it = peers_.find(key);
    return it == peers_.end() ? std::nullopt : it->second.status.endpoint;
}

bool PeerManager::other_at(const IpAddress& address, const PublicKey& key) const {
    return std::any_of(peers_.begin(), peers_.end(), [&](const auto& item) {
        const auto& endpoint = item.second.status.endpoint;
        return endpoint && endpoint->address == address && item.first != key;
    });
}

std::optional<PeerStatus> PeerManager::status(const PublicKey& key) const {
    const auto it = peers_.find(key);
    if (it == peers_.end()) return std::nullopt;
    const Entry& entry = it->second;
    PeerStatus status = entry.status;
    status.state = entry.life.state();
    status.reason = entry.life.reason();
    if (entry.in_vain) {
        const NoPath known = no_path(entry);  // more than when it was called down
        status.reason = entry.life.ever_up() ? status.reason + "; " + known.reason : known.reason;
        status.needs_relay = known.needs_relay;
    }
    status.next_try = entry.search.next_try();
    status.sweep_tries = entry.search.tries();
    status.sweep_rounds = entry.search.rounds();
    status.candidates = entry.search.describe(entry.life.alive() ? status.endpoint : std::nullopt);
    return status;
}

}  // namespace wglan
