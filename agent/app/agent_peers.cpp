// SPDX-License-Identifier: Apache-2.0
// What the agent does for its peers' paths: probes, echoes, new beginnings, candidates.
#include <algorithm>

#include <spdlog/spdlog.h>

#include "agent/app/agent.h"
#include "agent/app/wiring.h"

namespace wglan {
namespace {

// Probes that are due within this time go together.
constexpr Milliseconds kProbeTick{50};
constexpr int kCachedBase = 55;   // where it was last reached is the best guess of all
constexpr int kCachedPlace = 35;  // ... what else there is to say of it: packets came from there
constexpr std::size_t kMostLogged = 20;

std::pair<UnixTime, std::uint32_t> handshake_of(const WgObservedPeer& peer) {
    return {peer.stats.last_handshake, peer.stats.last_handshake_ns};
}

}  // namespace

void Agent::open_probes() {
    manager_.set_times(times_of(config_));
    auto socket = EchoSocket::open();
    if (!socket) {
        probe_warning_ = "peers are judged by handshakes alone, which takes minutes (" +
                         socket.error().message() + "); CAP_NET_RAW or net.ipv4.ping_group_range helps";
        spdlog::warn("{}", probe_warning_);
        return;
    }
    echo_socket_.emplace(std::move(*socket));
    echo_stream_ = std::make_unique<asio::posix::stream_descriptor>(io_, ::dup(echo_socket_->fd()));
    manager_.set_probing(true);
    wait_for_echoes();
}

void Agent::wait_for_echoes() {
    echo_stream_->async_wait(asio::posix::stream_descriptor::wait_read,
                             [this](const boost::system::error_code& error) {
                                 if (error || stopped_) return;
                                 read_echoes();
                                 tick_later();
                                 wait_for_echoes();
                             });
}

void Agent::read_echoes() {
    if (!echo_socket_) return;
    const SteadyTime now = system_clock().now();
    const EchoSocket::News news = echo_socket_->read();
    for (const std::uint64_t number : news.echoes) manager_.echoed(number, now);
    for (const IpAddress& address : news.deaf) manager_.told_deaf(address, now);
}

void Agent::tick_later() {
    if (stopped_ || !first_reconcile_done_ || manager_.next_tick() == SteadyTime::max()) return;
    const auto delay =
        std::max<SteadyTime::duration>(manager_.next_tick() - system_clock().now(), kProbeTick);
    const auto when = Timer::clock_type::now() + delay;
    if (tick_pending_ && tick_timer_.expiry() <= when) return;
    tick_timer_.expires_at(when);
    tick_pending_ = true;
    tick_timer_.async_wait([this](const boost::system::error_code& error) {
        if (error || stopped_) return;
        tick_pending_ = false;
        if (tick_peers()) {
            merge_dirty_ = true;
            mark_dirty();
        }
    });
}

// True if a state or endpoint changed.
bool Agent::tick_peers() {
    read_echoes();  // what came is known before anybody is judged
    const SteadyTime now = system_clock().now();
    const auto changed = manager_.tick(now, system_clock().unix_now());
    if (first_reconcile_done_)
        for (const PublicKey& key : manager_.take_copy_changes()) clone_handshakes(&key);
    if (const auto silent = manager_.take_silent(); !silent.empty())
        if (auto forgotten = wireguard_->forget_sources(secrets_, silent); !forgotten)
            spdlog::debug("forget sources: {}", forgotten.error().message());
    send_probes();
    note_peer_changes(changed);
    begin_afresh(manager_.take_new_beginnings());
    tick_later();
    if (first_reconcile_done_ && (manager_.searching() || manager_.suspecting())) poll_later();
    return !changed.empty();
}

void Agent::send_probes() {
    const std::vector<Probe> probes = manager_.take_probes();
    if (!echo_socket_ || !observed_.interface) return;
    const int ifindex = observed_.interface->link.ifindex;
    // What the device refuses counts as lost: it has no way to the peer.
    for (const Probe& probe : probes)
        if (auto sent = echo_socket_->send(probe.address, ifindex, probe.number, probe.deaf); !sent)
            spdlog::debug("{}", sent.error().message());
}

// Handshakes succeed between two looks, and most of all while peers are looked for: what is done to a peer's
// endpoint or session must not undo one. True if a state or endpoint changed.
bool Agent::look_again() {
    auto device = wireguard_->dump();
    if (!device) return false;  // the next look complains
    observe_device(std::move(*device));
    return tick_peers();
}

// A dead session is dropped with its peer; the peer that takes its place initiates at once.
void Agent::begin_afresh(const std::vector<PublicKey>& keys) {
    if (keys.empty() || !observed_.wireguard) return;
    const auto device = wireguard_->dump();
    std::vector<WgObservedPeer>& there = observed_.wireguard->peers;
    std::vector<WgPeerChange> removals;
    for (const PublicKey& key : keys) {
        const auto is_it = [&](const WgObservedPeer& peer) { return peer.peer.key == key; };
        const auto at = std::find_if(there.begin(), there.end(), is_it);
        if (at == there.end()) continue;
        if (device) {
            const auto now = std::find_if(device->peers.begin(), device->peers.end(), is_it);
            if (now != device->peers.end() && handshake_of(*now) != handshake_of(*at)) continue;
        }
        WgPeerChange change;
        change.kind = WgPeerChange::Kind::remove;
        change.key = key;
        removals.push_back(std::move(change));
        there.erase(at);
    }
    if (removals.empty()) return;
    if (auto removed = wireguard_->apply(removals, secrets_); !removed) {
        spdlog::warn("drop dead sessions: {}", removed.error().message());
        observed_valid_ = false;
    }
    mark_dirty();  // and back they come
}

void Agent::note_peer_changes(const std::vector<PublicKey>& changed) {
    const auto name_of = [this](const PublicKey& key) {
        const auto it = std::find_if(merged_.peers.begin(), merged_.peers.end(),
                                     [&](const Peer& peer) { return peer.public_key == key; });
        return it == merged_.peers.end() ? std::string() : it->name;
    };
    std::size_t logged = 0;
    std::vector<PeerChange> changes;
    for (const PublicKey& key : changed) {
        const PeerState state = manager_.state(key);
        const auto [known, first] = told_states_.try_emplace(key, PeerState::unknown);
        if (known->second == state) continue;
        const PeerState before = std::exchange(known->second, state);
        const std::string name = name_of(key);
        const std::string reason = manager_.status(key).value_or(PeerStatus{}).reason;
        packet_monitor_.tell(
            {name, key, std::string(to_string(before)), std::string(to_string(state)), reason, "state"});
        changes.push_back({name, before, state, reason});
        if (++logged <= kMostLogged) spdlog::info("{} is {}: {}", name, to_string(state), reason);
    }
    tell_peer_changes(changes);
    for (const EndpointChange& change : manager_.take_endpoint_changes()) {
        const std::string name = name_of(change.key);
        packet_monitor_.tell({name, change.key, change.before.to_string(), change.after.to_string(),
                              change.reason, "endpoint"});
        if (++logged <= kMostLogged)
            spdlog::info("{} is reached at {}, no longer at {}: {}", name, change.after.to_string(),
                         change.before.to_string(), change.reason);
    }
    if (logged > kMostLogged) spdlog::info("... and {} changes of peers more", logged - kMostLogged);
    if (told_states_.size() <= 2 * merged_.peers.size() + kMostLogged) return;
    const auto keys = manager_.keys();  // sorted
    std::erase_if(told_states_, [&](const auto& item) {
        return !std::binary_search(keys.begin(), keys.end(), item.first);
    });
}

// Where peers' packets must not be sent: it would come back into the tunnel.
bool Agent::inside_a_steered_prefix(const IpAddress& address) const {
    for (unsigned length = 1; length < address.bit_length(); ++length) {
        const auto it = observed_.steer_routes.find(Prefix::make(address, length).value());
        if (it != observed_.steer_routes.end() && it->second.action == SteerAction::steer) return true;
    }
    return false;
}

std::vector<PeerCandidate> Agent::candidates_of(const Peer& peer) const {
    std::vector<PeerCandidate> list;
    const auto find = [&](const Endpoint& endpoint) {
        return std::find_if(list.begin(), list.end(),
                            [&](const PeerCandidate& known) { return known.endpoint == endpoint; });
    };
    for (const Candidate& candidate : peer.candidates)
        for (const Endpoint& endpoint : names_.endpoints(candidate.where)) {
            const bool ourselves = std::binary_search(facts_.all_addresses.begin(),
                                                      facts_.all_addresses.end(), endpoint.address) &&
                                   observed_.wireguard && observed_.wireguard->listen_port == endpoint.port;
            // A host name may lead anywhere.
            if (!ourselves && usable_place(endpoint.address) &&
                !overlay_network_.contains(endpoint.address) && find(endpoint) == list.end())
                list.emplace_back(endpoint, candidate.source, candidate.base);
        }
    if (!sources_ || peer.candidates.empty()) return list;
    const auto& cached = sources_->good_endpoints();
    const auto good = cached.find(peer.public_key);
    if (good == cached.end()) return list;
    const auto known = find(good->second);
    if (known != list.end()) {
        known->bonus = std::max(0, kCachedBase - known->base);
    } else if (!inside_a_steered_prefix(good->second.address)) {
        PeerCandidate remembered(good->second, CandidateSource::cached, kCachedPlace);
        remembered.bonus = kCachedBase - kCachedPlace;
        list.insert(list.begin(), remembered);
    }
    return list;
}

std::vector<Endpoint> Agent::endpoints_of(const Peer& peer) const {
    std::vector<Endpoint> list;
    for (const PeerCandidate& candidate : candidates_of(peer)) list.push_back(candidate.endpoint);
    return list;
}

PeerInput Agent::peer_input(const Peer& peer) const {
    PeerInput input;
    input.key = peer.public_key;
    input.candidates = candidates_of(peer);
    input.address = peer.address;
    input.version = peer.version;
    input.keepalive_s = peer.keepalive_s.value_or(config_.peers.keepalive_s);
    input.agentless = peer.agentless;
    // Whatever runs there: two agents may know each other by static entries alone.
    input.yields = peer.public_key < identity_.public_key;
    input.was_up = adopted_up_.contains(peer.public_key);
    input.unresolved = input.candidates.empty() && !peer.candidates.empty();
    input.announced = peer.announced;
    return input;
}

std::vector<PeerInput> Agent::peer_inputs() const {
    std::vector<PeerInput> inputs;
    for (const Peer& peer : merged_.peers) inputs.push_back(peer_input(peer));
    return inputs;
}

}  // namespace wglan
