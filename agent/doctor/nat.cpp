// SPDX-License-Identifier: Apache-2.0
#include "agent/doctor/nat.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace wglan {
namespace {

using Status = FindingStatus;
using Outcome = KnockResult::Outcome;

constexpr std::size_t kMostNamed = 4;

bool is_own(const OwnPlace& own, const IpAddress& address) {
    return std::find(own.addresses.begin(), own.addresses.end(), address) != own.addresses.end();
}

bool is_carriers(const IpAddress& address) {
    static const Prefix shared = Prefix::parse("100.64.0.0/10").value();
    return shared.contains(address);
}

bool on_own_network(const OwnPlace& own, const IpAddress& address) {
    return std::any_of(own.networks.begin(), own.networks.end(),
                       [&](const Prefix& network) { return network.contains(address); });
}

// Between a private address and a peer on the same network stands no NAT; that says nothing of others.
bool is_local(const Sighting& sighting, const OwnPlace& own) {
    return is_own(own, sighting.seen.address) && sighting.seen.address.is_private() &&
           on_own_network(own, sighting.from.address);
}

bool is_direct(const Sighting& sighting, const OwnPlace& own) {
    return is_own(own, sighting.seen.address) && sighting.seen.port == own.listen_port;
}

// Asked peers know best; what records say serves where none could be asked.
std::vector<Sighting> best_of(Family family, const std::vector<Sighting>& all) {
    std::vector<Sighting> asked, told;
    for (const Sighting& sighting : all)
        if (sighting.seen.address.family() == family) (sighting.asked ? asked : told).push_back(sighting);
    return asked.empty() ? told : asked;
}

NatMapping mapping_of(const std::vector<Sighting>& behind) {
    std::set<Endpoint> all;
    std::map<IpAddress, std::map<Endpoint, std::set<Endpoint>>> by_address;  // destination -> ports -> seen
    for (const Sighting& sighting : behind) {
        all.insert(sighting.seen);
        by_address[sighting.from.address][sighting.from].insert(sighting.seen);
    }
    if (all.size() == 1) return NatMapping::endpoint_independent;
    bool ports_agree = false;
    for (const auto& [address, places] : by_address) {
        std::set<Endpoint> here;
        for (const auto& [place, seen] : places) here.insert(seen.begin(), seen.end());
        if (here.size() > 1) return NatMapping::address_and_port_dependent;
        if (places.size() > 1) ports_agree = true;
    }
    return ports_agree ? NatMapping::address_dependent : NatMapping::endpoint_dependent;
}

std::string names(std::vector<std::string> all) {
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    const std::size_t count = all.size();
    if (count > kMostNamed) all.resize(kMostNamed);
    std::string text = fmt::format("{}", fmt::join(all, ", "));
    if (count > kMostNamed) text += fmt::format(" and {} more", count - kMostNamed);
    return text;
}

std::string endpoints(const std::vector<Endpoint>& all) {
    std::vector<std::string> texts;
    for (const Endpoint& endpoint : all) texts.push_back(endpoint.to_string());
    return names(std::move(texts));
}

const char* family_name(Family family) { return family == Family::v4 ? "IPv4" : "IPv6"; }

bool is_dependent(NatMapping mapping) {
    return mapping == NatMapping::address_dependent || mapping == NatMapping::address_and_port_dependent ||
           mapping == NatMapping::endpoint_dependent;
}

// What comes back from a port that this node never sent to: RFC 4787 section 5.
std::optional<bool> lets_others_in(const NatVerdict& verdict, const std::vector<KnockResult>& knocks) {
    std::optional<bool> open;
    for (const KnockResult& knock : knocks) {
        if (knock.announced || knock.target.address.family() != verdict.family ||
            !std::binary_search(verdict.seen.begin(), verdict.seen.end(), knock.target))
            continue;
        open = open.value_or(false) || knock.outcome != Outcome::lost;
    }
    return open;
}

std::string popular_name(const NatVerdict& verdict, std::optional<bool> open) {
    if (is_dependent(verdict.mapping)) return "\"symmetric\" NAT";
    if (!open) return "\"cone\" NAT";
    return *open ? "\"full cone\" or \"address-restricted cone\" NAT, or a forwarded port"
                 : "\"port-restricted cone\" NAT";
}

std::string forward(const OwnPlace& own) {
    return fmt::format("forward UDP port {} of the router to this node", own.listen_port);
}

std::string who_sees(const NatVerdict& verdict) {
    return fmt::format("{} {} this node at {}{}", names(verdict.peers),
                       verdict.peers.size() == 1 ? "sees" : "see", endpoints(verdict.seen),
                       verdict.from_records ? " (by their records; none could be asked)" : "");
}

Finding unknown_finding(const NatVerdict& verdict) {
    Finding finding{"nat", Status::skip, "", ""};
    finding.text = fmt::format(
        "{}: not known: {} this node without passing a NAT, being on its network; nobody elsewhere sees it",
        family_name(verdict.family), names(verdict.local) + (verdict.local.size() == 1 ? " sees" : " see"));
    return finding;
}

Finding dependent_finding(const NatVerdict& verdict, const OwnPlace& own) {
    const std::string kind = verdict.mapping == NatMapping::endpoint_dependent
                                 ? "address- or port-dependent"
                                 : std::string(to_string(verdict.mapping));
    Finding finding{"nat", Status::warn, "", ""};
    finding.text = fmt::format("{}: behind a NAT with {} mapping ({}): {}", family_name(verdict.family), kind,
                               popular_name(verdict, {}), who_sees(verdict));
    finding.mend = fmt::format(
        "peers that are exposed, or behind a NAT that lets other ports in, are reached; a pair of two nodes "
        "like this one, or this one and a port-restricted NAT, needs a relay. To be reached by all, {} and "
        "name its outside in advertise.endpoints",
        forward(own));
    return finding;
}

Finding cone_finding(const NatVerdict& verdict, const OwnPlace& own, std::optional<bool> open) {
    Finding finding{"nat", Status::pass, "", ""};
    const std::string port = !verdict.keeps_port   ? ""
                             : *verdict.keeps_port ? ", keeping the port"
                                                   : ", changing the port";
    finding.text =
        fmt::format("{}: behind a NAT{}{}: {}", family_name(verdict.family),
                    verdict.single_view ? "" : " with endpoint-independent mapping", port, who_sees(verdict));
    if (verdict.single_view) {
        finding.text += "; a second peer elsewhere would tell whether others see the same";
        return finding;
    }
    finding.text += fmt::format(" ({}); hole punching works with this kind", popular_name(verdict, open));
    if (open == false)
        finding.text += fmt::format(", except towards a \"symmetric\" NAT: for that, {}", forward(own));
    return finding;
}

std::string join_outcome(const std::vector<const KnockResult*>& knocks, Outcome outcome) {
    std::vector<std::string> peers;
    for (const KnockResult* knock : knocks)
        if (knock->outcome == outcome) peers.push_back(knock->peer);
    return names(std::move(peers));
}

const NatVerdict* verdict_of(const std::vector<NatVerdict>& verdicts, Family family) {
    for (const NatVerdict& verdict : verdicts)
        if (verdict.family == family) return &verdict;
    return nullptr;
}

Finding lost_finding(const NatVerdict* verdict, const OwnPlace& own, const Endpoint& target,
                     const std::string& who, bool announced) {
    Finding finding{"port", Status::warn, "", ""};
    finding.text = fmt::format("{} is not reachable from ports that this node hasn't sent to ({} tried)",
                               target.to_string(), who);
    if (announced) {
        finding.text = fmt::format("{}, which this node announces, is not reachable ({} tried)",
                                   target.to_string(), who);
        finding.mend =
            is_own(own, target.address)
                ? fmt::format("open UDP port {} in the firewalls in front of this node", target.port)
                : "check the port-forward, or take it out of advertise.endpoints";
        return finding;
    }
    if (is_own(own, target.address)) {
        finding.text += "; no NAT is there: a firewall on the way drops it";
        finding.mend = fmt::format(
            "open UDP port {} in the firewalls in front of this node; until then peers behind \"symmetric\" "
            "NATs can't reach it",
            target.port);
        return finding;
    }
    if (verdict != nullptr && verdict->mapping == NatMapping::endpoint_independent && !verdict->single_view) {
        finding.status = Status::pass;
        finding.text += "; the NAT filters them, and hole punching gets through: nothing to mend";
        return finding;
    }
    finding.mend = forward(own) + " and name its outside in advertise.endpoints";
    return finding;
}

}  // namespace

std::string_view to_string(NatMapping mapping) {
    switch (mapping) {
        case NatMapping::unknown:
            return "unknown";
        case NatMapping::none:
            return "none";
        case NatMapping::endpoint_independent:
            return "endpoint-independent";
        case NatMapping::address_dependent:
            return "address-dependent";
        case NatMapping::address_and_port_dependent:
            return "address-and-port-dependent";
        case NatMapping::endpoint_dependent:
            return "endpoint-dependent";
    }
    return "?";
}

std::string_view to_string(KnockResult::Outcome outcome) {
    switch (outcome) {
        case Outcome::lost:
            return "lost";
        case Outcome::filtered:
            return "filtered";
        case Outcome::delivered:
            return "delivered";
    }
    return "?";
}

std::optional<NatVerdict> judge_nat(Family family, const std::vector<Sighting>& sightings,
                                    const OwnPlace& own) {
    const std::vector<Sighting> all = best_of(family, sightings);
    if (all.empty()) return std::nullopt;
    NatVerdict verdict;
    verdict.family = family;
    verdict.from_records = !all.front().asked;
    std::vector<Sighting> direct, behind;
    for (const Sighting& sighting : all) {
        if (is_carriers(sighting.seen.address)) verdict.carrier_grade = true;
        if (is_local(sighting, own))
            verdict.local.push_back(sighting.peer);
        else
            (is_direct(sighting, own) ? direct : behind).push_back(sighting);
    }
    const std::vector<Sighting>& telling = behind.empty() ? direct : behind;
    if (telling.empty()) return verdict;
    std::set<Endpoint> seen;
    std::set<IpAddress> views;
    for (const Sighting& sighting : telling) {
        seen.insert(sighting.seen);
        views.insert(sighting.from.address);
        verdict.peers.push_back(sighting.peer);
    }
    verdict.seen.assign(seen.begin(), seen.end());
    if (behind.empty()) {
        verdict.mapping = NatMapping::none;
        return verdict;
    }
    for (const IpAddress& address : own.addresses)
        if (address.family() == family && is_carriers(address)) verdict.carrier_grade = true;
    verdict.mapping = mapping_of(behind);
    verdict.single_view = verdict.mapping == NatMapping::endpoint_independent && views.size() == 1;
    verdict.keeps_port = std::all_of(
        seen.begin(), seen.end(), [&](const Endpoint& endpoint) { return endpoint.port == own.listen_port; });
    return verdict;
}

Findings nat_findings(const NatVerdict& verdict, const OwnPlace& own,
                      const std::vector<KnockResult>& knocks) {
    Findings findings;
    if (verdict.mapping == NatMapping::unknown) {
        findings.push_back(unknown_finding(verdict));
    } else if (verdict.mapping == NatMapping::none) {
        findings.push_back({"nat", Status::pass,
                            fmt::format("{}: no NAT: {}", family_name(verdict.family), who_sees(verdict)),
                            ""});
    } else if (is_dependent(verdict.mapping)) {
        findings.push_back(dependent_finding(verdict, own));
    } else {
        findings.push_back(cone_finding(verdict, own, lets_others_in(verdict, knocks)));
    }
    if (verdict.carrier_grade)
        findings.back().text +=
            "; an address of 100.64.0.0/10 is in use: the provider translates too (CGNAT), and a port "
            "forwarded by your own router alone isn't enough";
    return findings;
}

Findings reach_findings(const std::vector<NatVerdict>& verdicts, const OwnPlace& own,
                        const std::vector<KnockResult>& knocks) {
    std::map<Endpoint, std::vector<const KnockResult*>> by_target;
    for (const KnockResult& knock : knocks) by_target[knock.target].push_back(&knock);
    Findings findings;
    std::map<Family, std::vector<const KnockResult*>>
        behind_symmetric;  // each peer has an outside of its own
    for (const auto& [target, tried] : by_target) {
        const auto some = [&tries = tried](Outcome outcome) {
            return std::any_of(tries.begin(), tries.end(),
                               [&](const KnockResult* knock) { return knock->outcome == outcome; });
        };
        const NatVerdict* verdict = verdict_of(verdicts, target.address.family());
        const bool announced = std::all_of(tried.begin(), tried.end(),
                                           [](const KnockResult* knock) { return knock->announced; });
        if (some(Outcome::delivered))
            findings.push_back({"port", Status::pass,
                                fmt::format("{} is reachable from ports that this node hasn't sent to: {} "
                                            "tried",
                                            target.to_string(), join_outcome(tried, Outcome::delivered)),
                                ""});
        else if (some(Outcome::filtered))
            findings.push_back(
                {"port", Status::fail,
                 fmt::format("{} is not reachable: what {} sent came to this host, and a firewall here "
                             "dropped it",
                             target.to_string(), join_outcome(tried, Outcome::filtered)),
                 fmt::format("let UDP to port {} in (nft list ruleset, iptables-save)", own.listen_port)});
        else if (!announced && verdict != nullptr && is_dependent(verdict->mapping))
            behind_symmetric[target.address.family()].insert(behind_symmetric[target.address.family()].end(),
                                                             tried.begin(), tried.end());
        else
            findings.push_back(
                lost_finding(verdict, own, target, join_outcome(tried, Outcome::lost), announced));
    }
    for (const auto& [family, tried] : behind_symmetric)
        findings.push_back(
            {"port", Status::warn,
             fmt::format("{}: not reachable from ports that this node hasn't sent to ({} tried)",
                         family_name(family), join_outcome(tried, Outcome::lost)),
             forward(own) + " and name its outside in advertise.endpoints"});
    return findings;
}

}  // namespace wglan
