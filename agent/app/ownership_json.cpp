// SPDX-License-Identifier: Apache-2.0
#include "agent/app/ownership_json.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace wglan {

using Json = nlohmann::json;

namespace {

constexpr std::size_t kMost = 128;

}  // namespace

std::string ownership_json(const Ownership& ownership, const ClusterMemory& cluster) {
    Json prefixes = Json::object(), names = Json::object(), keys = Json::object();
    for (const auto& [prefix, key] : ownership.prefixes) prefixes[prefix.to_string()] = to_string(key);
    for (const auto& [name, key] : ownership.names) names[name] = to_string(key);
    for (const auto& [key, identity] : ownership.keys) keys[to_string(key)] = to_string(identity);
    Json all{{"prefixes", std::move(prefixes)}, {"names", std::move(names)}, {"keys", std::move(keys)}};
    for (const Endpoint& endpoint : cluster.api_servers) all["apiServers"].push_back(endpoint.to_string());
    if (cluster.own_pods) {
        all["ownPods"] = Json::array();
        for (const Prefix& prefix : *cluster.own_pods) all["ownPods"].push_back(prefix.to_string());
    }
    return all.dump();
}

ClusterMemory parse_cluster(std::string_view text) {
    ClusterMemory cluster;
    const Json json = Json::parse(text, nullptr, false);
    const auto texts = [&](const char* field) -> std::optional<std::vector<std::string>> {
        const auto list = json.is_object() ? json.find(field) : json.end();
        if (list == json.end() || !list->is_array()) return std::nullopt;
        std::vector<std::string> all;
        for (const Json& item : *list)
            if (item.is_string() && all.size() < kMost) all.push_back(item.get<std::string>());
        return all;
    };
    auto& servers = cluster.api_servers;
    for (const std::string& item : texts("apiServers").value_or(std::vector<std::string>{}))
        if (const auto endpoint = Endpoint::parse(item);
            endpoint && endpoint->port != 0 && endpoint->address.is_global_unicast())
            servers.push_back(*endpoint);
    std::sort(servers.begin(), servers.end());
    servers.erase(std::unique(servers.begin(), servers.end()), servers.end());
    const auto pods = texts("ownPods");
    if (!pods) return cluster;
    cluster.own_pods.emplace();
    for (const std::string& item : *pods)
        if (const auto prefix = Prefix::parse(item)) cluster.own_pods->push_back(*prefix);
    return cluster;
}

Ownership parse_ownership(std::string_view text) {
    Ownership ownership;
    const Json json = Json::parse(text, nullptr, false);
    if (!json.is_object()) return ownership;
    const auto each = [&](const char* field, const auto& take) {
        const auto it = json.find(field);
        if (it == json.end() || !it->is_object()) return;
        for (const auto& [key, value] : it->items())
            if (value.is_string()) take(key, value.template get<std::string>());
    };
    each("prefixes", [&](const std::string& prefix, const std::string& key) {
        auto p = Prefix::parse(prefix);
        auto k = parse_public_key(key);
        if (p && k) ownership.prefixes[*p] = *k;
    });
    each("names", [&](const std::string& name, const std::string& key) {
        if (auto k = parse_public_key(key)) ownership.names[name] = *k;
    });
    each("keys", [&](const std::string& key, const std::string& identity) {
        auto k = parse_public_key(key);
        auto i = parse_identity_key(identity);
        if (k && i) ownership.keys[*k] = *i;
    });
    return ownership;
}

}  // namespace wglan
