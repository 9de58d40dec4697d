// SPDX-License-Identifier: Apache-2.0
// A peer after the merge of all sources: who owns what, and how it is doing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/model/record.h"

namespace wglan {

enum class PeerState { unknown, up, degraded, down, quarantined };
std::string_view to_string(PeerState state);

enum class PrefixClass { overlay, node, pod, extra };
std::string_view to_string(PrefixClass cls);

struct OwnedPrefix {
    Prefix prefix;
    PrefixClass cls = PrefixClass::extra;
    std::string source;  // the source that claimed it
    auto operator<=>(const OwnedPrefix&) const = default;
};

// How an endpoint came to be a peer's candidate.
enum class CandidateSource {
    roamed,      // WireGuard heard it from there
    configured,  // a static entry
    announced,   // by itself, through a discovery service
    observed,    // a discovery service saw it come from that address
    cached,      // by itself, as the cache remembers
    kubernetes,  // by itself, in its Node's annotations
    peers,       // other members say that they reach it there
};
std::string_view to_string(CandidateSource source);

struct Candidate {
    HostPort where;
    CandidateSource source = CandidateSource::announced;
    int base = 0;  // what source and place make it worth, before any try; the higher the better
    bool operator==(const Candidate&) const = default;
};

struct Peer {
    std::string name;  // unique among peers
    PublicKey public_key;
    IdentityKey identity;               // zero for static peers
    IpAddress address;                  // overlay; unspecified if it owns none
    std::vector<OwnedPrefix> prefixes;  // sorted by prefix; what it may receive, address included
    std::vector<Candidate> candidates;  // best first, without duplicates
    std::map<std::string, std::string> labels;
    std::vector<std::string> sources;          // names of the sources that tell of it, sorted
    std::uint64_t version = 0;                 // sequence of its newest record: other news, other number
    std::optional<std::uint16_t> keepalive_s;  // overrides peers.keepaliveSeconds
    std::string preshared_key_file;
    bool agentless = false;  // static: judged by handshakes alone
    // A discovery service names it now; that ends two minutes after its agent's last word.
    bool announced = false;
    bool operator==(const Peer&) const = default;
};

struct Refusal {
    std::string peer;
    std::string prefix;  // the prefix, name, key, address or endpoint refused, as text
    std::string reason;
    auto operator<=>(const Refusal&) const = default;
};

}  // namespace wglan
