// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "agent/registry/draft.h"

namespace wglan {
namespace {

constexpr std::size_t kMostSeenByPeers = 4;  // whoever lies fills no more than these

// Same network, then public addresses, then names, then what others saw, then private ones elsewhere.
int base_of(const Candidate& candidate, const OwnClaims& own) {
    if (candidate.source == CandidateSource::roamed) return 60;
    if (candidate.source == CandidateSource::configured) return 50;
    const auto endpoint = candidate.where.endpoint();
    if (!endpoint) return 25;  // a name: whoever wrote it knew no address
    const IpAddress& address = endpoint->address;
    const bool family_here = std::any_of(own.node_addresses.begin(), own.node_addresses.end(),
                                         [&](const IpAddress& a) { return a.family() == address.family(); });
    if (!family_here) return 0;
    const bool same_network = std::any_of(own.networks.begin(), own.networks.end(),
                                          [&](const Prefix& network) { return network.contains(address); });
    if (same_network) return 40;
    if (!named_by_itself(candidate.source)) return candidate.source == CandidateSource::peers ? 22 : 20;
    if (address.is_private()) return 10;
    // Where NATs may stand in between, IPv6 has none.
    return address.is_v6() ? 33 : 30;
}

}  // namespace

bool named_by_itself(CandidateSource source) {
    return source == CandidateSource::announced || source == CandidateSource::cached ||
           source == CandidateSource::kubernetes;
}

std::vector<Candidate> order_candidates(const std::vector<Candidate>& found,
                                        const std::vector<IpAddress>& observed,
                                        const std::vector<Endpoint>& seen_by_peers, const OwnClaims& own) {
    std::vector<Candidate> all = found;
    std::set<std::uint16_t> ports;
    for (const Candidate& candidate : found)
        if (candidate.source != CandidateSource::configured) ports.insert(candidate.where.port);
    for (const IpAddress& address : observed)
        for (const std::uint16_t port : ports)
            if (!address.is_loopback())
                all.push_back({HostPort{address.to_string(), port}, CandidateSource::observed});
    for (const Endpoint& endpoint : seen_by_peers)
        all.push_back({HostPort{endpoint.address.to_string(), endpoint.port}, CandidateSource::peers});
    for (Candidate& candidate : all) candidate.base = base_of(candidate, own);
    std::stable_sort(all.begin(), all.end(),
                     [](const Candidate& a, const Candidate& b) { return a.base > b.base; });
    std::set<HostPort> seen;
    std::vector<Candidate> ordered;
    for (Candidate& candidate : all)
        if (seen.insert(candidate.where).second) ordered.push_back(std::move(candidate));
    return ordered;
}

SeenByPeers gather_seen(const std::vector<const Record*>& records) {
    std::map<PublicKey, std::map<Endpoint, std::size_t>> witnesses;
    for (const Record* record : records)
        for (const auto& [key, endpoint] : record->observed) {
            const auto parsed = parse_public_key(key);
            const bool usable = endpoint.port != 0 && endpoint.address.is_global_unicast();
            if (parsed && usable && *parsed != record->public_key) ++witnesses[*parsed][endpoint];
        }
    SeenByPeers seen;
    for (const auto& [key, found] : witnesses) {
        std::vector<std::pair<std::size_t, Endpoint>> all;
        for (const auto& [endpoint, count] : found) all.emplace_back(count, endpoint);
        std::stable_sort(all.begin(), all.end(),
                         [](const auto& a, const auto& b) { return a.first > b.first; });
        all.resize(std::min(all.size(), kMostSeenByPeers));
        for (const auto& [count, endpoint] : all) seen[key].push_back(endpoint);
    }
    return seen;
}

bool usable_place(const IpAddress& address) {
    return !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast() &&
           !(address.is_v6() && address.is_link_local());
}

namespace {

bool steered(const OwnedPrefix& owned) {
    return owned.cls != PrefixClass::node && !owned.prefix.is_default();
}

// The last of an IPv4 network's addresses; one of two addresses or one has no such (RFC 3021).
bool is_broadcast_of(const Prefix& network, const IpAddress& address) {
    if (network.family() != Family::v4 || network.length() > 30 || !network.contains(address)) return false;
    const auto bytes = address.bytes();
    for (unsigned bit = network.length(); bit < 32; ++bit)
        if ((bytes[bit / 8] >> (7 - bit % 8) & 1) == 0) return false;
    return true;
}

// The prefixes that others' endpoints must not lie in, and who has them.
class Steered {
public:
    explicit Steered(const std::vector<Draft>& drafts) {
        for (const Draft& draft : drafts)
            for (const OwnedPrefix& owned : draft.peer.prefixes)
                if (steered(owned) && (draft.authoritative || owned.cls == PrefixClass::pod)) {
                    owners_.emplace(owned.prefix, &draft);
                    lengths_.insert({owned.prefix.family(), owned.prefix.length()});
                }
    }

    // Why the candidate is refused; empty: it isn't.
    std::string around(const Draft& draft, const Candidate& candidate, const IpAddress& address) const {
        const auto reason = [](const Prefix& prefix, const Draft& owner) {
            return "an endpoint inside " + prefix.to_string() + ", which is steered to " + owner.peer.name +
                   ": a tunnel inside a tunnel";
        };
        const bool own_word =
            named_by_itself(candidate.source) || candidate.source == CandidateSource::configured;
        for (const auto& [family, length] : lengths_) {
            if (family != address.family()) continue;
            const auto it = owners_.find(Prefix::make(address, length).value());
            if (it == owners_.end() || !(it->second->authoritative || own_word)) continue;
            // A host prefix of its own is the peer's own address by another name.
            if (!(it->first.is_host() && it->second == &draft)) return reason(it->first, *it->second);
        }
        for (const OwnedPrefix& owned : draft.peer.prefixes)
            if (steered(owned) && !owned.prefix.is_host() && owned.prefix.contains(address))
                return reason(owned.prefix, draft);
        return {};
    }

private:
    std::map<Prefix, const Draft*> owners_;
    std::set<std::pair<Family, std::uint8_t>> lengths_;  // few, so looked up length by length
};

}  // namespace

void refuse_candidates(std::vector<Draft>& drafts, const Prefix& overlay, const OwnClaims& own,
                       MergeResult& result) {
    const Steered others(drafts);
    const auto why = [&](const Draft& draft, const Candidate& candidate) -> std::string {
        const auto endpoint = candidate.where.endpoint();
        if (!endpoint) return {};
        if (!usable_place(endpoint->address)) return "nobody can be reached at such an address";
        for (const Prefix& network : own.networks)
            if (is_broadcast_of(network, endpoint->address))
                return "the broadcast address of " + network.to_string();
        if (overlay.contains(endpoint->address))
            return "an endpoint inside the overlay network " + overlay.to_string() +
                   ": a tunnel inside a tunnel";
        return others.around(draft, candidate, endpoint->address);
    };
    for (Draft& draft : drafts)
        std::erase_if(draft.peer.candidates, [&](const Candidate& candidate) {
            std::string reason = why(draft, candidate);
            if (reason.empty()) return false;
            result.refused.push_back({draft.peer.name, candidate.where.to_string(), std::move(reason)});
            return true;
        });
}

}  // namespace wglan
