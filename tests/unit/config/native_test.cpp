// SPDX-License-Identifier: Apache-2.0
// The native spelling: defaults, every key, and what is said of bad values.
#include <fstream>
#include <regex>
#include <set>

#include "agent/base/file.h"
#include "tests/unit/config/support.h"

namespace wglan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Native : public ConfigTest {};

// A key, a document that changes it alone, and the same without; from here the tests know all keys.
struct KeyRow {
    std::string key, document;
};

const std::vector<KeyRow>& keys() {
    static const std::vector<KeyRow> rows = {
        {"cluster.token", "cluster: {token: Zr5TqW8nBd3MvXc1LkJh7PfY}"},
        {"cluster.discoveryID", "cluster: {discoveryID: mine}"},
        {"node.name", "node: {name: Other.Example}"},
        {"node.labels", "node: {labels: {zone: fra1}}"},
        {"node.addresses", "node: {addresses: [192.0.2.1, '2001:db8::1']}"},
        {"node.podPrefixes", "node: {podPrefixes: [10.244.1.0/24]}"},
        {"interface.name", "interface: {name: wg7}"},
        {"interface.listenPort", "interface: {listenPort: 0}"},
        {"interface.mtu", "interface: {mtu: 1380}"},
        {"interface.addressPrefix", "interface: {addressPrefix: ula}"},
        {"interface.firewallMark", "interface: {firewallMark: 16, firewallMarkMask: 0x30}"},
        {"interface.firewallMarkMask", "interface: {firewallMarkMask: 0x11}"},
        {"interface.backend", "interface: {backend: userspace}"},
        {"interface.wireguardGo", "interface: {wireguardGo: external}"},
        {"interface.privateKeyFile", "interface: {privateKeyFile: /k}"},
        {"enableAutomaticNodes", "enableAutomaticNodes: false"},
        {"enablePodNetworking", "enablePodNetworking: False"},
        {"discovery.services", "discovery: {services: [{url: 'https://d.example:51821', caFile: /ca}]}"},
        {"discovery.static", "discovery: {static: [{name: edge, publicKey: '" + std::string(kKeyA) + "'}]}"},
        {"discovery.cacheFile", "discovery: {cacheFile: /c}"},
        {"advertise.endpoints", "advertise: {endpoints: ['vpn.example:1']}"},
        {"advertise.endpointFilters", "advertise: {endpointFilters: ['!10.0.0.0/8']}"},
        {"advertise.prefixes", "advertise: {prefixes: [10.9.0.0/24]}"},
        {"advertise.excludePrefixes", "advertise: {excludePrefixes: [10.9.0.0/24]}"},
        {"peers.keepaliveSeconds", "peers: {keepaliveSeconds: 0}"},
        {"peers.presharedKeys", "peers: {presharedKeys: off}"},
        {"peers.acceptPrefixes", "peers: {acceptPrefixes: []}"},
        {"peers.acceptDefaultRouteFrom", "peers: {acceptDefaultRouteFrom: [Edge]}"},
        {"peers.whenUnknown", "peers: {whenUnknown: drop}"},
        {"peers.whenDown", "peers: {whenDown: bypass}"},
        {"peers.downAfter", "peers: {downAfter: 30s}"},
        {"peers.forgetAfter", "peers: {forgetAfter: 1h30m}"},
        {"steering.uplinks", "steering: {uplinks: [eth0, 'en*']}"},
        {"steering.alwaysReach", "steering: {alwaysReach: ['192.0.2.1:6443/tcp']}"},
        {"steering.podInterfaces", "steering: {podInterfaces: [cni0, 'cali*']}"},
        {"steering.pods", "steering: {pods: cniDown}"},
        {"steering.podDatapath", "steering: {podDatapath: direct}"},
        {"steering.order", "steering: {order: last}"},
        {"steering.exclude", "steering: {exclude: [10.0.0.0/8]}"},
        {"control.socket", "control: {socket: /s}"},
        {"metrics.listen", "metrics: {listen: ''}"},
        {"bpf.pinPath", "bpf: {pinPath: /sys/fs/bpf/x}"},
        {"bpf.maxRoutes", "bpf: {maxRoutes: 1024}"},
        {"agent.onExit", "agent: {onExit: cleanup}"},
        {"agent.orphanAfter", "agent: {orphanAfter: 1h}"},
    };
    return rows;
}

TEST_F(Native, NoFileEmptyFileAndEmptySectionsAreTheDefaults) {
    input_.file.clear();
    const auto embedded = load_config(input_);
    ASSERT_TRUE(embedded) << embedded.error().message();
    EXPECT_THAT(embedded->files, IsEmpty());
    EXPECT_THAT(embedded->warnings, IsEmpty());
    for (const std::string text :
         {"", "# nothing\n", "---\n", "{}", "node:\ninterface:\n", "interface: {name: }", "steering: null\n"})
        EXPECT_THAT(Config::differences(embedded->config, good(text)), IsEmpty()) << text;

    Config expected = default_config();
    EXPECT_EQ(Config::differences(expected, embedded->config),
              (std::vector<std::string>{"cluster.token", "cluster.discoveryID", "node.name"}));
}

TEST_F(Native, DefaultsAreTheDocumentedOnes) {
    const Config c = good("");
    EXPECT_EQ(c.node.name, "host1");
    EXPECT_EQ(c.cluster.token->text(), kToken);
    EXPECT_EQ(c.cluster.discovery_id, hex_encode(sha256(as_bytes(kToken))));
    EXPECT_FALSE(c.cluster.weak_token);
    EXPECT_FALSE(c.node.addresses);
    EXPECT_FALSE(c.node.pod_prefixes);
    EXPECT_EQ(c.interface.name, "wglan0");
    EXPECT_EQ(c.interface.listen_port, 51820);
    EXPECT_FALSE(c.interface.mtu);
    EXPECT_EQ(c.interface.address_prefix.value().to_string(), "200:1001::/64");
    EXPECT_EQ(c.interface.firewall_mark, 0x10U);
    EXPECT_EQ(c.interface.firewall_mark_mask, 0x10U);
    EXPECT_EQ(c.interface.backend, Backend::automatic);
    EXPECT_EQ(c.interface.private_key_file, "/var/lib/wglan/private.key");
    EXPECT_FALSE(c.interface.private_key);
    EXPECT_TRUE(c.automatic_nodes);
    EXPECT_TRUE(c.pod_networking);
    EXPECT_EQ(c.discovery.cache_file, "/var/lib/wglan/peers.json");
    ASSERT_EQ(c.advertise.endpoint_filters.size(), 2U);
    EXPECT_EQ(c.advertise.endpoint_filters[0].prefix.to_string(), "0.0.0.0/0");
    EXPECT_EQ(c.advertise.endpoint_filters[1].prefix.to_string(), "::/0");
    EXPECT_EQ(c.peers.keepalive_s, 25);
    EXPECT_TRUE(c.peers.derive_preshared_keys);
    EXPECT_FALSE(c.peers.accept_prefixes);
    EXPECT_EQ(c.peers.when_unknown, Fallback::bypass);
    EXPECT_EQ(c.peers.when_down, Fallback::drop);
    EXPECT_EQ(c.peers.down_after.count(), 10);
    EXPECT_EQ(c.peers.forget_after.count(), 1800);
    EXPECT_FALSE(c.steering.uplinks);
    EXPECT_TRUE(c.steering.order_first);
    EXPECT_FALSE(c.steering.pod_interfaces);
    EXPECT_FALSE(c.steering.direct);
    EXPECT_EQ(c.control.socket, "/run/wglan/agent.sock");
    EXPECT_EQ(c.metrics.listen.value().to_string(), "127.0.0.1:9586");
    EXPECT_EQ(c.bpf.pin_path, "/sys/fs/bpf/wglan");
    EXPECT_EQ(c.bpf.max_routes, 131072U);
    EXPECT_FALSE(c.agent.cleanup_on_exit);
    EXPECT_EQ(c.agent.orphan_after.count(), 0);
}

TEST_F(Native, EachKeyChangesItsSettingAlone) {
    Config base = good("");
    for (const auto& [key, document] : keys()) {
        Config changed = good(document);
        auto names = Config::differences(base, changed);
        if (key == "cluster.token") std::erase(names, "cluster.discoveryID");
        if (key == "interface.firewallMark") names = {key};  // with its mask
        EXPECT_EQ(names, std::vector<std::string>{key}) << document;
        EXPECT_THAT(Config::differences(changed, changed), IsEmpty());
    }
    EXPECT_EQ(good("interface: {firewallMark: 32, firewallMarkMask: 0x30}").interface.firewall_mark, 32U);
}

TEST_F(Native, RestartIsNeededForWhatTheAgentHoldsOnTo) {
    const std::set<std::string> expected = {"cluster.token",
                                            "cluster.discoveryID",
                                            "node.name",
                                            "interface.name",
                                            "interface.backend",
                                            "interface.wireguardGo",
                                            "interface.addressPrefix",
                                            "interface.privateKeyFile",
                                            "discovery.cacheFile",
                                            "steering.order",
                                            "control.socket",
                                            "metrics.listen",
                                            "bpf.pinPath",
                                            "bpf.maxRoutes"};
    const Config base = good("");
    for (const auto& [key, document] : keys()) {
        auto names = Config::needs_restart(base, good(document));
        if (key == "cluster.token") std::erase(names, "cluster.discoveryID");
        if (expected.contains(key))
            EXPECT_EQ(names, std::vector<std::string>{key});
        else
            EXPECT_THAT(names, IsEmpty()) << key;
    }
    EXPECT_THAT(Config::needs_restart(base, good("")), IsEmpty());
}

TEST_F(Native, ExampleFileHoldsEveryKeyWithItsDefault) {
    const std::string example = read_file(std::string(WGLAN_SOURCE_DIR) + "/config/example.yaml").value();
    EXPECT_THAT(Config::differences(good(""), good(example)), IsEmpty());
    for (const auto& row : keys()) {
        const std::string last = row.key.substr(row.key.rfind('.') + 1);
        EXPECT_TRUE(std::regex_search(example, std::regex("(^|\\n)( *(# )?)" + last + ": .*#"))) << row.key;
    }
    for (const std::string key : {"tokenFile", "enabled", "kubeconfig", "annotationPrefix", "pods", "routes",
                                  "handshakesPerSecond", "default", "rules"})
        EXPECT_THAT(example, HasSubstr(" " + key + ":")) << key;
}

TEST_F(Native, ReadsWhatItIsGiven) {
    const Config c = good(R"(
cluster: {discoveryID: "5f0c"}
node:
  name: Node-A.Example
  labels: {zone: fra1, rack: 7, "gr\u00fcn": "ja"}
interface: {firewallMark: 0x20, firewallMarkMask: 48, mtu: 1280, addressPrefix: "fd00:1:2:3::/64"}
discovery:
  services:
    - url: "https://a.example"
    - {url: "https://[2001:db8::1]:51821/x", caFile: /etc/ca.pem}
    - {url: "http://127.0.0.1:8080"}
  static:
    - {name: Edge, publicKey: "GtL7fZc/bLnqZldpVofMCD6hDjrK28SsdLxevJ+qtKU=", address: "fd00::7",
       prefixes: [10.9.0.0/24, 0.0.0.0/0], endpoints: ["198.51.100.7:51820", "Edge.example:1"], presharedKeyFile: /psk}
advertise: {endpointFilters: ["10.0.0.0/8", "!10.1.0.0/16"]}
peers: {acceptPrefixes: [10.0.0.0/8, "fd00::/8"], forgetAfter: 90s}
steering: {alwaysReach: ["[2001:db8::1]:53/udp", "192.0.2.1:6443/tcp"]}
agent: {orphanAfter: 1d}
)");
    EXPECT_EQ(c.cluster.discovery_id, hex_encode(sha256(as_bytes("5f0c"))));
    EXPECT_EQ(c.node.name, "node-a.example");
    EXPECT_EQ(c.node.labels.at("rack"), "7");
    EXPECT_EQ(c.node.labels.at("gr\xc3\xbcn"), "ja");
    EXPECT_EQ(c.interface.firewall_mark_mask, 48U);
    EXPECT_EQ(c.interface.address_prefix->to_string(), "fd00:1:2:3::/64");
    ASSERT_EQ(c.discovery.services.size(), 3U);
    EXPECT_EQ(c.discovery.services[1].ca_file, "/etc/ca.pem");
    ASSERT_EQ(c.discovery.static_peers.size(), 1U);
    const StaticPeer& edge = c.discovery.static_peers[0];
    EXPECT_EQ(edge.name, "edge");
    EXPECT_EQ(to_string(edge.public_key), kKeyA);
    EXPECT_EQ(edge.address->to_string(), "fd00::7");
    EXPECT_EQ(edge.prefixes[1].to_string(), "0.0.0.0/0");
    EXPECT_EQ(edge.endpoints[1].to_string(), "edge.example:1");
    EXPECT_EQ(edge.preshared_key_file, "/psk");
    EXPECT_FALSE(edge.keepalive_s);
    EXPECT_FALSE(c.advertise.endpoint_filters[0].exclude);
    EXPECT_TRUE(c.advertise.endpoint_filters[1].exclude);
    EXPECT_EQ(c.advertise.endpoint_filters[1].prefix.to_string(), "10.1.0.0/16");
    EXPECT_EQ(c.peers.accept_prefixes->size(), 2U);
    EXPECT_EQ(c.peers.forget_after.count(), 90);
    EXPECT_EQ(c.steering.always_reach[0].endpoint.to_string(), "[2001:db8::1]:53");
    EXPECT_EQ(c.steering.always_reach[0].protocol, 17);
    EXPECT_EQ(c.steering.always_reach[1].protocol, 6);
    EXPECT_EQ(c.agent.orphan_after.count(), 86400);
}

TEST_F(Native, JsonIsRead) {
    const Config c = good(
        "{\n\t\"interface\": {\"listenPort\":7, \"firewallMark\":\"0x20\",\n\t\t\"firewallMarkMask\":32},"
        "\"steering\":{\"uplinks\":[\"eth0\"]}, \"node\":{\"name\":\"a\"}}");
    EXPECT_EQ(c.interface.listen_port, 7);
    EXPECT_EQ(c.interface.firewall_mark, 0x20U);
    EXPECT_THAT(c.steering.uplinks.value(), ElementsAre("eth0"));
}

TEST_F(Native, WhatThisVersionLacksIsAcceptedAtItsDefault) {
    good(R"(
discovery: {kubernetes: {enabled: auto, annotationPrefix: wglan.dev, publishStatus: auto}}
steering: {pods: always, podDatapath: host, routes: auto, podInterfaces: auto}
policy: {default: allow, rules: []}
)");
    good("{discovery: {kubernetes: {enabled: false}}, steering: {routes: backup}}");
}

TEST_F(Native, PodsAreSteeredAlwaysOrAsABackup) {
    EXPECT_FALSE(good("{}").steering.pods_when_cni_down);
    EXPECT_FALSE(good("steering: {pods: always}").steering.pods_when_cni_down);
    EXPECT_TRUE(good("steering: {pods: cniDown}").steering.pods_when_cni_down);
}

TEST_F(Native, Guard) {
    EXPECT_TRUE(good("{}").guard.enabled);
    EXPECT_EQ(good("{}").guard.handshakes_per_s, 50U);
    const auto config = good("guard: {enabled: false, handshakesPerSecond: 1000000}").guard;
    EXPECT_FALSE(config.enabled);
    EXPECT_EQ(config.handshakes_per_s, 1'000'000U);
}

TEST_F(Native, WhatThisVersionLacksIsUnsupported) {
    const std::vector<std::pair<std::string, std::string>> table = {
        {"policy: {default: deny}", "policy.default: \"deny\""},
        {"policy:\n  rules:\n  - {}", "policy.rules: \"a rule\""},
    };
    for (const auto& [document, expected] : table) {
        const std::string message = error(document);
        EXPECT_THAT(message, HasSubstr(expected)) << document;
        EXPECT_THAT(message, HasSubstr("is not available in this version"));
        EXPECT_EQ(kind_, ErrorKind::unsupported) << document;
    }
}

TEST_F(Native, NodeNameComesFromConfigurationThenEnvironmentThenHost) {
    EXPECT_EQ(good("").node.name, "host1");
    input_.environment["NODE_NAME"] = "From-Env";
    EXPECT_EQ(good("").node.name, "from-env");
    EXPECT_EQ(good("node: {name: own}").node.name, "own");
    input_.environment["NODE_NAME"] = "bad_name";
    EXPECT_THAT(error(""), HasSubstr("NODE_NAME: \"bad_name\" is no host name"));
    input_.environment["NODE_NAME"] = "";
    input_.host_name = "-";
    EXPECT_THAT(error(""), HasSubstr("node.name (from the host name): \"-\""));
}

TEST_F(Native, UnreadableFilesKeepTheirKind) {
    input_.file = (dir_ / "none.yaml").string();
    EXPECT_EQ(load_config(input_).error().kind(), ErrorKind::not_found);
    EXPECT_THAT(load_config(input_).error().message(), HasSubstr("none.yaml"));
    input_.file = put("c.yaml", "");
    input_.patch_files = {(dir_ / "none.json").string()};
    EXPECT_EQ(load_config(input_).error().kind(), ErrorKind::not_found);
    input_.patch_files.clear();
    input_.file = put("big.yaml", std::string(5U << 20, '#'));
    EXPECT_EQ(load_config(input_).error().kind(), ErrorKind::exhausted);
}

TEST_F(Native, FilesToWatchAreNamed) {
    const std::string token = put("token", std::string(kToken) + "\n");
    input_.environment.clear();
    const auto loaded = load("cluster: {tokenFile: " + token + "}", {"[]", "[]"});
    ASSERT_TRUE(loaded) << loaded.error().message();
    EXPECT_THAT(loaded->files, ElementsAre((dir_ / "c.yaml").string(), (dir_ / "p1.json").string(),
                                           (dir_ / "p2.json").string(), token));
}

}  // namespace
}  // namespace wglan
