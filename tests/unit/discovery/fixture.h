// SPDX-License-Identifier: Apache-2.0
// Nodes, keys and envelopes for the tests of agent/discovery.
#pragma once

#include <gtest/gtest.h>

#include "agent/discovery/record_codec.h"
#include "agent/discovery/source_context.h"

namespace wglan::testing {

inline const bool kCryptoStarted = init_crypto().has_value();
inline constexpr UnixTime kNow = 1767225600;
inline constexpr std::string_view kToken = "correct horse battery staple, 32";

template <class T>
T must(Result<T> result) {
    if (!result) {
        ADD_FAILURE() << result.error().message();
        std::abort();
    }
    return std::move(*result);
}

inline std::string message(const auto& result) { return result ? "" : result.error().message(); }

inline ClusterKeys cluster_keys(std::string_view token = kToken) {
    return must(ClusterKeys::derive(as_bytes(token), hex_encode(sha256(as_bytes(token)))));
}

// A node with keys made from its number.
struct Node {
    explicit Node(std::uint8_t number) : seed(32) {
        for (auto& byte : seed.mutable_bytes()) byte = number;
        identity = must(identity_of(seed.bytes()));
        record.name = "node" + std::to_string(number);
        record.identity = identity;
        record.public_key.bytes.fill(number);
        record.address = must(IpAddress::parse("200:1001::" + std::to_string(number)));
        record.endpoints = {must(HostPort::parse("192.0.2." + std::to_string(number) + ":51820"))};
        record.node_addresses = {must(IpAddress::parse("192.0.2." + std::to_string(number)))};
        record.pod_prefixes = {must(Prefix::parse("10.244." + std::to_string(number) + ".0/24"))};
        record.labels = {{"zone", "fra1"}};
        record.sequence = 1;
        record.issued = kNow;
    }

    Envelope envelope(const ClusterKeys& keys, std::uint64_t sequence, UnixTime issued = kNow) const {
        Record copy = record;
        copy.sequence = sequence;
        copy.issued = issued;
        return must(seal_envelope(keys, seed.bytes(), copy, 120));
    }
    NodeEntry entry(const ClusterKeys& keys, std::uint64_t sequence, UnixTime issued = kNow) const {
        return {identity, envelope(keys, sequence, issued), std::nullopt};
    }
    // Seals any text as this node's record.
    NodeEntry entry_of(const ClusterKeys& keys, std::uint64_t sequence, std::string_view json) const {
        auto payload = keys.seal_record(identity, sequence, json);
        return {identity,
                keys.sign_envelope(seed.bytes(), identity, sequence, kNow, 120, std::move(payload)),
                {}};
    }
    NodeEntry tombstone(const ClusterKeys& keys, std::uint64_t sequence) const {
        return {identity, keys.sign_envelope(seed.bytes(), identity, sequence, kNow, 3600, {}), std::nullopt};
    }

    Secret seed;
    IdentityKey identity;
    Record record;
};

struct FakeClock final : Clock {
    SteadyTime now() const override { return steady; }
    UnixTime unix_now() const override { return unix_time; }
    SteadyTime steady = SteadyTime{} + Seconds{1000};
    UnixTime unix_time = kNow;
};

// The real monotonic clock under a fixed date.
struct FixedDate final : Clock {
    SteadyTime now() const override { return std::chrono::steady_clock::now(); }
    UnixTime unix_now() const override { return kNow; }
};

inline SourceContext context_for(asio::io_context& io, const Clock& clock, const Node& self) {
    SourceContext context;
    context.io = &io;
    context.clock = &clock;
    context.keys = std::make_shared<const ClusterKeys>(cluster_keys());
    context.sealer = std::make_shared<OwnSealer>(
        context.keys, std::make_shared<const Secret>(self.seed.clone()), self.identity);
    context.guard = std::make_shared<SequenceGuard>();
    context.clock_synchronised = [] { return true; };
    context.random = [] { return 0.5; };
    return context;
}

}  // namespace wglan::testing
