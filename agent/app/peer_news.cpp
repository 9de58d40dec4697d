// SPDX-License-Identifier: Apache-2.0
#include "agent/app/peer_news.h"

#include <fmt/format.h>

#include "agent/base/keys.h"

namespace wglan {
namespace {

constexpr std::size_t kAllTell = 20, kWitnesses = 10;
constexpr std::size_t kNamed = 5;  // peers in one event

bool works(PeerState state) { return state == PeerState::up || state == PeerState::degraded; }

std::string names_of(const std::vector<const PeerChange*>& changes) {
    std::string names;
    for (std::size_t i = 0; i < changes.size() && i < kNamed; ++i)
        names += (i == 0 ? "" : ", ") + changes[i]->name;
    return changes.size() > kNamed ? names + ", ..." : names;
}

}  // namespace

bool is_witness(std::string_view own, std::string_view subject, std::size_t nodes) {
    if (nodes <= kAllTell) return true;
    const auto hash = sha256(as_bytes(fmt::format("witness\n{}\n{}", own, subject)));
    std::uint32_t draw = 0;
    for (std::size_t i = 0; i < 4; ++i) draw = draw << 8U | hash[i];
    return std::uint64_t{draw} * nodes < (std::uint64_t{kWitnesses} << 32U);
}

std::vector<NodeEvent> events_of(const std::vector<PeerChange>& changes, std::string_view own,
                                 std::size_t nodes) {
    std::vector<const PeerChange*> down, up;
    for (const PeerChange& change : changes) {
        if (!is_witness(own, change.name, nodes)) continue;
        if (works(change.before) && change.after == PeerState::down) down.push_back(&change);
        if (change.before == PeerState::down && works(change.after)) up.push_back(&change);
    }
    std::vector<NodeEvent> events;
    if (down.size() == 1)
        events.push_back(
            {true, "PeerDown", fmt::format("no tunnel to {} any more: {}", down[0]->name, down[0]->reason)});
    else if (!down.empty())
        events.push_back({true, "PeerDown",
                          fmt::format("no tunnel to {} peers any more: {}", down.size(), names_of(down))});
    if (up.size() == 1)
        events.push_back({false, "PeerUp", fmt::format("the tunnel to {} works again", up[0]->name)});
    else if (!up.empty())
        events.push_back({false, "PeerUp",
                          fmt::format("the tunnels to {} peers work again: {}", up.size(), names_of(up))});
    return events;
}

// No counts: each change of a peer would have every node of the cluster write to the API.
NodeCondition condition_of(std::string_view unready, std::size_t peers, std::size_t alive) {
    if (!unready.empty()) return {false, "TunnelFailed", std::string(unready)};
    if (peers > 0 && alive == 0) return {false, "NoPeerUp", "there are peers, but a tunnel to none of them"};
    if (peers == 0) return {true, "NoPeers", "the tunnel's device is up; no other node has an agent yet"};
    return {true, kMeshReady, "the tunnel is up and peers answer"};
}

}  // namespace wglan
