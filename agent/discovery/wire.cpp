// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/wire.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace wglan {

std::string signed_bytes(EnvelopeKind kind, std::string_view cluster, const IdentityKey& node,
                         std::uint64_t sequence, UnixTime issued, std::uint32_t ttl_seconds,
                         std::string_view payload) {
    std::string bytes =
        fmt::format("wglan/v1/{}\n{}\n{}\n{}\n{}\n{}\n", kind == EnvelopeKind::put ? "put" : "delete",
                    cluster, to_string(node), sequence, issued, ttl_seconds);
    bytes.append(payload);
    return bytes;
}

Result<> verify_envelope(std::string_view cluster, const IdentityKey& node, const Envelope& envelope,
                         const MemberKey& member) {
    const auto bytes = signed_bytes(envelope.kind(), cluster, node, envelope.sequence, envelope.issued,
                                    envelope.ttl_seconds, envelope.payload);
    if (!verify(node, as_bytes(bytes), envelope.signature))
        return fail(ErrorKind::permission, "the signature is not that of the node's identity");
    if (!verify(IdentityKey{member.bytes}, as_bytes(bytes), envelope.member))
        return fail(ErrorKind::permission, "the member signature is not that of this cluster's member key");
    return {};
}

Result<> check_freshness(UnixTime issued, UnixTime now, bool clock_synchronised) {
    if (!clock_synchronised) return {};
    if (issued > now && issued - now > kMaxAheadSeconds)
        return fail(
            ErrorKind::invalid,
            fmt::format("issued {} s in the future, at most {} s is accepted; compare the clocks (NTP)",
                        issued - now, kMaxAheadSeconds));
    if (now > issued && now - issued > kMaxAgeSeconds)
        return fail(ErrorKind::invalid, fmt::format("stale: issued {} s ago, at most {} s is accepted",
                                                    now - issued, kMaxAgeSeconds));
    return {};
}

bool is_cluster_id(std::string_view text) {
    return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
           });
}

std::string nodes_path(std::string_view cluster) { return fmt::format("/v1/clusters/{}/nodes", cluster); }

std::string node_path(std::string_view cluster, const IdentityKey& node) {
    return fmt::format("/v1/clusters/{}/nodes/{}", cluster, to_string(node));
}

}  // namespace wglan
