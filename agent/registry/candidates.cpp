// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "agent/registry/draft.h"

namespace wglan {
namespace {

// Lower is tried earlier.
int rank(const Candidate& candidate, const OwnClaims& own) {
    if (candidate.source == CandidateSource::roamed) return 0;
    if (candidate.source == CandidateSource::configured) return 1;
    const auto endpoint = candidate.where.endpoint();
    if (!endpoint) return 4;  // a name: whoever wrote it knew no address
    const IpAddress& address = endpoint->address;
    const bool family_here = std::any_of(own.node_addresses.begin(), own.node_addresses.end(),
                                         [&](const IpAddress& a) { return a.family() == address.family(); });
    if (!family_here) return 7;
    const bool same_network = std::any_of(own.networks.begin(), own.networks.end(),
                                          [&](const Prefix& network) { return network.contains(address); });
    if (same_network) return 2;
    if (candidate.source == CandidateSource::observed) return 5;
    return address.is_private() ? 6 : 3;
}

}  // namespace

std::vector<Candidate> order_candidates(const std::vector<Candidate>& found,
                                        const std::vector<IpAddress>& observed, const OwnClaims& own) {
    std::vector<Candidate> all = found;
    std::set<std::uint16_t> ports;
    for (const Candidate& candidate : found)
        if (candidate.source != CandidateSource::configured) ports.insert(candidate.where.port);
    for (const IpAddress& address : observed)
        for (const std::uint16_t port : ports)
            if (!address.is_loopback())
                all.push_back({HostPort{address.to_string(), port}, CandidateSource::observed});
    std::stable_sort(all.begin(), all.end(),
                     [&](const Candidate& a, const Candidate& b) { return rank(a, own) < rank(b, own); });
    std::set<HostPort> seen;
    std::vector<Candidate> ordered;
    for (Candidate& candidate : all)
        if (seen.insert(candidate.where).second) ordered.push_back(std::move(candidate));
    return ordered;
}

void refuse_steered_candidates(std::vector<Draft>& drafts, MergeResult& result) {
    const auto steered = [](const OwnedPrefix& owned) {
        return owned.cls != PrefixClass::node && !owned.prefix.is_default();
    };
    std::map<Prefix, const Draft*> assigned;
    std::set<std::pair<Family, std::uint8_t>> lengths;  // of those: few, so looked up length by length
    for (const Draft& draft : drafts)
        if (draft.authoritative)
            for (const OwnedPrefix& owned : draft.peer.prefixes)
                if (steered(owned)) {
                    assigned.emplace(owned.prefix, &draft);
                    lengths.insert({owned.prefix.family(), owned.prefix.length()});
                }
    for (Draft& draft : drafts)
        std::erase_if(draft.peer.candidates, [&](const Candidate& candidate) {
            const auto endpoint = candidate.where.endpoint();
            if (!endpoint) return false;
            const IpAddress& address = endpoint->address;
            const auto refuse = [&](const Prefix& prefix, const Draft& owner) {
                result.refused.push_back({draft.peer.name, candidate.where.to_string(),
                                          "an endpoint inside " + prefix.to_string() +
                                              ", which is steered to " + owner.peer.name +
                                              ": a tunnel inside a tunnel"});
                return true;
            };
            for (const auto& [family, length] : lengths) {
                if (family != address.family()) continue;
                const auto it = assigned.find(Prefix::make(address, length).value());
                // A host prefix of its own is the peer's own address by another name.
                if (it != assigned.end() && !(it->first.is_host() && it->second == &draft))
                    return refuse(it->first, *it->second);
            }
            for (const OwnedPrefix& owned : draft.peer.prefixes)
                if (steered(owned) && !owned.prefix.is_host() && owned.prefix.contains(address))
                    return refuse(owned.prefix, draft);
            return false;
        });
}

}  // namespace wglan
