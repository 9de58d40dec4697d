// SPDX-License-Identifier: Apache-2.0
// A registry on node1 (192.0.2.1, pods 10.244.1.0/24), its records and what came of them.
#pragma once

#include <set>
#include <string>

#include <gtest/gtest.h>

#include "agent/registry/registry.h"
#include "tests/support/samples.h"

namespace wglan {

class RegistryTest : public testing::Test {
protected:
    RegistryTest() : registry(policy()) {
        own.name = "node1";
        own.public_key = samples::key(1);
        own.identity = samples::identity(1);
        own.address = samples::ip("200:1001::1");
        own.node_addresses = {samples::ip("192.0.2.1"), samples::ip("2001:db8::1")};
        own.gateways = {samples::ip("192.0.2.254")};
        own.prefixes = {samples::net("10.244.1.0/24")};
        own.networks = {samples::net("192.0.2.0/24")};
    }

    static RegistryPolicy policy() {
        RegistryPolicy p;
        p.overlay = samples::net("200:1001::/64");
        return p;
    }

    MergeResult merge() {
        return registry.merge(
            own, [this](const PublicKey& k) { return up.contains(k) ? PeerState::up : PeerState::down; },
            now);
    }
    void put(Record record) { registry.put(samples::said(std::move(record)), now); }

    static const Peer* find(const MergeResult& result, const std::string& name) {
        for (const Peer& peer : result.peers)
            if (peer.name == name) return &peer;
        return nullptr;
    }
    static std::string prefixes(const MergeResult& result, const std::string& name) {
        std::string text;
        if (const Peer* peer = find(result, name))
            for (const OwnedPrefix& owned : peer->prefixes)
                text += (text.empty() ? "" : " ") + owned.prefix.to_string();
        return text;
    }
    static std::string reason(const MergeResult& result, const std::string& peer, const std::string& prefix) {
        for (const Refusal& refusal : result.refused)
            if (refusal.peer == peer && refusal.prefix == prefix) return refusal.reason;
        return "not refused";
    }

    OwnClaims own;
    std::set<PublicKey> up;
    SteadyTime now = SteadyTime{} + Seconds(100000);
    Registry registry;
};

}  // namespace wglan
