// SPDX-License-Identifier: Apache-2.0
// What is said of documents that are wrong: file, line, key, and what is accepted.
#include "tests/unit/config/support.h"

namespace wglan {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class ConfigErrors : public ConfigTest {
protected:
    struct Row {
        std::string document;
        std::vector<std::string> expected;  // the first is how the message starts
    };
    void check(const std::vector<Row>& table) {
        for (const Row& row : table) {
            const std::string message = error(row.document);
            EXPECT_THAT(message, StartsWith(row.expected.front())) << row.document;
            for (const auto& part : row.expected) EXPECT_THAT(message, HasSubstr(part)) << row.document;
            EXPECT_EQ(kind_, ErrorKind::invalid) << row.document;
        }
    }
};

TEST_F(ConfigErrors, UnknownKeysNameWhatIsAccepted) {
    check({
        {"node:\n  name: a\nfoo: 1",
         {"c.yaml:3: foo: unknown key; accepted: advertise, agent, bpf, cluster"}},
        {"interface:\n  name: wg0\n  listenPrt: 5",
         {"c.yaml:3: interface.listenPrt: unknown key, did you mean listenPort?; accepted: addressPrefix, "
          "backend,"}},
        {"interface: {LISTENPORT: 5}",
         {"c.yaml:1: interface.LISTENPORT: unknown key, did you mean listenPort?"}},
        {"discovery:\n  static:\n  - name: a\n    publicKey: \"" + std::string(kKeyA) + "\"\n    key: 5",
         {"c.yaml:5: discovery.static[0].key: unknown key; accepted: address, endpoints, name, prefixes"}},
        {"discovery:\n  services:\n  - url: https://a.b\n    cafile: /x",
         {"c.yaml:4: discovery.services[0].cafile: unknown key, did you mean caFile?; accepted: caFile, "
          "url"}},
        {"discovery: {kubernetes: {enable: auto}}",
         {"c.yaml:1: discovery.kubernetes.enable: unknown key, did you mean enabled?"}},
        {"agent:\n  <<: {onExit: keep}", {"c.yaml:2: agent.<<: unknown key"}},
        {"\"a\\nb\": 1", {"c.yaml:1: a\\nb: unknown key"}},
        {"control: {'': 1}", {"c.yaml:1: control.: unknown key; accepted: socket"}},
    });
}

TEST_F(ConfigErrors, DuplicateKeysNameBothLines) {
    check({
        {"node: {}\ninterface: {}\nnode: {}", {"c.yaml:3: node: given twice; the first stands at c.yaml:1"}},
        {"interface:\n  listenPort: 1\n  mtu: auto\n  listenPort: 1",
         {"c.yaml:4: interface.listenPort: given twice; the first stands at c.yaml:2"}},
        {"discovery:\n  static:\n  - {name: a,\n     name: a}",
         {"c.yaml:4: discovery.static[0].name: given twice"}},
        {"{\"peers\": 1, \"peers\": 2}", {"c.yaml:1: peers: given twice"}},
    });
}

TEST_F(ConfigErrors, WrongTypes) {
    check({
        {"node: 5", {"c.yaml:1: node: \"5\" stands where a map belongs; accepted: a map"}},
        {"interface: [a]", {"c.yaml:1: interface: a list stands where a map belongs"}},
        {"interface:\n  listenPort: {}",
         {"c.yaml:2: interface.listenPort: a map is not one; accepted: a number from 0 to 65535"}},
        {"interface:\n  listenPort: \"51820\"",
         {"c.yaml:2: interface.listenPort: \"51820\" in quotes is text; accepted: a number"}},
        {"enablePodNetworking: yes",
         {"c.yaml:1: enablePodNetworking: \"yes\" is not one; accepted: true, false"}},
        {"enablePodNetworking: \"true\"", {"c.yaml:1: enablePodNetworking: \"true\" in quotes is text"}},
        {"enableAutomaticNodes: [true]", {"c.yaml:1: enableAutomaticNodes: a list is not one"}},
        {"advertise: {prefixes: 10.0.0.0/8}",
         {"c.yaml:1: advertise.prefixes: \"10.0.0.0/8\" stands where a list belongs; accepted: a list"}},
        {"node: {addresses: automatic}",
         {"c.yaml:1: node.addresses: \"automatic\" stands where a list belongs; accepted: auto, or a list"}},
        {"node:\n  addresses:\n  - 192.0.2.1\n  - {}",
         {"c.yaml:4: node.addresses[1]: a map is not one; accepted: an IPv4"}},
        {"discovery: {static: [5]}", {"c.yaml:1: discovery.static[0]: \"5\" stands where a map belongs"}},
        {"node: {labels: [a]}", {"c.yaml:1: node.labels: a list stands where a map belongs"}},
        {"node: {labels: {a: [b]}}", {"c.yaml:1: node.labels.a: bad label value"}},
        {"node: {labels: {a: \"x\\ny\"}}", {"c.yaml:1: node.labels.a: bad label value"}},
        {"node: {labels: {'': x}}", {"c.yaml:1: node.labels.: bad label name"}},
        {"just text", {"c.yaml:1: not a configuration; accepted: a map of keys"}},
        {"cluster: {token: [a]}", {"c.yaml:1: cluster.token: a list is no token"}},
        {"guard: {enabled: maybe}", {"c.yaml:1: guard.enabled: \"maybe\" is not one; accepted: true, false"}},
        {"policy: {rules: all}", {"c.yaml:1: policy.rules: \"all\" is not one; accepted: an empty list"}},
    });
}

TEST_F(ConfigErrors, ValuesOutOfRange) {
    check({
        {"interface: {listenPort: 65536}",
         {"c.yaml:1: interface.listenPort: \"65536\" is out of range; accepted: a number from 0 to 65535"}},
        {"interface: {listenPort: -1}", {"c.yaml:1: interface.listenPort: \"-1\" is not one"}},
        {"interface: {listenPort: 0x10}", {"c.yaml:1: interface.listenPort: \"0x10\" is not one"}},
        {"interface: {listenPort: 010}", {"c.yaml:1: interface.listenPort: \"010\" is not one"}},
        {"interface: {listenPort: 1e3}", {"c.yaml:1: interface.listenPort: \"1e3\" is not one"}},
        {"interface: {listenPort: 99999999999999999999}", {"c.yaml:1: interface.listenPort: "}},
        {"interface: {mtu: 1279}",
         {"c.yaml:1: interface.mtu: \"1279\" is out of range; accepted: a number from 1280 to 65455, or "
          "auto"}},
        {"interface: {mtu: 65456}", {"c.yaml:1: interface.mtu: "}},
        {"interface: {firewallMark: 0}",
         {"c.yaml:1: interface.firewallMark: \"0\" is not one; accepted: a number from 1 to 0xffffffff"}},
        {"interface: {firewallMark: 0x100000000}", {"c.yaml:1: interface.firewallMark: "}},
        {"interface: {firewallMark: 0x}", {"c.yaml:1: interface.firewallMark: "}},
        {"interface: {firewallMark: 0x1g}", {"c.yaml:1: interface.firewallMark: "}},
        {"interface: {firewallMark: '16'}", {"c.yaml:1: interface.firewallMark: \"16\" in quotes is text"}},
        {"peers: {keepaliveSeconds: 65536}", {"c.yaml:1: peers.keepaliveSeconds: "}},
        {"bpf: {maxRoutes: 1023}",
         {"c.yaml:1: bpf.maxRoutes: \"1023\" is out of range; accepted: a number from 1024 to 1048576"}},
        {"bpf: {maxRoutes: 1048577}", {"c.yaml:1: bpf.maxRoutes: "}},
        {"guard: {handshakesPerSecond: 0}",
         {"c.yaml:1: guard.handshakesPerSecond: \"0\" is out of range; accepted: a number from 1 to "
          "1000000"}},
        {"guard: {handshakesPerSecond: 1000001}", {"c.yaml:1: guard.handshakesPerSecond: "}},
        {"peers: {forgetAfter: 30}",
         {"c.yaml:1: peers.forgetAfter: \"30\" is not one; accepted: a duration from 1s to 365d such as 90s, "
          "30m or 1h"}},
        {"peers: {downAfter: 4s}", {"c.yaml:1: peers.downAfter: \"4s\" is out of range; accepted: 5s to 5m"}},
        {"peers: {downAfter: 301s}", {"c.yaml:1: peers.downAfter: "}},
        {"peers: {downAfter: never}", {"c.yaml:1: peers.downAfter: "}},
        {"peers: {forgetAfter: never}", {"c.yaml:1: peers.forgetAfter: \"never\""}},
        {"peers: {forgetAfter: 0s}", {"c.yaml:1: peers.forgetAfter: "}},
        {"peers: {forgetAfter: -5m}", {"c.yaml:1: peers.forgetAfter: "}},
        {"peers: {forgetAfter: 1.5h}", {"c.yaml:1: peers.forgetAfter: "}},
        {"peers: {forgetAfter: 366d}", {"c.yaml:1: peers.forgetAfter: "}},
        {"peers: {forgetAfter: 99999999999999999999s}", {"c.yaml:1: peers.forgetAfter: "}},
        {"peers: {forgetAfter: [1h]}", {"c.yaml:1: peers.forgetAfter: "}},
        {"agent: {orphanAfter: soon}", {"c.yaml:1: agent.orphanAfter: \"soon\" is not one", "or never"}},
    });
}

TEST_F(ConfigErrors, ValuesThatBreakARule) {
    check({
        {"node: {name: a_b}", {"c.yaml:1: node.name: \"a_b\" is not one; accepted: a host name (RFC 1123"}},
        {"node: {name: a..b}", {"c.yaml:1: node.name: "}},
        {"node: {name: -a}", {"c.yaml:1: node.name: "}},
        {"node: {name: " + std::string(254, 'a') + "}", {"c.yaml:1: node.name: "}},
        {"node: {addresses: [127.0.0.1]}",
         {"c.yaml:1: node.addresses[0]: \"127.0.0.1\" is not one; accepted: an IPv4 or IPv6 unicast"}},
        {"node: {addresses: ['fe80::1']}", {"c.yaml:1: node.addresses[0]: "}},
        {"node: {addresses: ['::ffff:1.2.3.4']}", {"c.yaml:1: node.addresses[0]: ", "IPv4-mapped"}},
        {"node: {podPrefixes: [10.244.1.1/24]}",
         {"c.yaml:1: node.podPrefixes[0]: ", "the network is 10.244.1.0/24"}},
        {"interface: {name: a/b}",
         {"c.yaml:1: interface.name: \"a/b\" is not one; accepted: 1 to 15 letters"}},
        {"interface: {name: sixteencharacter}", {"c.yaml:1: interface.name: "}},
        {"interface: {name: lo}", {"c.yaml:1: interface.name: "}},
        {"interface: {name: all}", {"c.yaml:1: interface.name: "}},
        {"interface: {name: '..'}", {"c.yaml:1: interface.name: "}},
        {"interface: {name: ''}", {"c.yaml:1: interface.name: "}},
        {"interface: {addressPrefix: 10.0.0.0/64}", {"c.yaml:1: interface.addressPrefix: "}},
        {"interface: {addressPrefix: 10.0.0.0/8}",
         {"c.yaml:1: interface.addressPrefix: \"10.0.0.0/8\" is not one; accepted: an IPv6 /64"}},
        {"interface: {addressPrefix: 'fd00::/48'}", {"c.yaml:1: interface.addressPrefix: "}},
        {"interface: {addressPrefix: 'fe80::/64'}", {"c.yaml:1: interface.addressPrefix: "}},
        {"interface: {addressPrefix: '::/64'}", {"c.yaml:1: interface.addressPrefix: "}},
        {"interface: {backend: fast}",
         {"c.yaml:1: interface.backend: \"fast\" is not one; accepted: auto, kernel, userspace"}},
        {"interface: {privateKeyFile: ''}",
         {"c.yaml:1: interface.privateKeyFile: \"\" is not one; accepted: a path"}},
        {"interface:\n  mtu: auto\n  firewallMark: 0x20",
         {"c.yaml:3: interface.firewallMark: the mark has bits outside interface.firewallMarkMask"}},
        {"interface: {firewallMarkMask: 0x20}",
         {"c.yaml:1: interface.firewallMark: the mark has bits outside"}},
        {"steering: {pods: sometimes}",
         {"c.yaml:1: steering.pods: \"sometimes\" is not one; accepted: always, cniDown"}},
        {"steering: {routes: none}",
         {"c.yaml:1: steering.routes: \"none\" is not one; accepted: auto, backup, override"}},
        {"steering: {order: middle}",
         {"c.yaml:1: steering.order: \"middle\" is not one; accepted: first, last"}},
        {"steering: {uplinks: []}", {"c.yaml:1: steering.uplinks: an empty list would steer nothing"}},
        {"steering: {uplinks: ['a b']}", {"c.yaml:1: steering.uplinks[0]: "}},
        {"steering: {podInterfaces: some}", {"c.yaml:1: steering.podInterfaces: \"some\""}},
        {"steering: {podInterfaces: []}", {"c.yaml:1: steering.podInterfaces: an empty list"}},
        {"steering: {podDatapath: fast}",
         {"c.yaml:1: steering.podDatapath: \"fast\" is not one; accepted: host, direct"}},
        {"steering: {alwaysReach: ['192.0.2.1:6443']}",
         {"c.yaml:1: steering.alwaysReach[0]: ", "ip:port/tcp or ip:port/udp"}},
        {"steering: {alwaysReach: ['192.0.2.1:6443/sctp']}", {"c.yaml:1: steering.alwaysReach[0]: "}},
        {"steering: {alwaysReach: ['2001:db8::1:53/udp']}",
         {"c.yaml:1: steering.alwaysReach[0]: ", "brackets"}},
        {"steering: {alwaysReach: ['api.example:6443/tcp']}", {"c.yaml:1: steering.alwaysReach[0]: "}},
        {"advertise: {endpoints: [192.0.2.1]}",
         {"c.yaml:1: advertise.endpoints[0]: ", "the port is missing"}},
        {"advertise: {endpoints: ['127.0.0.1:51820']}",
         {"c.yaml:1: advertise.endpoints[0]: \"127.0.0.1:51820\"", "that others can reach"}},
        {"advertise: {endpoints: ['[fe80::1]:51820']}", {"c.yaml:1: advertise.endpoints[0]: "}},
        {"discovery: {static: [{name: a, publicKey: '" + std::string(kKeyA) +
             "', endpoints: ['0.0.0.0:51820']}]}",
         {"c.yaml:1: discovery.static[0].endpoints[0]: \"0.0.0.0:51820\"", "of one host"}},
        {"advertise: {endpointFilters: ['!!10.0.0.0/8']}", {"c.yaml:1: advertise.endpointFilters[0]: "}},
        {"advertise: {endpointFilters: ['']}", {"c.yaml:1: advertise.endpointFilters[0]: "}},
        {"peers: {presharedKeys: on}",
         {"c.yaml:1: peers.presharedKeys: \"on\" is not one; accepted: derived, off"}},
        {"peers: {acceptPrefixes: none}", {"c.yaml:1: peers.acceptPrefixes: ", "accepted: any, or a list"}},
        {"peers: {whenDown: pass}",
         {"c.yaml:1: peers.whenDown: \"pass\" is not one; accepted: drop, bypass"}},
        {"metrics: {listen: localhost}",
         {"c.yaml:1: metrics.listen: ", "ip:port such as 127.0.0.1:9586, or \"\" for off"}},
        {"control: {socket: " + std::string(108, 'x') + "}",
         {"c.yaml:1: control.socket: too long for a socket; accepted: a path of at most 107 bytes"}},
        {"bpf: {pinPath: here}", {"c.yaml:1: bpf.pinPath: \"here\" is not one; accepted: an absolute path"}},
        {"agent: {onExit: die}", {"c.yaml:1: agent.onExit: \"die\" is not one; accepted: keep, cleanup"}},
        {"discovery: {kubernetes: {publishStatus: on}}",
         {"c.yaml:1: discovery.kubernetes.publishStatus: \"on\" is not one; accepted: auto, off"}},
        {"discovery: {kubernetes: {enabled: perhaps}}",
         {"c.yaml:1: discovery.kubernetes.enabled: \"perhaps\" is not one; accepted: auto, true, false"}},
    });
}

TEST_F(ConfigErrors, ServicesAndStaticPeers) {
    const std::string key_a = std::string("publicKey: \"") + kKeyA + "\"";
    const std::string key_b = std::string("publicKey: \"") + kKeyB + "\"";
    const std::string head = "discovery:\n  static:\n";
    check({
        {"discovery:\n  services:\n  - {caFile: /x}",
         {"c.yaml:3: discovery.services[0].url: missing; accepted: https://"}},
        {"discovery: {services: [{url: discovery.example}]}",
         {"c.yaml:1: discovery.services[0].url: \"discovery.example\" is not one; accepted: https://HOST"}},
        {"discovery: {services: [{url: 'ftp://a.b'}]}", {"c.yaml:1: discovery.services[0].url: "}},
        {"discovery: {services: [{url: 'https://'}]}", {"c.yaml:1: discovery.services[0].url: "}},
        {"discovery: {services: [{url: 'https://u:p@a.b'}]}", {"c.yaml:1: discovery.services[0].url: "}},
        {"discovery: {services: [{url: 'https://a.b:0'}]}", {"c.yaml:1: discovery.services[0].url: "}},
        {"discovery: {services: [{url: 'https://a.b?x'}]}", {"c.yaml:1: discovery.services[0].url: "}},
        {head + "  - {" + key_a + "}",
         {"c.yaml:3: discovery.static[0].name: missing; accepted: a host name"}},
        {head + "  - {name: a}",
         {"c.yaml:3: discovery.static[0].publicKey: missing; accepted: 44 characters"}},
        {head + "  - {name: a, publicKey: abc}",
         {"c.yaml:3: discovery.static[0].publicKey: not a WireGuard public key"}},
        {head + "  - {name: a, publicKey: \"" + std::string(43, 'A') + "=\"}",
         {"c.yaml:3: discovery.static[0].publicKey: a key of zeros"}},
        {head + "  - {name: a, " + key_a + "}\n  - {name: A, " + key_b + "}",
         {"c.yaml:4: discovery.static[1].name: \"a\" is already that of the peer at c.yaml:3"}},
        {head + "  - {name: a, " + key_a + "}\n  - {name: b,\n     " + key_a + "}",
         {"c.yaml:5: discovery.static[1].publicKey: \"" + std::string(kKeyA) +
          "\" is already that of the peer at c.yaml:3"}},
        {head + "  - {name: a, " + key_a + ", address: 10.0.0.1}\n  - {name: b, " + key_b +
             ", address: 10.0.0.1}",
         {"c.yaml:4: discovery.static[1].address: 10.0.0.1 is already that of the peer at c.yaml:3"}},
        {head + "  - {name: HOST1, " + key_a + "}",
         {"c.yaml:3: discovery.static[0].name: \"host1\" is this node's own name"}},
        {head + "  - {name: a, " + key_a + ", endpoints: [a:b]}",
         {"c.yaml:3: discovery.static[0].endpoints[0]: "}},
    });
}

TEST_F(ConfigErrors, BrokenYaml) {
    check({
        {"node:\n  name: [a", {"c.yaml:2: not YAML: "}},
        {"a: 1\n b: 2", {"c.yaml:2: not YAML: "}},
        {"node: {}\n---\ninterface: {}", {"c.yaml:3: a second document; accepted: one document a file"}},
        {"node: *nobody", {"c.yaml:1: not YAML: "}},
        {"a: &x [*x]", {"c.yaml:1: not YAML: an alias stands inside what it names"}},
        {"[a]: 1", {"c.yaml:1: not YAML: a key must be plain text"}},
        {"~: 1", {"c.yaml:1: not YAML: a key must be plain text"}},
        {"node: !custom {}", {"c.yaml:1: not YAML: the tag"}},
        {"node: {}\nmetrics: \x04", {"c.yaml:2: a control character (byte 4); accepted: UTF-8 text"}},
        {std::string("node: {}\0", 9), {"c.yaml:1: a control character (byte 0)"}},
        {"\x7f", {"c.yaml:1: a control character"}},
        {std::string(100, '[') + std::string(100, ']'), {"c.yaml:1: not YAML: "}},
        {std::string(100'000, '['), {"c.yaml:1: not YAML: "}},
        {std::string(100'000, '{'), {"c.yaml:1: not YAML: "}},
    });
}

TEST_F(ConfigErrors, AliasesAreExpandedWithinLimits) {
    EXPECT_EQ(
        good("advertise: {prefixes: &p [10.9.0.0/24]}\nsteering: {exclude: *p}").steering.exclude.size(), 1U);
    std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n";
    for (int i = 1; i < 12; ++i) {
        const std::string before = "*a" + std::to_string(i - 1);
        bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
        for (int n = 0; n < 9; ++n) bomb += before + ",";
        bomb += "]\n";
    }
    EXPECT_THAT(error(bomb), HasSubstr("too many values"));
    std::string deep = "a0: &a0 [x]\n";
    for (int i = 1; i < 100; ++i)
        deep += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + std::to_string(i - 1) + "]\n";
    EXPECT_THAT(error(deep), HasSubstr("nested too deeply"));
}

TEST_F(ConfigErrors, ListsAreBounded) {
    std::string labels = "node: {labels: {";
    for (int i = 0; i < 65; ++i) labels += "k" + std::to_string(i) + ": v, ";
    EXPECT_THAT(error(labels + "}}"), HasSubstr("node.labels: too many entries; accepted: at most 64"));
    std::string addresses = "node: {addresses: [";
    for (int i = 0; i < 33; ++i) addresses += "10.0.0." + std::to_string(i) + ", ";
    EXPECT_THAT(error(addresses + "]}"), HasSubstr("node.addresses: too many entries; accepted: at most 32"));
}

TEST_F(ConfigErrors, InputIsQuotedHarmlessly) {
    const std::string message = error("interface: {backend: \"\\e[31m\\n" + std::string(5000, 'x') + "\"}");
    EXPECT_THAT(message, HasSubstr(R"(\x1b[31m\nxxx)"));
    EXPECT_THAT(message, Not(HasSubstr("\n")));
    EXPECT_LT(message.size(), 400U);
    EXPECT_LT(error(std::string(500, 'k') + ": 1").size(), 500U);
}

}  // namespace
}  // namespace wglan
