// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "agent/registry/draft.h"

namespace wglan {

std::size_t pick_owner(const std::vector<Claimant>& claimants, const std::optional<PublicKey>& incumbent) {
    const bool assigned =
        std::any_of(claimants.begin(), claimants.end(), [](const Claimant& c) { return c.authoritative; });
    const auto eligible = [&](const Claimant& c) { return !assigned || c.authoritative; };
    const bool somebody_up = std::any_of(claimants.begin(), claimants.end(),
                                         [&](const Claimant& c) { return eligible(c) && c.up; });
    std::optional<std::size_t> best;
    for (std::size_t i = 0; i < claimants.size(); ++i) {
        const Claimant& claimant = claimants[i];
        if (!eligible(claimant)) continue;
        if (claimant.key == incumbent && (claimant.up || !somebody_up)) return i;
        if (somebody_up && !claimant.up) continue;
        if (!best || claimant.key < claimants[*best].key) best = i;
    }
    return *best;
}

namespace {

// As wide as a default route in parts: shorter than any network that one organisation has.
bool nearly_default(const Prefix& prefix) {
    return prefix.length() < 8 &&
           !(prefix.family() == Family::v6 && prefix.length() == 7 && prefix.address().is_private());
}

class Settlement {
public:
    Settlement(std::vector<Draft>& drafts, const RegistryPolicy& policy, const OwnClaims& own,
               const Liveness& liveness, std::map<Prefix, PublicKey>& incumbents, MergeResult& result)
        : drafts_(drafts), policy_(policy), own_(own), incumbents_(incumbents), result_(result) {
        for (std::size_t i = 0; i < drafts.size(); ++i) {
            up_.push_back(liveness(drafts[i].peer.public_key) == PeerState::up);
            for (const Candidate& candidate : drafts[i].peer.candidates)
                if (const auto endpoint = candidate.where.endpoint())
                    endpoints_.insert({endpoint->address, i});
        }
    }

    void run() {
        for (std::size_t i = 0; i < drafts_.size(); ++i)
            for (const Claim& claim : drafts_[i].claims) {
                if (claim.cls == PrefixClass::pod && !policy_.pod_networking) continue;
                if (auto reason = forbidden(drafts_[i], claim))
                    refuse(i, claim, std::move(*reason));
                else
                    wanted_[claim.prefix].push_back({i, &claim});
            }
        for (const auto& [prefix, claims] : wanted_) settle(prefix, claims);
        refuse_nested();
        hand_out();
    }

private:
    struct Wanted {
        std::size_t draft;
        const Claim* claim;
    };

    void refuse(std::size_t draft, const Claim& claim, std::string reason) {
        const bool host_address = claim.cls == PrefixClass::overlay || claim.cls == PrefixClass::node;
        result_.refused.push_back(
            {drafts_[draft].peer.name,
             host_address ? claim.prefix.address().to_string() : claim.prefix.to_string(),
             std::move(reason)});
    }

    // Reasons that hold whoever else claims it.
    std::optional<std::string> forbidden(const Draft& draft, const Claim& claim) {
        const Prefix& prefix = claim.prefix;
        const IpAddress& address = prefix.address();
        if (nearly_default(prefix)) {
            if (policy_.accept_default_route_from.contains(draft.peer.name)) return std::nullopt;
            return std::string(prefix.is_default() ? "a default route" : "as wide as a default route") +
                   ", and peers.acceptDefaultRouteFrom doesn't name this peer";
        }
        if (address.is_loopback() || address.is_multicast() || address.is_link_local() ||
            address.is_unspecified() || address.is_broadcast())
            return "not a unicast network that can be routed";
        if (claim.cls == PrefixClass::overlay) return forbidden_overlay(draft, claim);
        for (const IpAddress& ours : own_.node_addresses)
            if (prefix == Prefix::host(ours)) return "an address of this node";
        for (const IpAddress& gateway : own_.gateways)
            if (prefix == Prefix::host(gateway)) return "the gateway of this node";
        for (const Prefix& ours : own_.prefixes)
            if (ours.contains(prefix)) return "inside " + ours.to_string() + ", which belongs to this node";
        if (auto reason = of_the_underlay(draft, claim)) return reason;
        if (policy_.overlay.overlaps(prefix))
            return "inside the overlay network " + policy_.overlay.to_string();
        if (claim.cls == PrefixClass::node || claim.authoritative || !policy_.accept_prefixes)
            return std::nullopt;
        const auto& accepted = *policy_.accept_prefixes;
        if (std::any_of(accepted.begin(), accepted.end(),
                        [&](const Prefix& p) { return p.contains(prefix); }))
            return std::nullopt;
        return "outside peers.acceptPrefixes";
    }

    // What the tunnels themselves and the agent stand on.
    std::optional<std::string> of_the_underlay(const Draft& draft, const Claim& claim) const {
        const Prefix& prefix = claim.prefix;
        if (claim.authoritative) return std::nullopt;
        if (claim.cls != PrefixClass::node)
            for (const Prefix& network : own_.networks)
                if (!network.is_host() && network.contains(prefix))
                    return "inside " + network.to_string() + ", a network that this node is on";
        if (prefix.is_host()) {
            const auto& needed = own_.depended_on;
            if (std::find(needed.begin(), needed.end(), prefix.address()) == needed.end())
                return std::nullopt;
            if (own_.reached_at && own_.reached_at(draft.peer.public_key) == prefix.address())
                return std::nullopt;
            return "an address that this node depends on, and the peer isn't reached there";
        }
        if (claim.cls != PrefixClass::pod) return std::nullopt;
        const auto index = static_cast<std::size_t>(&draft - drafts_.data());
        for (auto it = endpoints_.lower_bound({prefix.address(), 0}); it != endpoints_.end(); ++it) {
            if (!prefix.contains(it->first)) break;
            if (it->second != index && !gives_way(it->second, draft, prefix))
                return "a pod prefix around " + it->first.to_string() + ", an endpoint of " +
                       drafts_[it->second].peer.name;
        }
        return std::nullopt;
    }

    // Whose endpoint there is the odd one: nobody reaches it there, and it has another; or the prefix was
    // held by a node that is up before. (Else it might be the prefix that was made up, to cut somebody off.)
    bool gives_way(std::size_t other, const Draft& holder, const Prefix& prefix) const {
        const Peer& peer = drafts_[other].peer;
        const auto reached = own_.reached_at ? own_.reached_at(peer.public_key) : std::nullopt;
        if (reached && prefix.contains(*reached)) return false;
        if (std::any_of(peer.candidates.begin(), peer.candidates.end(), [&](const Candidate& candidate) {
                const auto place = candidate.where.endpoint();
                return place && place->address.family() == prefix.family() &&
                       !prefix.contains(place->address);
            }))
            return true;
        const auto held = incumbents_.find(prefix);
        return held != incumbents_.end() && held->second == holder.peer.public_key &&
               up_[static_cast<std::size_t>(&holder - drafts_.data())];
    }

    std::optional<std::string> forbidden_overlay(const Draft& draft, const Claim& claim) {
        const IpAddress& address = claim.prefix.address();
        if (address == own_.address) {
            if (draft.peer.public_key < own_.public_key) result_.own_address_taken = true;
            return "the overlay address of this node";
        }
        if (!claim.authoritative && !policy_.overlay.contains(address))
            return "outside the overlay network " + policy_.overlay.to_string();
        return std::nullopt;
    }

    void settle(const Prefix& prefix, const std::vector<Wanted>& claims) {
        std::vector<Claimant> claimants;
        std::size_t live = 0;
        bool node_class = true;
        for (const Wanted& wanted : claims) {
            claimants.push_back({wanted.draft, drafts_[wanted.draft].peer.public_key,
                                 wanted.claim->authoritative, up_[wanted.draft]});
            if (up_[wanted.draft]) ++live;
            node_class = node_class && wanted.claim->cls == PrefixClass::node && !wanted.claim->authoritative;
        }
        if (node_class && live >= 2 && prefix.address().is_private()) {
            for (const Wanted& wanted : claims)
                refuse(wanted.draft, *wanted.claim, "a private address that two live nodes claim");
            return;
        }
        std::optional<PublicKey> incumbent;
        if (const auto it = incumbents_.find(prefix); it != incumbents_.end()) incumbent = it->second;
        const std::size_t winner = pick_owner(claimants, incumbent);
        owned_[prefix] = {claims[winner].draft, claims[winner].claim};
        for (std::size_t i = 0; i < claims.size(); ++i)
            if (i != winner) refuse(claims[i].draft, *claims[i].claim, held_by(claimants[winner]));
    }

    std::string held_by(const Claimant& owner) const {
        const std::string& name = drafts_[owner.draft].peer.name;
        if (owner.authoritative) return "assigned to " + name;
        return "held by " + name + (owner.up ? ", which is up" : "");
    }

    // A part of somebody's prefix is as much his as the whole, unless it was held before.
    void refuse_nested() {
        std::set<std::pair<Family, std::uint8_t>> lengths;
        for (const auto& [prefix, wanted] : owned_)
            if (wanted.claim->cls == PrefixClass::pod || wanted.claim->cls == PrefixClass::extra)
                lengths.insert({prefix.family(), prefix.length()});
        std::vector<Prefix> lost;
        for (const auto& [prefix, wanted] : owned_) {
            if (wanted.claim->authoritative || wanted.claim->cls == PrefixClass::overlay) continue;
            const auto held = incumbents_.find(prefix);
            if (held != incumbents_.end() && held->second == drafts_[wanted.draft].peer.public_key) continue;
            if (const auto reason = inside_other(prefix, wanted, lengths)) {
                refuse(wanted.draft, *wanted.claim, *reason);
                lost.push_back(prefix);
            }
        }
        for (const Prefix& prefix : lost) owned_.erase(prefix);
    }

    std::optional<std::string> inside_other(const Prefix& prefix, const Wanted& inner,
                                            const std::set<std::pair<Family, std::uint8_t>>& lengths) const {
        for (const auto& [family, length] : lengths) {
            if (family != prefix.family() || length >= prefix.length()) continue;
            const auto outer = owned_.find(Prefix::make(prefix.address(), length).value());
            if (outer == owned_.end() || outer->second.draft == inner.draft || outer->first.is_default())
                continue;
            // A node's own address may lie in the network that a gateway announces.
            if (outer->second.claim->cls == PrefixClass::extra && inner.claim->cls == PrefixClass::node)
                continue;
            const Peer& owner = drafts_[outer->second.draft].peer;
            const auto held = incumbents_.find(outer->first);
            const bool incumbent = held != incumbents_.end() && held->second == owner.public_key;
            const bool pod = outer->second.claim->cls == PrefixClass::pod;
            if (!outer->second.claim->authoritative && !pod && !incumbent) continue;
            if (!outer->second.claim->authoritative && !up_[outer->second.draft] && up_[inner.draft])
                continue;
            return "inside " + outer->first.to_string() + " of " + owner.name;
        }
        return std::nullopt;
    }

    void hand_out() {
        incumbents_.clear();
        for (const auto& [prefix, wanted] : owned_) {
            Peer& peer = drafts_[wanted.draft].peer;
            peer.prefixes.push_back({prefix, wanted.claim->cls, wanted.claim->source});
            if (wanted.claim->cls == PrefixClass::overlay) peer.address = prefix.address();
            incumbents_.emplace(prefix, peer.public_key);
        }
    }

    std::vector<Draft>& drafts_;
    const RegistryPolicy& policy_;
    const OwnClaims& own_;
    std::map<Prefix, PublicKey>& incumbents_;
    MergeResult& result_;
    std::vector<bool> up_;
    std::set<std::pair<IpAddress, std::size_t>> endpoints_;  // candidates, with their draft
    std::map<Prefix, std::vector<Wanted>> wanted_;
    std::map<Prefix, Wanted> owned_;
};

}  // namespace

void settle_prefixes(std::vector<Draft>& drafts, const RegistryPolicy& policy, const OwnClaims& own,
                     const Liveness& liveness, std::map<Prefix, PublicKey>& incumbents, MergeResult& result) {
    Settlement(drafts, policy, own, liveness, incumbents, result).run();
}

}  // namespace wglan
