// SPDX-License-Identifier: Apache-2.0
// What the Kubernetes API says of Nodes, cut down to what matters here. Pure; the text is foreign.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/ip.h"
#include "agent/base/result.h"

namespace wglan {

using Annotations = std::map<std::string, std::string>;  // without the prefix and its slash

inline constexpr std::string_view kReadyCondition = "WglanReady";

// All that we write; others below the prefix are somebody else's, or a later version's.
inline constexpr const char* kAnnotationNames[] = {"public-key", "address",  "identity", "endpoints",
                                                   "prefixes",   "observed", "sequence", "signature"};

// Ours, as it stands on a Node.
struct KubeCondition {
    std::string status;  // "True", "False" ...
    std::string reason, message;
    std::string since;  // lastTransitionTime
    bool operator==(const KubeCondition&) const = default;
};

struct KubeNode {
    std::string name;              // lower case, RFC 1123
    std::string uid;               // another one under the same name is another node
    std::string resource_version;  // opaque
    std::vector<Prefix> pod_cidrs;
    std::vector<IpAddress> addresses;  // InternalIP and ExternalIP, in the API's order
    std::map<std::string, std::string> labels;
    Annotations annotations;  // ours
    std::optional<KubeCondition> condition;
    bool operator==(const KubeNode&) const = default;
};

// An item of a list that is no Node anyone could use.
struct RefusedNode {
    std::string name;  // "" = not even that can be read
    std::string why;
};

struct KubeNodeList {
    std::vector<KubeNode> nodes;
    std::vector<RefusedNode> refused;
    std::string resource_version;
    std::string next;  // continue token; "" = this is the last page
};

// One line of a watch.
struct KubeEvent {
    enum class Kind { put, removed, bookmark, error };
    Kind kind = Kind::bookmark;
    KubeNode node;                 // put, removed; its name alone where it is refused
    std::string refused;           // why the node can't be used; "" = it can
    std::string resource_version;  // of all but error
    unsigned code = 0;             // error: as an HTTP status
    std::string message;
};

inline constexpr std::size_t kMaxNodeListBody = 32U << 20;
inline constexpr std::size_t kMaxNodeLine = 4U << 20;  // etcd holds no object over 1.5 MiB

// True if this resourceVersion is surely later than that one: both are decimal numbers, as all servers write
// them (the API promises it from 1.35 on).
bool is_later(std::string_view version, std::string_view than);

// `prefix`: discovery.kubernetes.annotationPrefix.
Result<KubeNodeList> parse_node_list(std::string_view json, std::string_view prefix);
Result<KubeEvent> parse_node_event(std::string_view json, std::string_view prefix);
Result<KubeNode> parse_node(std::string_view json, std::string_view prefix);
// What a Status object says, in one line; "" where the text is none.
std::string status_message(std::string_view json);

}  // namespace wglan
