// SPDX-License-Identifier: Apache-2.0
// The native spelling, key by key in the order of the documentation.
#include "agent/base/text.h"
#include "config/draft.h"
#include "config/scalars.h"

namespace wglan::config {
namespace {

// Limits of a record (agent/model/record.h).
constexpr std::size_t kMaxEndpoints = 64;
constexpr std::size_t kMaxAddresses = 32;
constexpr std::size_t kMaxPrefixes = 1024;
constexpr std::size_t kMaxLabels = 64;
constexpr std::size_t kMaxLabelText = 253;
constexpr std::size_t kMaxStaticPeers = 10'000;
constexpr std::size_t kMaxServices = 16;
constexpr std::size_t kMaxNames = 1024;

constexpr Choice<Fallback> kBypass{"bypass", Fallback::bypass};
constexpr Choice<Fallback> kDrop{"drop", Fallback::drop};

Result<std::string> parse_discovery_id(const Value& value) {
    if (value.kind == Value::Kind::scalar && !value.text.empty()) return value.text;
    return fail(ErrorKind::invalid, "nothing is no ID; accepted: any text (its SHA-256 is used)");
}

Result<Secret> parse_token(const Value& value) {
    // The value itself is never shown.
    if (value.kind != Value::Kind::scalar)
        return fail(ErrorKind::invalid,
                    std::string(kind_name(value.kind)) + " is no token; accepted: text of at least 16 bytes");
    const auto last = value.text.find_last_not_of(" \t\r\n\v\f");
    return Secret::copy_of(as_bytes(std::string_view(value.text).substr(0, last + 1)));
}

void read_cluster(Section& cluster, Draft& draft) {
    if (cluster.take("token") != nullptr) {
        draft.token_where = cluster.where_of("token");
        cluster.read("token", draft.token, parse_token);
        if (draft.token.empty()) cluster.fail("token", "empty; accepted: text of at least 16 bytes");
    }
    cluster.read("tokenFile", draft.token_file, parse_path);
    draft.token_file_where = cluster.where_of("tokenFile");
    std::string id;
    cluster.read("discoveryID", id, parse_discovery_id);
    if (!id.empty()) draft.discovery_id = std::move(id);
}

void read_labels(Section& node, Config::Node& out) {
    node.each("labels", kMaxLabels, [&](const Value::Member& member, const std::string& path) {
        const auto clean = [](std::string_view text) {
            return text.size() <= kMaxLabelText && escape_controls(text) == text;
        };
        if (member.key.empty() || !clean(member.key))
            node.reading().fail(
                ErrorKind::invalid, member.where, path,
                "bad label name; accepted: 1 to 253 bytes of text without control characters");
        else if (member.value.kind != Value::Kind::scalar || !clean(member.value.text))
            node.reading().fail(
                ErrorKind::invalid, member.value.where, path,
                "bad label value; accepted: at most 253 bytes of text without control characters");
        else
            out.labels[member.key] = member.value.text;
    });
}

void read_node(Section& node, Config::Node& out) {
    node.read("name", out.name, parse_node_name);
    read_labels(node, out);
    node.read_list_or("addresses", "auto", out.addresses, kMaxAddresses, parse_unicast);
    node.read_list_or("podPrefixes", "auto", out.pod_prefixes, kMaxPrefixes, parse_prefix);
}

void read_interface(Section& interface, Draft& draft) {
    Config::Interface& out = draft.config.interface;
    interface.read("name", out.name, parse_interface_name);
    interface.read("listenPort", out.listen_port, number<std::uint16_t>(0, 65535));
    interface.read("mtu", out.mtu, auto_or_number<std::uint32_t>(1280, 65455));
    interface.read("addressPrefix", out.address_prefix, parse_address_prefix);
    interface.read("firewallMark", out.firewall_mark, parse_mark);
    interface.read("firewallMarkMask", out.firewall_mark_mask, parse_mark);
    draft.mark_where = interface.where_of("firewallMark");
    interface.read(
        "backend", out.backend,
        choice<Backend>(
            {{"auto", Backend::automatic}, {"kernel", Backend::kernel}, {"userspace", Backend::userspace}}));
    interface.read("wireguardGo", out.external_wireguard_go,
                   choice<bool>({{"start", false}, {"external", true}}));
    interface.read("privateKeyFile", out.private_key_file, parse_path);
}

void read_kubernetes(Section& kubernetes, KubernetesConfig& out) {
    kubernetes.read("enabled", out.enabled,
                    choice<std::optional<bool>>({{"auto", std::nullopt}, {"true", true}, {"false", false}}));
    kubernetes.read("kubeconfig", out.kubeconfig, parse_path);
    kubernetes.read("annotationPrefix", out.annotation_prefix, parse_node_name);
    kubernetes.read("publishStatus", out.publish_status, choice<bool>({{"auto", true}, {"off", false}}));
}

void read_service(Section& service, Draft& draft) {
    ServiceConfig& out = draft.config.discovery.services.emplace_back();
    service.require("url", "https://HOST[:PORT]");
    service.read("url", out.url, parse_service_url);
    service.read("caFile", out.ca_file, parse_path);
}

void read_static(Section& peer, Draft& draft) {
    StaticPeer& out = draft.config.discovery.static_peers.emplace_back();
    peer.require("name", "a host name");
    peer.require("publicKey", "44 characters of base64");
    peer.read("name", out.name, parse_node_name);
    peer.read("publicKey", out.public_key, parse_key);
    peer.read("address", out.address, [](const Value& value) {
        return parse_unicast(value).map([](IpAddress address) { return std::optional(address); });
    });
    peer.read_list("prefixes", out.prefixes, kMaxPrefixes, parse_prefix);
    peer.read_list("endpoints", out.endpoints, kMaxEndpoints, parse_peer_endpoint);
    peer.read("presharedKeyFile", out.preshared_key_file, parse_path);
    draft.static_sections.push_back(peer);
}

void read_discovery(Section& discovery, Draft& draft) {
    discovery.map("kubernetes", [&](Section& kubernetes) {
        read_kubernetes(kubernetes, draft.config.discovery.kubernetes);
    });
    discovery.maps("services", kMaxServices, [&](Section& service) { read_service(service, draft); });
    discovery.maps("static", kMaxStaticPeers, [&](Section& peer) { read_static(peer, draft); });
    discovery.read("cacheFile", draft.config.discovery.cache_file, parse_path);
}

void read_advertise(Section& advertise, Config::Advertise& out) {
    advertise.read_list("endpoints", out.endpoints, kMaxEndpoints, parse_own_endpoint);
    advertise.read_list("endpointFilters", out.endpoint_filters, kMaxPrefixes, parse_endpoint_filter);
    advertise.read_list("prefixes", out.prefixes, kMaxPrefixes, parse_prefix);
    advertise.read_list("excludePrefixes", out.exclude_prefixes, kMaxPrefixes, parse_prefix);
}

void read_peers(Section& peers, Config::Peers& out) {
    peers.read("keepaliveSeconds", out.keepalive_s, number<std::uint16_t>(0, 65535));
    peers.read("presharedKeys", out.derive_preshared_keys, choice<bool>({{"derived", true}, {"off", false}}));
    peers.read_list_or("acceptPrefixes", "any", out.accept_prefixes, kMaxPrefixes, parse_prefix);
    peers.read_list("acceptDefaultRouteFrom", out.accept_default_route_from, kMaxNames, parse_node_name);
    peers.read("whenUnknown", out.when_unknown, choice<Fallback>({kBypass, kDrop}));
    peers.read("whenDown", out.when_down, choice<Fallback>({kDrop, kBypass}));
    peers.read("downAfter", out.down_after, parse_down_after);
    peers.read("forgetAfter", out.forget_after, parse_forget_after);
}

void read_globs(Section& steering, const char* key, std::optional<std::vector<std::string>>& out) {
    steering.read_list_or(key, "auto", out, kMaxNames, parse_interface_glob);
    if (out && out->empty())
        steering.fail(key, "an empty list would steer nothing; accepted: auto, or names and globs");
}

void read_steering(Section& steering, Config::Steering& out) {
    read_globs(steering, "uplinks", out.uplinks);
    read_globs(steering, "podInterfaces", out.pod_interfaces);
    steering.read("pods", out.pods_when_cni_down, choice<bool>({{"always", false}, {"cniDown", true}}));
    steering.read("podDatapath", out.direct, choice<bool>({{"host", false}, {"direct", true}}));
    steering.read_list("alwaysReach", out.always_reach, kMaxNames, parse_reach_target);
    steering.read("routes", out.routes,
                  choice<RouteForm>({{"auto", RouteForm::automatic},
                                     {"backup", RouteForm::backup},
                                     {"override", RouteForm::override}}));
    steering.read("order", out.order_first, choice<bool>({{"first", true}, {"last", false}}));
    steering.read_list("exclude", out.exclude, kMaxPrefixes, parse_prefix);
}

void read_guard(Section& guard, Config::Guard& out) {
    guard.read("enabled", out.enabled, parse_bool);
    guard.read("handshakesPerSecond", out.handshakes_per_s, number<std::uint32_t>(1, 1'000'000));
}

void read_policy(Section& policy) {
    std::string ignored;
    policy.read("default", ignored, choice<std::string>({{"allow", ""}, {"deny", "", false}}));
    const Value* rules = policy.take("rules");
    if (rules == nullptr || (rules->kind == Value::Kind::sequence && rules->items.empty())) return;
    if (rules->kind == Value::Kind::sequence)
        policy.fail("rules", not_available("a rule").value().message(), ErrorKind::unsupported);
    else
        policy.fail("rules", no_choice(*rules, {"an empty list"}).value().message());
}

void read_top(Section& top, Draft& draft) {
    Config& out = draft.config;
    top.map("cluster", [&](Section& cluster) { read_cluster(cluster, draft); });
    top.map("node", [&](Section& node) { read_node(node, out.node); });
    top.map("interface", [&](Section& interface) { read_interface(interface, draft); });
    top.read("enableAutomaticNodes", out.automatic_nodes, parse_bool);
    top.read("enablePodNetworking", out.pod_networking, parse_bool);
    top.map("discovery", [&](Section& discovery) { read_discovery(discovery, draft); });
    top.map("advertise", [&](Section& advertise) { read_advertise(advertise, out.advertise); });
    top.map("peers", [&](Section& peers) { read_peers(peers, out.peers); });
    top.map("steering", [&](Section& steering) { read_steering(steering, out.steering); });
    top.map("guard", [&](Section& guard) { read_guard(guard, out.guard); });
    top.map("policy", read_policy);
    top.map("control",
            [&](Section& control) { control.read("socket", out.control.socket, parse_socket_path); });
    top.map("metrics", [&](Section& metrics) { metrics.read("listen", out.metrics.listen, parse_listen); });
    top.map("bpf", [&](Section& bpf) {
        bpf.read("pinPath", out.bpf.pin_path, parse_pin_path);
        bpf.read("maxRoutes", out.bpf.max_routes, number<std::uint32_t>(1024, 1048576));
    });
    top.map("agent", [&](Section& agent) {
        agent.read("onExit", out.agent.cleanup_on_exit, choice<bool>({{"keep", false}, {"cleanup", true}}));
        agent.read("orphanAfter", out.agent.orphan_after, parse_orphan_after);
    });
}

}  // namespace

void read_native(const Value* document, Draft& draft, Reading& reading) {
    Section top(document, "", reading);
    read_top(top, draft);
    top.finish();
}

}  // namespace wglan::config
