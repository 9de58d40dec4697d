// SPDX-License-Identifier: Apache-2.0
// What a cluster token gives: it is only ever an HKDF input.
#pragma once

#include "agent/discovery/wire.h"

namespace wglan {

// Derived once from the token; secrets stay in locked memory. Move-only.
class ClusterKeys {
public:
    // discovery_id: 64 lower-case hex digits (the configuration works it out).
    static Result<ClusterKeys> derive(std::span<const std::uint8_t> token, std::string discovery_id);

    const std::string& cluster() const { return cluster_; }
    const MemberKey& member_key() const { return member_key_; }
    // Signs an envelope for this node with both keys and adds the member key. The payload is
    // sealed already, or empty for a tombstone.
    Envelope sign_envelope(std::span<const std::uint8_t> identity_seed, const IdentityKey& node,
                           std::uint64_t sequence, UnixTime issued, std::uint32_t ttl_seconds,
                           std::string payload) const;
    // Seals the JSON of a record under a random nonce, bound to cluster, node and sequence.
    std::string seal_record(const IdentityKey& node, std::uint64_t sequence, std::string_view json) const;
    // permission when the key or the bound values differ; protocol when too short.
    Result<std::string> open_record(const IdentityKey& node, std::uint64_t sequence,
                                    std::string_view sealed) const;

    // HMAC-SHA256 of what a node says of itself in its Node's annotations.
    std::array<std::uint8_t, 32> authenticate(std::string_view said) const;
    bool is_authentic(std::string_view said, std::span<const std::uint8_t> mac) const;

private:
    ClusterKeys() = default;
    WipedKey seal_key() const;

    std::string cluster_;
    MemberKey member_key_;
    Secret member_seed_;
    Secret seal_key_;
    Secret annotation_key_;
};

}  // namespace wglan
