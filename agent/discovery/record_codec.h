// SPDX-License-Identifier: Apache-2.0
// Record <-> the JSON that is sealed into an envelope's payload. docs/discovery-protocol.md has the
// schema. Pure.
#pragma once

#include <string>
#include <string_view>

#include "agent/discovery/cluster_keys.h"
#include "agent/model/record.h"

namespace wglan {

inline constexpr std::size_t kMaxEndpoints = 64, kMaxNodeAddresses = 32, kMaxPrefixes = 1024, kMaxLabels = 64,
                             kMaxObserved = 1024;

// Canonical: keys sorted, no white space, name in lower case, addresses and prefixes sorted and
// unique, endpoints in their order without duplicates and without those nobody could use
// (unspecified, loopback, link-local, multicast). The same record gives the same bytes. `sequence`
// and `issued` are not part of it: the envelope has them. invalid when a rule of the schema is broken.
Result<std::string> encode_record(const Record& record);
// Strict about what it knows, ignores unknown fields; sequence and issued stay 0.
Result<Record> decode_record(std::string_view json);

// Encodes, seals and signs. exhausted when the payload would be over kMaxPayload.
Result<Envelope> seal_envelope(const ClusterKeys& keys, std::span<const std::uint8_t> identity_seed,
                               const Record& record, std::uint32_t ttl_seconds);
// Both signatures, the seal, the schema, and that the record claims the identity that signed it.
// Freshness and roll-back are judged elsewhere (check_freshness, SequenceGuard).
Result<Record> open_envelope(const ClusterKeys& keys, const IdentityKey& node, const Envelope& envelope);
// The same for an envelope whose signatures were verified before.
Result<Record> open_verified_envelope(const ClusterKeys& keys, const IdentityKey& node,
                                      const Envelope& envelope);
Result<Tombstone> open_tombstone(const ClusterKeys& keys, const IdentityKey& node, const Envelope& envelope);

}  // namespace wglan
