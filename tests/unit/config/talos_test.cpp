// SPDX-License-Identifier: Apache-2.0
// The Talos machine-config spelling, as a document and as the JSON patch list.
#include "tests/unit/config/support.h"

namespace wglan {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

class Talos : public ConfigTest {
protected:
    // A machine document with this below `wireguard:` (YAML in flow style).
    static std::string machine(const std::string& wireguard) {
        return "machine:\n  network:\n    interfaces:\n    - interface: wglan0\n      wireguard: " +
               wireguard + "\n";
    }
};

constexpr char kDocument[] = R"(machine:
  network:
    interfaces:
    - interface: wglan0
      wireguard:
        enableAutomaticNodes: true
        enablePodNetworking: true
)";

TEST_F(Talos, TheDocumentedYamlIsTheDefaults) {
    EXPECT_THAT(Config::differences(good(""), good(kDocument)), IsEmpty());
    EXPECT_EQ(good("machine: {network: {interfaces: [{interface: wg1, wireguard: {}}]}}").interface.name,
              "wg1");
    EXPECT_EQ(good("machine: {network: {interfaces: [{interface: wg1, wireguard: }]}}").interface.name,
              "wg1");
}

TEST_F(Talos, ThePatchListAloneStartsAnAgent) {
    const std::vector<std::string> patches = {
        R"([{"op":"add","path":"/machine/network","value":{"interfaces":[{"interface":"eth0","dhcp":true},)"
        R"({"interface":"wglan0","wireguard":{"enableAutomaticNodes":true,"enablePodNetworking":false}}]}}])",
        R"([{"op":"add","path":"/machine/network/interfaces","value":[{"interface":"wglan0",)"
        R"("wireguard":{"enablePodNetworking":false}}]}])",
        R"([{"op":"add","path":"/machine/network/interfaces/-","value":{"interface":"wglan0",)"
        R"("wireguard":{"enablePodNetworking":false}}}])",
        R"([{"op":"add","path":"/machine/network/interfaces/0","value":{"interface":"wglan0",)"
        R"("wireguard":{"enablePodNetworking":false}}}])",
        "- op: add\n  path: /machine/network\n  value:\n    interfaces:\n    - interface: eth0\n      dhcp: "
        "true\n"
        "    - interface: wglan0\n      wireguard:\n        enableAutomaticNodes: true\n"
        "        enablePodNetworking: false\n",
        "- op: add\n  path: /machine\n  value: {network: {interfaces: [{interface: wglan0, "
        "wireguard: {enablePodNetworking: false}}]}}\n",
        "- {op: add, path: /machine/network/interfaces/-, value: {interface: eth0}}\n"
        "- {op: add, path: /machine/network/interfaces/-, value: {interface: wglan0}}\n"
        "- {op: add, path: /machine/network/interfaces/1/wireguard/enablePodNetworking, value: false}\n",
    };
    for (const auto& patch : patches) {
        const Config c = good(patch);
        EXPECT_FALSE(c.pod_networking) << patch;
        EXPECT_TRUE(c.automatic_nodes);
        EXPECT_EQ(c.interface.name, "wglan0");
        // The same as a --config-patch on nothing, and on a machine document that lacks the parents.
        EXPECT_FALSE(good("", {patch}).pod_networking);
        EXPECT_FALSE(good("version: v1alpha1\nmachine:\n", {patch}).pod_networking);
    }
}

TEST_F(Talos, TheRestOfAMachineDocumentIsLeftAlone) {
    const Config c = good(R"(version: v1alpha1
debug: false
persist: true
machine:
  type: worker
  token: abc
  install: {disk: /dev/sda}
  network:
    hostname: other
    interfaces:
    - interface: eth0
      dhcp: true
    - deviceSelector: {busPath: "0*"}
    - interface: wg9
      mtu: 1400
      addresses: [10.0.0.1/24]
      wireguard: {listenPort: 7}
cluster:
  id: x
  token: short
---
apiVersion: v1alpha1
kind: SideroLinkConfig
)");
    EXPECT_EQ(c.interface.name, "wg9");
    EXPECT_EQ(c.interface.listen_port, 7);
    EXPECT_FALSE(c.interface.mtu);
    EXPECT_EQ(c.node.name, "host1");
    EXPECT_EQ(c.cluster.token->text(), kToken);
}

TEST_F(Talos, KeysMapOntoTheNativeOnes) {
    const std::string private_key = "eAKTPAzFbrvqjsXD9iRjDBDRtI7RyvKgoNI0yv9Ij28=";
    const Config c = good(machine(R"({
        privateKey: ")" + private_key +
                                  R"(", listenPort: 4500, firewallMark: 0x51820,
        automaticNodePrefix: ula, natDiscoveryService: "https://nat.example:444", clusterID: my-cluster,
        enableAutomaticNodes: false, enablePodNetworking: false,
        peers: [
          {publicKey: ")" + std::string(kKeyA) +
                                  R"(", endpoint: "192.0.2.7:51820", persistentKeepaliveInterval: 25s,
           allowedIPs: [10.1.0.1/24, "fd00::/64", 10.2.0.1/32]},
          {publicKey: ")" + kKeyB +
                                  R"("}]})"));
    ASSERT_TRUE(c.interface.private_key);
    EXPECT_EQ(private_key_text(*c.interface.private_key).text(), private_key);
    EXPECT_EQ(c.interface.listen_port, 4500);
    EXPECT_EQ(c.interface.firewall_mark, 0x51820U);
    EXPECT_EQ(c.interface.firewall_mark_mask, 0x51820U);
    EXPECT_FALSE(c.interface.address_prefix);
    ASSERT_EQ(c.discovery.services.size(), 1U);
    EXPECT_EQ(c.discovery.services[0].url, "https://nat.example:444");
    EXPECT_EQ(c.cluster.discovery_id, hex_encode(sha256(as_bytes("my-cluster"))));
    EXPECT_FALSE(c.automatic_nodes);
    EXPECT_FALSE(c.pod_networking);
    ASSERT_EQ(c.discovery.static_peers.size(), 2U);
    const StaticPeer& first = c.discovery.static_peers[0];
    EXPECT_EQ(to_string(first.public_key), kKeyA);
    EXPECT_EQ(first.name, "peer-1ad2fb7d973f");
    EXPECT_EQ(first.endpoints.at(0).to_string(), "192.0.2.7:51820");
    EXPECT_EQ(first.keepalive_s, 25);
    ASSERT_EQ(first.prefixes.size(), 3U);
    EXPECT_EQ(first.prefixes[0].to_string(), "10.1.0.0/24");
    EXPECT_EQ(first.prefixes[1].to_string(), "fd00::/64");
    EXPECT_TRUE(c.discovery.static_peers[1].endpoints.empty());
    EXPECT_FALSE(c.discovery.static_peers[1].keepalive_s);
}

TEST_F(Talos, OddButValidValues) {
    EXPECT_EQ(good(machine("{firewallMark: 0}")).interface.firewall_mark, 0x10U);
    EXPECT_EQ(good(machine("{natDiscoveryService: nat.example}")).discovery.services.at(0).url,
              "https://nat.example");
    EXPECT_TRUE(good(machine("{natDiscoveryService: ''}")).discovery.services.empty());
    EXPECT_EQ(good(machine("{clusterID: ''}")).cluster.discovery_id, good("").cluster.discovery_id);
    const std::string peer = std::string("publicKey: \"") + kKeyA + "\"";
    EXPECT_EQ(good(machine("{peers: [{" + peer + ", persistentKeepaliveInterval: 0s}]}"))
                  .discovery.static_peers.at(0)
                  .keepalive_s,
              0);
    EXPECT_EQ(good(machine("{peers: [{" + peer + ", persistentKeepaliveInterval: 1m5s}]}"))
                  .discovery.static_peers.at(0)
                  .keepalive_s,
              65);
    EXPECT_EQ(good(machine("{peers: [{" + peer + ", persistentKeepaliveInterval: 15}]}"))
                  .discovery.static_peers.at(0)
                  .keepalive_s,
              15);
    EXPECT_TRUE(good(machine("{peers: [{" + peer + ", endpoint: ''}]}"))
                    .discovery.static_peers.at(0)
                    .endpoints.empty());
}

TEST_F(Talos, OneSectionCounts) {
    const std::string two =
        "machine: {network: {interfaces: [{interface: a, wireguard: {enableAutomaticNodes: %}}, "
        "{interface: b, wireguard: {enableAutomaticNodes: true}}]}}";
    const auto with = [&](const std::string& word) {
        std::string text = two;
        return text.replace(text.find('%'), 1, word);
    };
    EXPECT_EQ(good(with("false")).interface.name, "b");
    EXPECT_THAT(error(with("true")),
                StartsWith("c.yaml:1: machine.network.interfaces[1]: a second wireguard section"));
}

TEST_F(Talos, ErrorsNameLineAndKey) {
    const std::string where = "c.yaml:5: machine.network.interfaces[0].wireguard.";
    const std::string peer = std::string("{peers: [{publicKey: \"") + kKeyA + "\", ";
    const std::vector<std::pair<std::string, std::string>> table = {
        {machine("{enableAutomaticNode: true}"),
         where + "enableAutomaticNode: unknown key, did you mean enableAutomaticNodes?; "
                 "accepted: automaticNodePrefix, clusterID, enableAutomaticNodes, "
                 "enablePodNetworking, firewallMark, listenPort, "
                 "natDiscoveryService, peers, privateKey"},
        {machine("{enablePodNetworking: 1}"),
         where + "enablePodNetworking: \"1\" is not one; accepted: true, false"},
        {machine("{privateKey: SECRETKEY}"),
         where + "privateKey: not a private key; accepted: 44 characters of base64"},
        {machine("{automaticNodePrefix: 10.0.0.0/8}"), where + "automaticNodePrefix: "},
        {machine("{natDiscoveryService: 'ftp://x'}"), where + "natDiscoveryService: "},
        {machine("{firewallMark: -1}"), where + "firewallMark: "},
        {machine("{peers: [{}]}"), where + "peers[0].publicKey: missing"},
        {machine(peer + "key: 1}]}"), where + "peers[0].key: unknown key"},
        {machine(peer + "allowedIPs: [10.0.0.0/33]}]}"), where + "peers[0].allowedIPs[0]: "},
        {machine(peer + "allowedIPs: ['10.0.0.0/']}]}"), where + "peers[0].allowedIPs[0]: "},
        {machine(peer + "endpoint: x}]}"), where + "peers[0].endpoint: "},
        {machine(peer + "persistentKeepaliveInterval: often}]}"),
         where + "peers[0].persistentKeepaliveInterval: "},
        {machine(peer + "persistentKeepaliveInterval: 70000s}]}"),
         where + "peers[0].persistentKeepaliveInterval: "},
        {machine("5"), "c.yaml:5: machine.network.interfaces[0].wireguard: \"5\" stands where a map belongs"},
        {"machine: {}", "c.yaml:1: machine.network: no interface has a wireguard section"},
        {"machine:", "c.yaml:1: machine.network: no interface has a wireguard section"},
        {"machine: {network: {interfaces: 5}}",
         "c.yaml:1: machine.network.interfaces: a value stands where a list belongs"},
        {"machine: {network: {interfaces: [{interface: eth0}, 5, [a]]}}",
         "c.yaml:1: machine.network.interfaces: no interface has a wireguard section"},
        {"machine: {network: {interfaces: [{wireguard: {}}]}}",
         "c.yaml:1: machine.network.interfaces[0].interface: missing"},
        {"machine: {network: {interfaces: [{interface: 'a b', wireguard: {}}]}}",
         "c.yaml:1: machine.network.interfaces[0].interface: "},
    };
    for (const auto& [document, expected] : table) {
        const std::string message = error(document);
        EXPECT_THAT(message, StartsWith(expected)) << document;
        EXPECT_EQ(message.find("SECRETKEY"), std::string::npos);
        EXPECT_EQ(kind_, ErrorKind::invalid);
    }
}

TEST_F(Talos, APatchThatMakesNoMachineIsReadAsNative) {
    EXPECT_EQ(good(R"([{"op":"add","path":"","value":{"interface":{"mtu":1400}}}])").interface.mtu, 1400U);
    EXPECT_THAT(error(R"([{"op":"replace","path":"/machine/network","value":{}}])"),
                HasSubstr("there is no \"/machine\""));
}

TEST_F(Talos, APrivateKeyInAReadableFileIsWarnedAbout) {
    input_.file =
        put("m.yaml", machine("{privateKey: \"eAKTPAzFbrvqjsXD9iRjDBDRtI7RyvKgoNI0yv9Ij28=\"}"), 0644);
    const auto loaded = load_config(input_);
    ASSERT_TRUE(loaded) << loaded.error().message();
    ASSERT_EQ(loaded->warnings.size(), 1U);
    EXPECT_THAT(loaded->warnings[0], HasSubstr("holds a private key and has mode 0644"));
}

}  // namespace
}  // namespace wglan
