// SPDX-License-Identifier: Apache-2.0
#include "agent/app/wiring.h"

#include "agent/http/http.h"
#include "agent/model/overlay_address.h"

namespace wglan {

Prefix overlay_network_of(const Config& config) {
    return config.interface.address_prefix ? *config.interface.address_prefix
                                           : ula_prefix(config.cluster.discovery_id);
}

PeerTimes times_of(const Config& config) {
    PeerTimes times;
    times.liveness = LivenessTimes::within(config.peers.down_after);
    return times;
}

RegistryPolicy policy_of(const Config& config, const Prefix& overlay_network) {
    RegistryPolicy policy;
    policy.overlay = overlay_network;
    policy.automatic_nodes = config.automatic_nodes;
    policy.pod_networking = config.pod_networking;
    policy.accept_prefixes = config.peers.accept_prefixes;
    policy.accept_default_route_from.insert(config.peers.accept_default_route_from.begin(),
                                            config.peers.accept_default_route_from.end());
    policy.forget_after = config.peers.forget_after;
    return policy;
}

OwnClaims own_claims_of(const Config& config, const HostFacts& facts, const Identity& identity,
                        const IpAddress& overlay) {
    OwnClaims own;
    own.name = config.node.name;
    own.public_key = identity.public_key;
    own.identity = identity.identity;
    own.address = overlay;
    own.node_addresses = facts.all_addresses;
    own.gateways = facts.gateways;
    own.networks = facts.networks;
    if (config.node.pod_prefixes) own.prefixes = *config.node.pod_prefixes;
    own.prefixes.insert(own.prefixes.end(), config.advertise.prefixes.begin(),
                        config.advertise.prefixes.end());
    return own;
}

std::vector<IpAddress> service_addresses(const Config& config, NameCache& names) {
    std::vector<IpAddress> addresses;
    for (const ServiceConfig& service : config.discovery.services)
        if (const auto url = Url::parse(service.url))
            for (const Endpoint& endpoint : names.endpoints({url->host, url->port}))
                addresses.push_back(endpoint.address);
    return addresses;
}

IpAddress derive_overlay_address(const Prefix& network, const HostFacts& facts, const PublicKey& key) {
    return facts.mac ? eui64_address(network, *facts.mac) : key_address(network, key);
}

}  // namespace wglan
