// SPDX-License-Identifier: Apache-2.0
// A cluster and nodes that sign, for the service's tests.
#pragma once

#include <string>

#include "agent/discovery/wire.h"

namespace wglan::test {

struct ManualClock : Clock {
    SteadyTime steady = std::chrono::steady_clock::now();
    UnixTime unix_time = 1'800'000'000;
    SteadyTime now() const override { return steady; }
    UnixTime unix_now() const override { return unix_time; }
    void pass(Seconds time) {
        steady += time;
        unix_time += time.count();
    }
};

struct SampleCluster {
    explicit SampleCluster(char digit, std::uint8_t member_seed = 1) : id(64, digit) {
        seed.fill(member_seed);
    }
    MemberKey member_key() const { return MemberKey{identity_of(seed)->bytes}; }
    std::string id;
    std::array<std::uint8_t, 32> seed{};
};

struct SampleNode {
    explicit SampleNode(unsigned number) {
        seed.fill(7);
        seed[0] = static_cast<std::uint8_t>(number);
        seed[1] = static_cast<std::uint8_t>(number >> 8);
        key = *identity_of(seed);
    }

    // An empty payload makes a tombstone.
    NodeEntry entry(const SampleCluster& cluster, std::uint64_t sequence, const std::string& payload,
                    UnixTime issued = 1'800'000'000, std::uint32_t ttl = 60) const {
        NodeEntry out;
        out.node = key;
        auto& e = out.envelope;
        e.sequence = sequence;
        e.issued = issued;
        e.ttl_seconds = ttl;
        e.payload = payload;
        e.member_key = cluster.member_key();
        const auto bytes = signed_bytes(e.kind(), cluster.id, key, sequence, issued, ttl, payload);
        e.signature = sign(seed, as_bytes(bytes));
        e.member = sign(cluster.seed, as_bytes(bytes));
        return out;
    }

    std::array<std::uint8_t, 32> seed{};
    IdentityKey key;
};

}  // namespace wglan::test
