// SPDX-License-Identifier: Apache-2.0
#include "agent/app/own_record.h"

#include <algorithm>
#include <iterator>

#include "agent/model/guard.h"

namespace wglan {

bool endpoint_allowed(const std::vector<EndpointFilter>& filters, const IpAddress& address) {
    bool allowed = false;
    bool only_exclusions = true;
    for (const EndpointFilter& filter : filters) {
        if (!filter.exclude) only_exclusions = false;
        if (filter.prefix.contains(address)) allowed = !filter.exclude;
    }
    if (allowed || !only_exclusions) return allowed;
    // A list of exclusions alone excludes from everything.
    return std::none_of(filters.begin(), filters.end(),
                        [&](const EndpointFilter& filter) { return filter.prefix.contains(address); });
}

namespace {

constexpr Seconds kNewsInterval{10};
constexpr Seconds kNewsGap{1};  // what comes within it goes together
constexpr int kNewsAtOnce = 4;
constexpr Milliseconds kNewsTogether{100};

// Readers refuse a record whole that claims what never leaves a host or link.
bool usable(const Prefix& prefix) {
    const IpAddress& a = prefix.address();
    return prefix.is_default() ||
           (!a.is_loopback() && !a.is_link_local() && !a.is_multicast() && !a.is_unspecified());
}

}  // namespace

bool announces(const Record& record, Family family) {
    const auto of_family = [&](const Prefix& prefix) { return prefix.family() == family; };
    return std::any_of(record.pod_prefixes.begin(), record.pod_prefixes.end(), of_family) ||
           std::any_of(record.prefixes.begin(), record.prefixes.end(), of_family);
}

std::vector<std::string> host_warnings(const Config& config, const Record& own, const HostFacts& facts) {
    std::vector<std::string> warnings;
    const std::string why =
        " is off, but this node announces prefixes that it would have to forward; set it to 1";
    if (!facts.forwards4 && announces(own, Family::v4))
        warnings.push_back("sysctl net.ipv4.ip_forward" + why);
    if (!facts.forwards6 && announces(own, Family::v6))
        warnings.push_back("sysctl net.ipv6.conf.all.forwarding" + why);
    if (facts.uplinks.empty())
        warnings.push_back(
            "no device here is an uplink (see steering.uplinks): what this node sends is not steered");
    for (const std::string& name : facts.unhooked)
        warnings.push_back(
            name +
            " can't be an uplink (no program can stand at a device of its type): what leaves by it is not "
            "steered");
    if (config.guard.enabled && facts.all_addresses.size() > kMostGuardedAddresses)
        warnings.push_back("this host has " + std::to_string(facts.all_addresses.size()) +
                           " addresses: the guard stands before " + std::to_string(kMostGuardedAddresses) +
                           " of them");
    const auto unusable = [&](const char* setting, const std::vector<Prefix>& prefixes) {
        for (const Prefix& prefix : prefixes)
            if (!usable(prefix))
                warnings.push_back(std::string(setting) + ": " + prefix.to_string() +
                                   " isn't announced: such addresses never leave a host or link");
    };
    if (config.pod_networking && config.node.pod_prefixes)
        unusable("node.podPrefixes", *config.node.pod_prefixes);
    unusable("advertise.prefixes", config.advertise.prefixes);
    return warnings;
}

std::map<std::string, Endpoint> observed_endpoints(
    const std::vector<Peer>& peers, const std::function<std::optional<Endpoint>(const PublicKey&)>& in_use,
    const std::function<std::vector<Endpoint>(const HostPort&)>& known) {
    std::map<std::string, Endpoint> observed;
    for (const Peer& peer : peers) {
        // One without an agent calls everybody itself; whom to call, each node's configuration says.
        const auto endpoint = peer.agentless ? std::nullopt : in_use(peer.public_key);
        if (!endpoint || !endpoint->address.is_global_unicast() || observed.size() >= kMostObservedByUs)
            continue;
        // What other members say counts for nothing: two of them would take turns in keeping silent. What a
        // discovery service saw is an address alone, the port a guess.
        const bool told =
            std::any_of(peer.candidates.begin(), peer.candidates.end(), [&](const Candidate& candidate) {
                const auto all = known(candidate.where);
                return candidate.source != CandidateSource::peers &&
                       candidate.source != CandidateSource::observed &&
                       std::find(all.begin(), all.end(), *endpoint) != all.end();
            });
        if (!told) observed.emplace(to_string(peer.public_key), *endpoint);
    }
    return observed;
}

std::vector<Endpoint> seen_behind_nat(const std::vector<Endpoint>& seen, const std::vector<IpAddress>& own) {
    std::vector<Endpoint> foreign;
    std::copy_if(seen.begin(), seen.end(), std::back_inserter(foreign), [&](const Endpoint& endpoint) {
        return std::find(own.begin(), own.end(), endpoint.address) == own.end();
    });
    return foreign;
}

bool tells_more(const std::map<std::string, Endpoint>& observed,
                const std::map<std::string, Endpoint>& told) {
    return std::any_of(observed.begin(), observed.end(), [&](const auto& item) {
        const auto known = told.find(item.first);
        return known == told.end() || known->second != item.second;
    });
}

SteadyTime NewsPace::next(SteadyTime now) {
    if (ready_ == SteadyTime{}) ready_ = now + kNewsTogether;
    return std::max(next_, ready_);
}

void NewsPace::told(SteadyTime now) {
    ready_ = {};
    whole_ = std::max(whole_, now) + kNewsInterval;
    next_ = std::max(now + kNewsGap, whole_ - (kNewsAtOnce - 1) * kNewsInterval);
}

Record build_own_record(const Config& config, const HostFacts& facts, const PublicKey& public_key,
                        const IdentityKey& identity, const IpAddress& overlay, std::uint16_t listen_port) {
    Record record;
    record.name = config.node.name;
    record.public_key = public_key;
    record.identity = identity;
    record.address = overlay;
    record.node_addresses = config.node.addresses.value_or(facts.node_addresses);
    const auto add = [&](const HostPort& where) {
        if (std::find(record.endpoints.begin(), record.endpoints.end(), where) == record.endpoints.end())
            record.endpoints.push_back(where);
    };
    for (const HostPort& where : config.advertise.endpoints) add(where);
    for (const IpAddress& address : facts.node_addresses)
        if (endpoint_allowed(config.advertise.endpoint_filters, address))
            add({address.to_string(), listen_port});
    const auto excluded = [&](const Prefix& prefix) {
        return std::any_of(config.advertise.exclude_prefixes.begin(), config.advertise.exclude_prefixes.end(),
                           [&](const Prefix& out) { return out.contains(prefix); });
    };
    std::erase_if(record.node_addresses, [&](const IpAddress& a) { return excluded(Prefix::host(a)); });
    if (config.pod_networking && config.node.pod_prefixes)
        for (const Prefix& prefix : *config.node.pod_prefixes)
            if (!excluded(prefix) && usable(prefix)) record.pod_prefixes.push_back(prefix);
    for (const Prefix& prefix : config.advertise.prefixes)
        if (!excluded(prefix) && usable(prefix)) record.prefixes.push_back(prefix);
    record.labels = config.node.labels;
    return record;
}

}  // namespace wglan
