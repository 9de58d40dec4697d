// SPDX-License-Identifier: Apache-2.0
// What kind of NAT this node is behind, from where others see it; and whether its port can be reached.
// Terms are those of RFC 4787 (sections 4.1 and 5), with the older names of RFC 3489 beside them. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/base/ip.h"
#include "agent/doctor/finding.h"

namespace wglan {

// Where one peer sees this node.
struct Sighting {
    std::string peer;
    Endpoint from;      // where this node reaches that peer: the destination of the mapping
    Endpoint seen;      // the mapping's outside
    bool asked = true;  // it said so just now; false: its record does, which may be old
    bool operator==(const Sighting&) const = default;
};

// This node as it sees itself.
struct OwnPlace {
    std::vector<IpAddress> addresses;  // of the host, without wglan0's
    std::vector<Prefix> networks;      // on-link networks of its uplinks
    std::uint16_t listen_port = 0;
};

enum class NatMapping {
    unknown,                     // too few see this node from elsewhere
    none,                        // they see it at an address of its own
    endpoint_independent,        // all see the same
    address_dependent,           // who has another address sees another port
    address_and_port_dependent,  // so does another port of the same address
    endpoint_dependent,          // one of these two
};
std::string_view to_string(NatMapping mapping);  // "endpoint-independent" ...

struct NatVerdict {
    Family family = Family::v4;
    NatMapping mapping = NatMapping::unknown;
    std::optional<bool> keeps_port;  // the outside has the port of the inside
    bool carrier_grade = false;      // an address of 100.64/10 (RFC 6598) is in play
    std::vector<Endpoint> seen;      // outsides, sorted, each once; those that `mapping` is about
    std::vector<std::string> peers;  // who sees them
    std::vector<std::string> local;  // who sees this node without passing where a NAT may stand
    bool from_records = false;       // nobody was asked: by what members' records say
    bool single_view = false;        // all that see it have one address: mapping to others isn't known
};

// Those of one family; nullopt where nobody reaches this node over it.
std::optional<NatVerdict> judge_nat(Family family, const std::vector<Sighting>& sightings,
                                    const OwnPlace& own);

// What came of one knock at an endpoint of this node.
struct KnockResult {
    enum class Outcome {
        lost,      // nothing came
        filtered,  // it came to this host, and its firewall dropped it
        delivered,
    };
    std::string peer;  // who knocked
    Endpoint from;     // where that peer is reached
    Endpoint target;
    bool announced = false;  // it isn't where the peer sees this node, but the record names it
    Outcome outcome = Outcome::lost;
};
std::string_view to_string(KnockResult::Outcome outcome);

Findings nat_findings(const NatVerdict& verdict, const OwnPlace& own, const std::vector<KnockResult>& knocks);
// One finding for each endpoint that was knocked at.
Findings reach_findings(const std::vector<NatVerdict>& verdicts, const OwnPlace& own,
                        const std::vector<KnockResult>& knocks);

}  // namespace wglan
