// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/cluster_keys.h"

#include <algorithm>

#include <fmt/format.h>

namespace wglan {
namespace {

std::string associated(std::string_view cluster, const IdentityKey& node, std::uint64_t sequence) {
    return fmt::format("{}\n{}\n{}", cluster, to_string(node), sequence);
}

}  // namespace

Result<ClusterKeys> ClusterKeys::derive(std::span<const std::uint8_t> token, std::string discovery_id) {
    if (token.empty()) return fail(ErrorKind::invalid, "the cluster token is empty");
    if (!is_cluster_id(discovery_id))
        return fail(ErrorKind::invalid, "the discovery ID must be 64 lower-case hex digits");
    ClusterKeys keys;
    keys.cluster_ = std::move(discovery_id);
    keys.member_seed_ = Secret::copy_of(hkdf_sha256(token, {}, "wglan/v1/member").bytes);
    keys.seal_key_ = Secret::copy_of(hkdf_sha256(token, {}, "wglan/v1/seal").bytes);
    keys.annotation_key_ = Secret::copy_of(hkdf_sha256(token, {}, "wglan/v1/annotations").bytes);
    auto member = identity_of(keys.member_seed_.bytes());
    if (!member) return fail_with(member, "derive the member key");
    keys.member_key_ = MemberKey{member->bytes};
    return keys;
}

Envelope ClusterKeys::sign_envelope(std::span<const std::uint8_t> identity_seed, const IdentityKey& node,
                                    std::uint64_t sequence, UnixTime issued, std::uint32_t ttl_seconds,
                                    std::string payload) const {
    Envelope envelope;
    envelope.sequence = sequence;
    envelope.issued = issued;
    envelope.ttl_seconds = ttl_seconds;
    envelope.payload = std::move(payload);
    const auto bytes =
        signed_bytes(envelope.kind(), cluster_, node, sequence, issued, ttl_seconds, envelope.payload);
    envelope.signature = sign(identity_seed, as_bytes(bytes));
    envelope.member = sign(member_seed_.bytes(), as_bytes(bytes));
    envelope.member_key = member_key_;
    return envelope;
}

std::string ClusterKeys::seal_record(const IdentityKey& node, std::uint64_t sequence,
                                     std::string_view json) const {
    return seal(seal_key(), json, associated(cluster_, node, sequence));
}

Result<std::string> ClusterKeys::open_record(const IdentityKey& node, std::uint64_t sequence,
                                             std::string_view sealed) const {
    return open_sealed(seal_key(), sealed, associated(cluster_, node, sequence));
}

std::array<std::uint8_t, 32> ClusterKeys::authenticate(std::string_view said) const {
    return hmac_sha256(annotation_key_.bytes(), as_bytes(said));
}

bool ClusterKeys::is_authentic(std::string_view said, std::span<const std::uint8_t> mac) const {
    return same_bytes(authenticate(said), mac);
}

WipedKey ClusterKeys::seal_key() const {
    WipedKey key;
    std::ranges::copy(seal_key_.bytes(), key.bytes.begin());
    return key;
}

}  // namespace wglan
