// SPDX-License-Identifier: Apache-2.0
// What this node publishes about itself. Pure.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/app/facts.h"
#include "agent/base/clock.h"
#include "agent/model/peer.h"
#include "agent/model/record.h"
#include "config/config.h"

namespace wglan {

// Sequence and issued are left at 0: they belong to the act of publishing. `listen_port` is the port
// in use (the kernel may have chosen it).
Record build_own_record(const Config& config, const HostFacts& facts, const PublicKey& public_key,
                        const IdentityKey& identity, const IpAddress& overlay, std::uint16_t listen_port);

// Where this node reaches peers at endpoints that they don't announce (behind a NAT, say), for others to try
// and for them to know; at most kMostObservedByUs. `in_use`: the endpoint of a peer that is alive. `known`:
// those of a candidate.
inline constexpr std::size_t kMostObservedByUs = 128;  // some 10 KiB of a record's 16
std::map<std::string, Endpoint> observed_endpoints(
    const std::vector<Peer>& peers, const std::function<std::optional<Endpoint>(const PublicKey&)>& in_use,
    const std::function<std::vector<Endpoint>(const HostPort&)>& known);
// Of where others see this node, what isn't an address of its own: it is behind a NAT.
std::vector<Endpoint> seen_behind_nat(const std::vector<Endpoint>& seen, const std::vector<IpAddress>& own);
// True if it says something that `told` doesn't; what is missing is no news.
bool tells_more(const std::map<std::string, Endpoint>& observed, const std::map<std::string, Endpoint>& told);

// When such news may be told: at once, but a few in quick succession at most, and one in 10 s in the long
// run. A record wakes every member, and peers that roam all the time must not make it a stream. (The generic
// cell rate algorithm.)
class NewsPace {
public:
    // When what is new at this moment may be told; in the past: now. Others join at the same moment, and two
    // of them behind NATs should hear of each other in one piece.
    SteadyTime next(SteadyTime now);
    void told(SteadyTime now);

private:
    // The first news since the last telling have waited for others; zero: there are none.
    SteadyTime ready_{};
    SteadyTime whole_{};  // when nothing told before counts any more
    SteadyTime next_{};
};

// Pod or further prefixes of this family, for which its node has to forward.
bool announces(const Record& record, Family family);

// What the operator has to mend: forwarding that is off although this node announces what it would have
// to forward, and no uplink at all; empty = nothing.
std::vector<std::string> host_warnings(const Config& config, const Record& own, const HostFacts& facts);

// True if a filter list lets the address be announced: the last matching filter decides; none = no.
bool endpoint_allowed(const std::vector<EndpointFilter>& filters, const IpAddress& address);

}  // namespace wglan
