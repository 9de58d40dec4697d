// SPDX-License-Identifier: Apache-2.0
// What a node publishes about itself, and what a source says of it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/ip.h"
#include "agent/base/keys.h"

namespace wglan {

// Verified content of one node's record. Limits (enforced by the codec): name 1-253 characters of
// [a-z0-9.-] (RFC 1123, compared in lower case), at most 64 endpoints, 32 node addresses, 1024 prefixes of
// each kind, 64 labels.
struct Record {
    std::string name;
    PublicKey public_key;             // of its WireGuard interface
    IdentityKey identity;             // signs its records; zero for static peers
    IpAddress address;                // overlay address (IPv6); unspecified where a static peer has none
    std::vector<HostPort> endpoints;  // where its WireGuard port may be reached, best first
    std::vector<IpAddress> node_addresses;  // underlay addresses that peers steer to this node
    std::vector<Prefix> pod_prefixes;
    std::vector<Prefix> prefixes;  // further prefixes routed to this node
    std::map<std::string, std::string> labels;
    // Endpoints this node sees for peers that are up, where they differ from what the peer announces.
    std::map<std::string, Endpoint> observed;  // key: the peer's public key, base64
    std::uint64_t sequence = 0;
    UnixTime issued = 0;

    bool operator==(const Record&) const = default;
};

enum class SourceKind { static_entry, kubernetes, service, cache };
std::string_view to_string(SourceKind kind);  // "static", "kubernetes", "service", "cache"

// A record as one source tells it.
struct SourcedRecord {
    Record record;
    SourceKind kind = SourceKind::service;
    std::string source;                         // "static", "cache", "service:HOST:PORT" ...
    std::optional<IpAddress> observed_address;  // what the service saw as the publisher's address
    std::optional<std::uint16_t> keepalive_s;   // static entries may fix it
    std::string preshared_key_file;             // static entries; empty = derive as configured
};

// A signed withdrawal. Its sequence is above every record it withdraws.
struct Tombstone {
    IdentityKey identity;
    std::uint64_t sequence = 0;
    UnixTime issued = 0;
    bool operator==(const Tombstone&) const = default;
};

enum class SourceState { connecting, synced, degraded, down };
std::string_view to_string(SourceState state);

struct SourceStatus {
    std::string name;
    SourceState state = SourceState::connecting;
    std::size_t records = 0;
    UnixTime last_sync = 0;  // 0 = never
    std::string last_error;
    std::optional<Seconds> lag = {};      // since it last showed that it lives; none = not yet, or it needn't
    std::vector<std::string> notes = {};  // what it has to do without, one phrase each
    // Kubernetes: Nodes that no agent speaks for, and the names of some.
    std::optional<std::size_t> agentless = {};
    std::vector<std::string> agentless_names = {};
};

}  // namespace wglan
