// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/kubernetes/node_cache.h"

#include <set>

#include <fmt/format.h>

#include "agent/base/text.h"
#include "agent/discovery/json_read.h"

namespace wglan {
namespace {

using json_read::Json;

constexpr std::size_t kMaxText = 512U << 10;
constexpr std::size_t kMaxWarnings = 16;

std::string said_bytes(const std::string& node) { return "wglan/v1/cached-node\n" + node; }

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

template <class Value, class Parse>
Result<> read_list(const Json& node, const char* field, std::vector<Value>& to, Parse parse) {
    auto list = json_read::optional_array(node, field, 1024);
    if (!list) return Failure(list.error());
    if (*list == nullptr) return {};
    for (const Json& item : **list) {
        auto value = parse(item.is_string() ? item.get<std::string>() : std::string());
        if (!value) return fail_with(value, fmt::format("\"{}\"", field));
        to.push_back(std::move(*value));
    }
    return {};
}

Result<> read_map(const Json& node, const char* field, std::map<std::string, std::string>& to) {
    auto map = json_read::optional_object(node, field, 1024);
    if (!map) return Failure(map.error());
    if (*map == nullptr) return {};
    for (const auto& [key, value] : (*map)->items()) {
        if (!value.is_string()) return fail(ErrorKind::invalid, fmt::format("\"{}\": not text", field));
        to.emplace(key, value.get<std::string>());
    }
    return {};
}

Result<KubeNode> read_node(const Json& json) {
    KubeNode node;
    auto name = json_read::string_field(json, "name", 253);
    if (!name) return Failure(name.error());
    auto uid = json_read::string_field(json, "uid", 1024);
    if (!uid) return Failure(uid.error());
    node.name = std::move(*name);
    node.uid = std::move(*uid);
    if (auto read = read_list(json, "podCIDRs", node.pod_cidrs, Prefix::parse); !read)
        return Failure(read.error());
    if (auto read = read_list(json, "addresses", node.addresses, IpAddress::parse); !read)
        return Failure(read.error());
    if (auto read = read_map(json, "labels", node.labels); !read) return Failure(read.error());
    if (auto read = read_map(json, "annotations", node.annotations); !read) return Failure(read.error());
    return node;
}

}  // namespace

std::string cached_node(const ClusterKeys& keys, const KubeNode& node) {
    Json json = {{"name", node.name}, {"uid", node.uid}, {"labels", node.labels}};
    json["podCIDRs"] = Json::array();
    for (const Prefix& prefix : node.pod_cidrs) json["podCIDRs"].push_back(prefix.to_string());
    json["addresses"] = Json::array();
    for (const IpAddress& address : node.addresses) json["addresses"].push_back(address.to_string());
    json["annotations"] = Json::object();
    for (const char* known : annotation_names())
        if (const auto it = node.annotations.find(known); it != node.annotations.end())
            json["annotations"][known] = it->second;
    const std::string text = dump(json);
    return fmt::format("{{\"mac\":\"{}\",\"node\":{}}}",
                       base64url_encode(keys.authenticate(said_bytes(text))), text);
}

Result<KubeNode> read_cached_node(const ClusterKeys& keys, std::string_view text) {
    auto json = json_read::parse_object(text, kMaxText);
    if (!json) return Failure(json.error());
    const auto node = json_read::optional_object(*json, "node", 16);
    if (!node) return Failure(node.error());
    if (*node == nullptr) return fail(ErrorKind::invalid, "\"node\": missing");
    const auto mac_text = json_read::string_field(*json, "mac", 64);
    if (!mac_text) return Failure(mac_text.error());
    const auto mac = base64url_decode(*mac_text);
    if (!mac || !keys.is_authentic(said_bytes(dump(**node)), as_bytes(*mac)))
        return fail(ErrorKind::permission, "the MAC is wrong: changed, or of another token");
    return read_node(**node);
}

void restore_cached_nodes(const ClusterKeys& keys, CacheContent& content, UnixTime now,
                          bool clock_synchronised) {
    std::set<IdentityKey> known;
    for (const SourcedRecord& said : content.records) known.insert(said.record.identity);
    const auto warn = [&](std::string text) {
        if (content.warnings.size() < kMaxWarnings) content.warnings.push_back(std::move(text));
    };
    for (std::string& text : content.nodes) {
        const auto node = read_cached_node(keys, text);
        if (!node) {
            warn("a Node: " + node.error().message());
            continue;
        }
        const std::string name = "Node " + quote(node->name);
        auto record = read_annotations(keys, *node);
        if (!record) {
            warn(name + ": " + record.error().message());
            continue;
        }
        const auto seen = content.state.seen.find(record->identity);
        if (seen == content.state.seen.end() || seen->second.withdrawn || seen->second.node ||
            seen->second.sequence != record->sequence) {
            warn(name + ": not the newest statement of its node");
            continue;
        }
        if (clock_synchronised && now - record->issued > kMaxCacheAgeSeconds) {
            warn(fmt::format("{}: issued {} days ago", name, (now - record->issued) / 86400));
            continue;
        }
        seen->second.node = std::make_shared<const std::string>(std::move(text));
        if (!known.insert(record->identity).second) continue;  // a sealed record says the same
        SourcedRecord said;
        said.record = std::move(*record);
        said.kind = SourceKind::cache;
        said.source = to_string(SourceKind::cache);
        content.records.push_back(std::move(said));
    }
    content.nodes.clear();
}

}  // namespace wglan
