// SPDX-License-Identifier: Apache-2.0
// What travels between agent and discovery service: signed envelopes, their JSON and their checks.
// docs/discovery-protocol.md is the specification. Pure: no sockets, no clock.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/ip.h"
#include "agent/base/keys.h"

namespace wglan {

inline constexpr std::size_t kMaxPayload = 16U << 10;            // raw bytes, before base64
inline constexpr std::size_t kMaxEnvelopeJson = 32U << 10;       // one envelope or event as text
inline constexpr std::uint64_t kMaxSequence = (1ULL << 53) - 1;  // exact in every JSON reader
inline constexpr std::uint32_t kMinTtlSeconds = 30, kMaxTtlSeconds = 3600;
inline constexpr UnixTime kMaxAgeSeconds = 86400, kMaxAheadSeconds = 600;
inline constexpr std::size_t kMaxRevision = 64;  // characters

using Signature = std::array<std::uint8_t, 64>;
// Ed25519 public key of a cluster's member key.
using MemberKey = Bytes32<struct MemberKeyTag>;

enum class EnvelopeKind { put, remove };

// One signed statement of a node: its sealed record, or (empty payload) its withdrawal.
struct Envelope {
    std::uint64_t sequence = 0;  // 1 .. kMaxSequence
    UnixTime issued = 0;
    std::uint32_t ttl_seconds = 0;  // kMinTtlSeconds .. kMaxTtlSeconds
    std::string payload;            // raw bytes; empty in a tombstone
    Signature signature{};          // by the node's identity
    Signature member{};             // by the cluster's member key, over the same bytes
    // Needed once a cluster, at its first write: the service pins it.
    std::optional<MemberKey> member_key;

    EnvelopeKind kind() const { return payload.empty() ? EnvelopeKind::remove : EnvelopeKind::put; }
    bool operator==(const Envelope&) const = default;
};

// An envelope with the node it speaks for, as lists and watches carry it.
struct NodeEntry {
    IdentityKey node;
    Envelope envelope;
    std::optional<IpAddress> observed_address;  // where the publisher's connection came from
    bool operator==(const NodeEntry&) const = default;
};

struct WatchEvent {
    enum class Type { put, remove, bookmark };
    Type type = Type::bookmark;
    std::string revision;
    bool expired = false;  // remove without a tombstone: entry.node alone is set
    NodeEntry entry;       // unset in a bookmark
    bool operator==(const WatchEvent&) const = default;
};

struct NodeList {
    std::string revision;
    std::vector<NodeEntry> nodes;
    std::vector<NodeEntry> tombstones;  // withdrawals that the service still remembers
    std::vector<std::string> bad;       // entries that could not be read, with the reason
};

struct PutAnswer {
    std::string revision;
    std::optional<IpAddress> observed_address;
};

// The bytes that both signatures cover. `node` stands in them in base64url.
std::string signed_bytes(EnvelopeKind kind, std::string_view cluster, const IdentityKey& node,
                         std::uint64_t sequence, UnixTime issued, std::uint32_t ttl_seconds,
                         std::string_view payload);

// Both signatures; permission errors say which of them is wrong.
Result<> verify_envelope(std::string_view cluster, const IdentityKey& node, const Envelope& envelope,
                         const MemberKey& member);
// `issued` against the reader's clock; an unsynchronised clock judges nothing.
Result<> check_freshness(UnixTime issued, UnixTime now, bool clock_synchronised);

// 64 lower-case hex digits.
bool is_cluster_id(std::string_view text);
std::string nodes_path(std::string_view cluster);                          // /v1/clusters/{cluster}/nodes
std::string node_path(std::string_view cluster, const IdentityKey& node);  // …/nodes/{node}

// JSON. Readers are strict about types, ranges and sizes, ignore unknown fields, and name the field
// that is wrong (invalid). Writers give one line without a line end.
std::string envelope_json(const Envelope& envelope);
Result<Envelope> parse_envelope(std::string_view json);
std::string node_entry_json(const NodeEntry& entry);
Result<NodeEntry> parse_node_entry(std::string_view json);
std::string watch_event_json(const WatchEvent& event);
Result<WatchEvent> parse_watch_event(std::string_view line);
// From entries already written by node_entry_json.
std::string node_list_json(std::string_view revision, const std::vector<std::string>& nodes,
                           const std::vector<std::string>& tombstones);
// A broken entry goes to `bad`; a broken whole is an error.
Result<NodeList> parse_node_list(std::string_view json);
std::string put_answer_json(const PutAnswer& answer);
Result<PutAnswer> parse_put_answer(std::string_view json);
// 409: {"error": text, "sequence": N}.
std::string conflict_json(std::string_view error, std::uint64_t sequence);
Result<std::uint64_t> parse_conflict(std::string_view json);

}  // namespace wglan
