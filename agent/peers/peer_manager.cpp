// SPDX-License-Identifier: Apache-2.0
#include "agent/peers/peer_manager.h"

#include <algorithm>

namespace wglan {
namespace {

constexpr Seconds kKeepaliveSlack{10};

std::string seconds_text(SteadyTime::duration age) {
    return std::to_string(std::chrono::duration_cast<Seconds>(age).count()) + " s";
}

}  // namespace

PeerManager::PeerManager(Backoff::Random random, LivenessTimes times)
    : random_(std::move(random)), times_(times) {}

PeerManager::Entry PeerManager::make_entry(const PeerInput& input, SteadyTime now) {
    Entry entry(input, Backoff(times_.round_first, times_.round_most, random_));
    entry.ever_up = input.was_up;
    entry.last_rx = now;
    entry.last_tx_change = now;
    if (input.was_up) {
        entry.status.state = PeerState::down;
        entry.status.reason = "no handshake seen since the agent started";
    } else {
        entry.status.reason =
            input.candidates.empty() ? "no endpoint known: waiting for it to call" : "no handshake yet";
    }
    if (input.yields && !input.candidates.empty() && input.keepalive_s > 0)
        entry.hold_until = now + times_.yield_time;
    start_search(entry, now);
    return entry;
}

void PeerManager::renew(Entry& entry, const PeerInput& input, SteadyTime now) {
    const bool changed = entry.input.candidates != input.candidates;
    const bool was_up = entry.input.was_up;
    entry.input = input;
    entry.input.was_up = was_up;
    if (changed && entry.status.state != PeerState::up) start_search(entry, now);
}

void PeerManager::set_peers(const std::vector<PeerInput>& peers, SteadyTime now) {
    std::map<PublicKey, Entry> next;
    for (const PeerInput& input : peers) {
        auto node = peers_.extract(input.key);
        if (node.empty()) {
            next.emplace(input.key, make_entry(input, now));
            continue;
        }
        renew(node.mapped(), input, now);
        next.insert(std::move(node));
    }
    peers_ = std::move(next);
}

void PeerManager::set_peer(const PeerInput& peer, SteadyTime now) {
    if (const auto it = peers_.find(peer.key); it != peers_.end())
        renew(it->second, peer, now);
    else
        peers_.emplace(peer.key, make_entry(peer, now));
}

void PeerManager::start_search(Entry& entry, SteadyTime now) {
    std::vector<Tried> tried;
    for (const Endpoint& endpoint : entry.input.candidates) tried.push_back({endpoint, 0});
    // Where it answered last is the best guess; a successor finds WireGuard's endpoint in place, as good as
    // any to begin with.
    const auto& first = entry.last_good ? entry.last_good : entry.status.endpoint;
    entry.current = 0;
    if (first) {
        const auto known =
            std::find_if(tried.begin(), tried.end(), [&](const Tried& t) { return t.endpoint == *first; });
        if (known != tried.end())
            entry.current = static_cast<std::size_t>(known - tried.begin());
        else if (entry.last_good)
            tried.insert(tried.begin(), {*first, 0});
    }
    entry.tried = std::move(tried);
    entry.wanted.reset();
    if (!entry.tried.empty()) entry.wanted = entry.tried[entry.current].endpoint;
    entry.candidate_since = now;
    entry.pause_until.reset();
    entry.rounds.reset();
    last_change_ = now;
}

void PeerManager::restart_searches(SteadyTime now) {
    for (auto& [key, entry] : peers_)
        if (entry.status.state != PeerState::up) start_search(entry, now);
}

void PeerManager::observe(const WgObservedPeer& seen, SteadyTime now, UnixTime /*unix_now*/) {
    const auto it = peers_.find(seen.peer.key);
    if (it == peers_.end()) return;
    Entry& entry = it->second;
    PeerStatus& status = entry.status;
    // A predecessor's peer initiates already.
    if (seen.peer.keepalive_s > 0 || seen.stats.last_handshake != 0) entry.hold_until.reset();
    if (seen.stats.rx_bytes != status.rx_bytes) entry.last_rx = now;
    if (seen.stats.tx_bytes != status.tx_bytes) entry.last_tx_change = now;
    if (status.endpoint && seen.peer.endpoint && *status.endpoint != *seen.peer.endpoint)
        ++status.endpoint_changes;
    status.endpoint = seen.peer.endpoint;
    status.last_handshake = seen.stats.last_handshake;
    status.rx_bytes = seen.stats.rx_bytes;
    status.tx_bytes = seen.stats.tx_bytes;
    entry.seen = true;
}

// Another key answers at one of this peer's endpoints with a newer handshake, and this one has been
// silent for more than its keepalive: the host there has a new key.
bool PeerManager::replaced_at_endpoint(const Entry& entry, SteadyTime now) const {
    if (!entry.status.endpoint || entry.input.keepalive_s == 0) return false;
    if (now - entry.last_rx < Seconds(entry.input.keepalive_s + 5)) return false;
    return std::any_of(peers_.begin(), peers_.end(), [&](const auto& item) {
        const Entry& other = item.second;
        if (&other == &entry || !other.status.endpoint) return false;
        const auto& own = entry.input.candidates;
        const bool same_place = other.status.endpoint == entry.status.endpoint ||
                                std::find(own.begin(), own.end(), *other.status.endpoint) != own.end();
        return same_place && other.status.last_handshake > entry.status.last_handshake &&
               other.last_rx > entry.last_rx;
    });
}

void PeerManager::judge(Entry& entry, SteadyTime now, UnixTime unix_now) {
    PeerStatus& status = entry.status;
    const auto down = [&](std::string reason) {
        status.state = entry.ever_up ? PeerState::down : PeerState::unknown;
        status.reason = std::move(reason);
    };
    if (status.last_handshake == 0) {
        if (entry.seen && entry.ever_up)
            down("the tunnel was made anew: no handshake yet");
        else if (!entry.ever_up)
            down(entry.tried.empty() ? "no endpoint known: waiting for it to call" : "no handshake yet");
        return;
    }
    const auto age = unix_now - status.last_handshake;
    const bool asked_since =
        entry.last_tx_change - entry.last_rx > Seconds(15) || entry.input.keepalive_s > 0;
    if (age > times_.handshake_lifetime.count() && asked_since) {
        down("last handshake " + std::to_string(age) + " s ago");
        return;
    }
    const Seconds silence(entry.input.keepalive_s * times_.missed_keepalives);
    if (!entry.input.agentless && entry.input.keepalive_s > 0 &&
        now - entry.last_rx > silence + kKeepaliveSlack && now - entry.last_tx_change < silence) {
        down("nothing received for " + seconds_text(now - entry.last_rx));
        return;
    }
    if (replaced_at_endpoint(entry, now)) {
        down("another key answers at its endpoint");
        return;
    }
    entry.ever_up = true;
    entry.last_good = status.endpoint;
    status.state = PeerState::up;
    status.reason = "session established";
}

void PeerManager::advance_search(Entry& entry, SteadyTime now) {
    if (entry.tried.empty()) {
        entry.status.next_try.reset();
        return;
    }
    if (entry.pause_until) {
        if (now < *entry.pause_until) return;
        entry.pause_until.reset();
        entry.current = 0;
        entry.candidate_since = now;
    } else if (now - entry.candidate_since >= times_.candidate_time) {
        ++entry.tried[entry.current].times;
        if (entry.current + 1 < entry.tried.size()) {
            ++entry.current;
            entry.candidate_since = now;
        } else {
            entry.pause_until = now + entry.rounds.next();
        }
    }
    entry.wanted = entry.tried[entry.current].endpoint;
    entry.status.next_try =
        entry.pause_until ? *entry.pause_until : entry.candidate_since + times_.candidate_time;
}

std::vector<CandidateStatus> PeerManager::describe_candidates(const Entry& entry) {
    const bool up = entry.status.state == PeerState::up;
    std::vector<CandidateStatus> all;
    bool in_use_listed = false;
    for (std::size_t i = 0; i < entry.tried.size(); ++i) {
        const Tried& tried = entry.tried[i];
        std::string result = "not tried";
        if (up && entry.status.endpoint == tried.endpoint) {
            result = "in use";
            in_use_listed = true;
        } else if (!up && i == entry.current && !entry.pause_until) {
            result = "being tried";
        } else if (tried.times > 0) {
            result = "no answer (" + std::to_string(tried.times) + (tried.times == 1 ? " try)" : " tries)");
        }
        all.push_back({tried.endpoint, std::move(result)});
    }
    if (up && entry.status.endpoint && !in_use_listed)
        all.insert(all.begin(), {*entry.status.endpoint, "in use (roamed)"});
    return all;
}

std::vector<PublicKey> PeerManager::tick(SteadyTime now, UnixTime unix_now) {
    std::vector<PublicKey> changed;
    for (auto& [key, entry] : peers_) {
        const PeerState before = entry.status.state;
        const auto wanted_before = entry.wanted;
        const bool released = entry.hold_until && now >= *entry.hold_until;
        if (released) entry.hold_until.reset();
        judge(entry, now, unix_now);
        if (entry.status.state == PeerState::up) {
            entry.wanted.reset();
            entry.status.next_try.reset();
            entry.pause_until.reset();
        } else if (before == PeerState::up) {
            start_search(entry, now);
        } else {
            advance_search(entry, now);
        }
        if (before != entry.status.state) last_change_ = now;
        if (released || before != entry.status.state || (entry.wanted && wanted_before != entry.wanted))
            changed.push_back(key);
    }
    return changed;
}

std::vector<PublicKey> PeerManager::keys() const {
    std::vector<PublicKey> keys;
    for (const auto& [key, entry] : peers_) keys.push_back(key);
    return keys;
}

PeerState PeerManager::state(const PublicKey& key) const {
    const auto it = peers_.find(key);
    return it == peers_.end() ? PeerState::unknown : it->second.status.state;
}

bool PeerManager::holding(const PublicKey& key) const {
    const auto it = peers_.find(key);
    return it != peers_.end() && it->second.hold_until.has_value();
}

std::optional<Endpoint> PeerManager::wanted_endpoint(const PublicKey& key) const {
    const auto it = peers_.find(key);
    return it == peers_.end() ? std::nullopt : it->second.wanted;
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
    PeerStatus status = it->second.status;
    status.candidates = describe_candidates(it->second);
    return status;
}

bool PeerManager::searching() const {
    return std::any_of(peers_.begin(), peers_.end(),
                       [](const auto& item) { return item.second.status.state != PeerState::up; });
}

}  // namespace wglan
