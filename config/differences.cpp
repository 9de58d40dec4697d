// SPDX-License-Identifier: Apache-2.0
// Which keys differ between two configurations, and which of those a running agent can't take over.
#include <algorithm>
#include <array>

#include "config/config.h"

namespace wglan {
namespace {

bool same_secret(const std::shared_ptr<const Secret>& a, const std::shared_ptr<const Secret>& b) {
    if (!a || !b) return a == b;
    return a->text() == b->text();
}

struct Key {
    const char* name;
    bool restart;
    bool (*same)(const Config&, const Config&);
};

#define WGLAN_KEY(name, restart, member)                                                     \
    Key {                                                                                    \
        name, restart, [](const Config& a, const Config& b) { return a.member == b.member; } \
    }
#define WGLAN_SECRET(name, member)                                                                   \
    Key {                                                                                            \
        name, true, [](const Config& a, const Config& b) { return same_secret(a.member, b.member); } \
    }

constexpr auto kKeys = std::to_array<Key>({
    WGLAN_SECRET("cluster.token", cluster.token),
    WGLAN_KEY("cluster.discoveryID", true, cluster.discovery_id),
    WGLAN_KEY("node.name", true, node.name),
    WGLAN_KEY("node.labels", false, node.labels),
    WGLAN_KEY("node.addresses", false, node.addresses),
    WGLAN_KEY("node.podPrefixes", false, node.pod_prefixes),
    WGLAN_KEY("interface.name", true, interface.name),
    WGLAN_KEY("interface.listenPort", false, interface.listen_port),
    WGLAN_KEY("interface.mtu", false, interface.mtu),
    WGLAN_KEY("interface.addressPrefix", true, interface.address_prefix),
    WGLAN_KEY("interface.firewallMark", false, interface.firewall_mark),
    WGLAN_KEY("interface.firewallMarkMask", false, interface.firewall_mark_mask),
    WGLAN_KEY("interface.backend", true, interface.backend),
    WGLAN_KEY("interface.wireguardGo", true, interface.external_wireguard_go),
    WGLAN_KEY("interface.privateKeyFile", true, interface.private_key_file),
    WGLAN_SECRET("interface.privateKey", interface.private_key),
    WGLAN_KEY("enableAutomaticNodes", false, automatic_nodes),
    WGLAN_KEY("enablePodNetworking", false, pod_networking),
    WGLAN_KEY("discovery.kubernetes", false, discovery.kubernetes),
    WGLAN_KEY("discovery.services", false, discovery.services),
    WGLAN_KEY("discovery.static", false, discovery.static_peers),
    WGLAN_KEY("discovery.cacheFile", true, discovery.cache_file),
    WGLAN_KEY("advertise.endpoints", false, advertise.endpoints),
    WGLAN_KEY("advertise.endpointFilters", false, advertise.endpoint_filters),
    WGLAN_KEY("advertise.prefixes", false, advertise.prefixes),
    WGLAN_KEY("advertise.excludePrefixes", false, advertise.exclude_prefixes),
    WGLAN_KEY("peers.keepaliveSeconds", false, peers.keepalive_s),
    WGLAN_KEY("peers.presharedKeys", false, peers.derive_preshared_keys),
    WGLAN_KEY("peers.acceptPrefixes", false, peers.accept_prefixes),
    WGLAN_KEY("peers.acceptDefaultRouteFrom", false, peers.accept_default_route_from),
    WGLAN_KEY("peers.whenUnknown", false, peers.when_unknown),
    WGLAN_KEY("peers.whenDown", false, peers.when_down),
    WGLAN_KEY("peers.downAfter", false, peers.down_after),
    WGLAN_KEY("peers.forgetAfter", false, peers.forget_after),
    WGLAN_KEY("steering.uplinks", false, steering.uplinks),
    WGLAN_KEY("steering.podInterfaces", false, steering.pod_interfaces),
    WGLAN_KEY("steering.pods", false, steering.pods_when_cni_down),
    WGLAN_KEY("steering.podDatapath", false, steering.direct),
    WGLAN_KEY("steering.alwaysReach", false, steering.always_reach),
    WGLAN_KEY("steering.order", true, steering.order_first),
    WGLAN_KEY("steering.routes", false, steering.routes),
    WGLAN_KEY("steering.exclude", false, steering.exclude),
    WGLAN_KEY("guard.enabled", false, guard.enabled),
    WGLAN_KEY("guard.handshakesPerSecond", false, guard.handshakes_per_s),
    WGLAN_KEY("control.socket", true, control.socket),
    WGLAN_KEY("metrics.listen", true, metrics.listen),
    WGLAN_KEY("bpf.pinPath", true, bpf.pin_path),
    WGLAN_KEY("bpf.maxRoutes", true, bpf.max_routes),
    WGLAN_KEY("agent.onExit", false, agent.cleanup_on_exit),
    WGLAN_KEY("agent.orphanAfter", false, agent.orphan_after),
});

#undef WGLAN_KEY
#undef WGLAN_SECRET

std::vector<std::string> differing(const Config& before, const Config& after, bool restart_only) {
    std::vector<std::string> names;
    for (const Key& key : kKeys)
        if ((key.restart || !restart_only) && !key.same(before, after)) names.emplace_back(key.name);
    return names;
}

}  // namespace

std::vector<std::string> Config::needs_restart(const Config& before, const Config& after) {
    return differing(before, after, true);
}

std::vector<std::string> Config::differences(const Config& before, const Config& after) {
    return differing(before, after, false);
}

}  // namespace wglan
