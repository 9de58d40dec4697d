// SPDX-License-Identifier: Apache-2.0
#include "agent/app/ownership_json.h"

#include <nlohmann/json.hpp>

namespace wglan {

using Json = nlohmann::json;

std::string ownership_json(const Ownership& ownership) {
    Json prefixes = Json::object(), names = Json::object(), keys = Json::object();
    for (const auto& [prefix, key] : ownership.prefixes) prefixes[prefix.to_string()] = to_string(key);
    for (const auto& [name, key] : ownership.names) names[name] = to_string(key);
    for (const auto& [key, identity] : ownership.keys) keys[to_string(key)] = to_string(identity);
    return Json{{"prefixes", prefixes}, {"names", names}, {"keys", keys}}.dump();
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
