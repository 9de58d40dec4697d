// SPDX-License-Identifier: Apache-2.0
// A node with one peer, which has an IPv4 node address, a pod prefix and an overlay address.
#pragma once

#include <map>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "agent/app/desired.h"
#include "tests/support/samples.h"

namespace wglan {

using namespace samples;

class DesiredTest : public testing::Test {
protected:
    DesiredTest() {
        facts.uplinks = {{2, "eth0"}};
        facts.node_addresses = {ip("192.0.2.1"), ip("2001:db8::1")};
        facts.all_addresses = {ip("127.0.0.1"), ip("192.0.2.1"), ip("2001:db8::1"), ip("fe80::1")};
        facts.gateways = {ip("192.0.2.254")};
        Peer peer;
        peer.name = "node2";
        peer.public_key = key(2);
        peer.prefixes = {{net("10.244.2.0/24"), PrefixClass::pod, "service:a"},
                         {net("192.0.2.2/32"), PrefixClass::node, "service:a"},
                         {net("200:1001::2/128"), PrefixClass::overlay, "service:a"}};
        peer.candidates = {{where("192.0.2.2:51820"), CandidateSource::announced}};
        peers = {peer};
        PeerInput input;
        input.key = key(2);
        input.candidates = {at("192.0.2.2:51820")};
        manager.set_peers({input}, SteadyTime{} + Seconds(10));
    }

    void handshake() {
        WgObservedPeer seen;
        seen.peer.key = key(2);
        seen.peer.endpoint = at("192.0.2.2:51820");
        seen.stats.last_handshake = 1000;
        manager.observe(seen, SteadyTime{} + Seconds(11), 1000);
        manager.tick(SteadyTime{} + Seconds(11), 1000);
    }

    Desired build() {
        return build_desired({config, facts, own_key, overlay, overlay_network, peers, manager, ids,
                              [](const Peer&) { return SecretFingerprint{}; },
                              [](const Peer& peer) {
                                  std::vector<Endpoint> list;
                                  for (const Candidate& c : peer.candidates)
                                      list.push_back(c.where.endpoint().value());
                                  return list;
                              },
                              depended_on,
                              [this](const Prefix& prefix) { return overridden.contains(prefix); },
                              [this](const Prefix& prefix) {
                                  const auto it = left.find(prefix);
                                  return it == left.end() ? CniShare::none : it->second;
                              },
                              api_servers,
                              [this](const Prefix& prefix) -> const Holed* {
                                  const auto it = holed.find(prefix);
                                  return it == holed.end() ? nullptr : &it->second;
                              },
                              [this](const Prefix& prefix) { return spared.contains(prefix); }});
    }

    Config config;
    HostFacts facts;
    PublicKey own_key = key(1);
    IpAddress overlay = ip("200:1001::1");
    Prefix overlay_network = net("200:1001::/64");
    std::vector<Peer> peers;
    PeerManager manager{[] { return 0.5; }};
    PeerIds ids;
    std::vector<IpAddress> depended_on;
    std::set<Prefix> overridden;
    std::map<Prefix, CniShare> left;
    std::vector<ApiServer> api_servers;
    std::map<Prefix, Holed> holed;
    std::set<Prefix> spared;
};

}  // namespace wglan
