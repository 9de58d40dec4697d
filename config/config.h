// SPDX-License-Identifier: Apache-2.0
// The agent's settings as one value, with their defaults; the loader turns YAML, JSON, JSON patches
// and the Talos spelling into it. Errors name file, line, key and what is accepted.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/ip.h"
#include "agent/base/keys.h"
#include "agent/base/result.h"
#include "agent/model/steering.h"

namespace wglan {

enum class Backend { automatic, kernel, userspace };

// Main-table routes for peers' pod and other prefixes. Backup: same prefix, worst metric, always there.
// Override: its two halves beside it, which win over anybody's route for the prefix; automatic: while that
// route leads nowhere.
enum class RouteForm { automatic, backup, override };

struct StaticPeer {
    std::string name;
    PublicKey public_key;
    std::optional<IpAddress> address;
    std::vector<Prefix> prefixes;
    std::vector<HostPort> endpoints;
    std::string preshared_key_file;
    std::optional<std::uint16_t> keepalive_s;  // Talos peers: persistentKeepaliveInterval
    bool operator==(const StaticPeer&) const = default;
};

struct ServiceConfig {
    std::string url;
    std::string ca_file;
    bool operator==(const ServiceConfig&) const = default;
};

struct KubernetesConfig {
    std::optional<bool> enabled;  // nullopt = auto: in a pod, or where there is a kubeconfig
    std::string kubeconfig;       // "" = the pod's own account
    std::string annotation_prefix = "wglan.dev";
    bool publish_status = true;  // Events and the Node's condition, where we have the right
    bool operator==(const KubernetesConfig&) const = default;
};

struct ReachTarget {  // steering.alwaysReach: "ip:port/proto"
    Endpoint endpoint;
    std::uint8_t protocol = 6;  // IPPROTO_TCP or IPPROTO_UDP
    auto operator<=>(const ReachTarget&) const = default;
};

// "CIDR" includes, "!CIDR" excludes; the last that matches decides (endpointFilters).
struct EndpointFilter {
    Prefix prefix;
    bool exclude = false;
    bool operator==(const EndpointFilter&) const = default;
};

struct Config {
    struct Cluster {
        std::shared_ptr<const Secret> token;  // at least 16 bytes; null only with --cleanup
        std::string discovery_id;             // 64 hex digits, worked out
        bool weak_token = false;              // worth a warning
    } cluster;
    struct Node {
        std::string name;
        std::map<std::string, std::string> labels;
        std::optional<std::vector<IpAddress>> addresses;  // nullopt = auto
        std::optional<std::vector<Prefix>> pod_prefixes;  // nullopt = auto
    } node;
    struct Interface {
        std::string name = "wglan0";
        std::uint16_t listen_port = 51820;
        std::optional<std::uint32_t> mtu;      // nullopt = auto; 1280-65455
        std::optional<Prefix> address_prefix;  // /64; nullopt = ula
        std::uint32_t firewall_mark = 0x10, firewall_mark_mask = 0x10;
        Backend backend = Backend::automatic;
        bool external_wireguard_go = false;  // something else starts wireguard-go; the agent adopts it
        std::string private_key_file = "/var/lib/wglan/private.key";
        std::shared_ptr<const Secret> private_key;  // Talos `privateKey`: raw 32 bytes, else null
    } interface;
    bool automatic_nodes = true;
    bool pod_networking = true;
    struct Discovery {
        KubernetesConfig kubernetes;
        std::vector<ServiceConfig> services;
        std::vector<StaticPeer> static_peers;
        std::string cache_file = "/var/lib/wglan/peers.json";
    } discovery;
    struct Advertise {
        std::vector<HostPort> endpoints;
        std::vector<EndpointFilter> endpoint_filters;  // default: both families, all
        std::vector<Prefix> prefixes, exclude_prefixes;
    } advertise;
    struct Peers {
        std::uint16_t keepalive_s = 25;
        bool derive_preshared_keys = true;
        std::optional<std::vector<Prefix>> accept_prefixes;  // nullopt = any
        std::vector<std::string> accept_default_route_from;
        Fallback when_unknown = Fallback::bypass;
        Fallback when_down = Fallback::drop;
        Seconds down_after{10};  // a dead path is detected within this
        Seconds forget_after{1800};
    } peers;
    struct Steering {
        std::optional<std::vector<std::string>> uplinks;         // globs; nullopt = auto
        std::optional<std::vector<std::string>> pod_interfaces;  // globs; nullopt = auto
        // pods: cniDown. Otherwise always.
        bool pods_when_cni_down = false;
        bool direct = false;  // podDatapath
        std::vector<ReachTarget> always_reach;
        bool order_first = true;
        RouteForm routes = RouteForm::automatic;
        std::vector<Prefix> exclude;
    } steering;
    struct Guard {
        bool enabled = true;
        std::uint32_t handshakes_per_s = 50;  // from one source
    } guard;
    struct Control {
        std::string socket = "/run/wglan/agent.sock";
    } control;
    struct Metrics {
        std::optional<Endpoint> listen;  // nullopt = off ("")
    } metrics;                           // default 127.0.0.1:9586
    struct Bpf {
        std::string pin_path = "/sys/fs/bpf/wglan";
        std::uint32_t max_routes = 131072;
    } bpf;
    struct Agent {
        bool cleanup_on_exit = false;
        Seconds orphan_after{0};  // 0 = never
    } agent;

    // Keys whose change needs a new start (e.g. interface.name, bpf.pinPath, control.socket), of
    // those that differ between the two; empty = a reload can apply everything.
    static std::vector<std::string> needs_restart(const Config& before, const Config& after);
    // All keys that differ between the two, in the order of the documentation.
    static std::vector<std::string> differences(const Config& before, const Config& after);
};

// The documented defaults; no token, no discovery ID, an empty node name.
Config default_config();

struct ConfigInput {
    std::string file;                      // "" = embedded defaults
    std::vector<std::string> patch_files;  // applied in order (RFC 6902, JSON or YAML)
    // Environment as the loader sees it: NODE_NAME, WGLAN_CLUSTER_TOKEN, WGLAN_CLUSTER_TOKEN_FILE.
    std::map<std::string, std::string> environment;
    std::string host_name;
    bool token_required = true;
};

struct LoadedConfig {
    Config config;
    std::vector<std::string> files;     // whose change means a reload: configuration, patches, token file
    std::vector<std::string> warnings;  // for the log, one line each
};

// Kinds: invalid (message "FILE:LINE: KEY: what is wrong; accepted: ..."), unsupported (a key or value
// that this version doesn't implement: "... not available in this version"), exhausted (too large), and
// for a file that can't be read those of read_file.
Result<LoadedConfig> load_config(const ConfigInput& input);

}  // namespace wglan
