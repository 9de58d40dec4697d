// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/cache_file.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/discovery/json_read.h"
#include "agent/discovery/wire_json.h"

namespace wglan {
namespace {

using json_read::Json;

constexpr std::size_t kMaxWarnings = 16;

void warn(CacheContent& content, std::string text) {
    if (content.warnings.size() < kMaxWarnings) content.warnings.push_back(std::move(text));
}

Result<> decode_seen(const Json& root, CacheContent& content) {
    auto identities = json_read::optional_object(root, "identities", SequenceGuard::kMaxIdentities);
    if (!identities) return Failure(identities.error());
    if (*identities == nullptr) return fail(ErrorKind::invalid, "\"identities\": missing");
    for (const auto& [text, value] : (*identities)->items()) {
        auto node = parse_identity_key(text);
        if (!node || !value.is_object()) return fail(ErrorKind::invalid, "\"identities\": not an identity");
        auto sequence = json_read::unsigned_field(value, "sequence", 1, kMaxSequence);
        if (!sequence) return fail_with(sequence, text);
        auto issued = json_read::unsigned_field(value, "issued", 0, kMaxSequence);
        if (!issued) return fail_with(issued, text);
        auto withdrawn = json_read::optional_bool(value, "withdrawn");
        if (!withdrawn) return fail_with(withdrawn, text);
        content.state.seen[*node] = {*sequence, static_cast<UnixTime>(*issued), *withdrawn, nullptr, nullptr};
    }
    return {};
}

Result<SourcedRecord> open_entry(const ClusterKeys& keys, const NodeEntry& entry) {
    auto record = open_envelope(keys, entry.node, entry.envelope);
    if (!record) return Failure(record.error());
    SourcedRecord out;
    out.record = std::move(*record);
    out.kind = SourceKind::cache;
    out.source = to_string(SourceKind::cache);
    out.observed_address = entry.observed_address;
    return out;
}

void decode_record_entry(const ClusterKeys& keys, const Json& item, UnixTime now, bool clock_synchronised,
                         CacheContent& content) {
    auto entry = read_node_entry(item);
    if (!entry) return warn(content, entry.error().message());
    const std::string name = to_string(entry->node);
    auto seen = content.state.seen.find(entry->node);
    if (seen == content.state.seen.end() || seen->second.withdrawn || seen->second.entry ||
        seen->second.sequence != entry->envelope.sequence)
        return warn(content, name + ": not the newest statement of its node");
    auto record = open_entry(keys, *entry);
    if (!record) return warn(content, name + ": " + record.error().message());
    if (clock_synchronised && now - entry->envelope.issued > kMaxCacheAgeSeconds)
        return warn(content, fmt::format("{} ({}): issued {} days ago", record->record.name, name,
                                         (now - entry->envelope.issued) / 86400));
    seen->second.entry = std::make_shared<const NodeEntry>(std::move(*entry));
    content.records.push_back(std::move(*record));
}

Result<> decode_endpoints(const Json& root, CacheContent& content) {
    auto peers = json_read::optional_object(root, "endpoints", kMaxCachedPeers);
    if (!peers) return Failure(peers.error());
    if (*peers == nullptr) return {};
    for (const auto& [text, list] : (*peers)->items()) {
        auto key = parse_public_key(text);
        if (!key || !list.is_array() || list.size() > kMaxCachedEndpoints)
            return fail(ErrorKind::invalid, "\"endpoints\": must map public keys to short lists");
        auto& endpoints = content.state.endpoints[*key];
        for (const auto& item : list) {
            auto endpoint = Endpoint::parse(item.is_string() ? item.get<std::string>() : "");
            if (!endpoint) return fail_with(endpoint, "\"endpoints\"");
            endpoints.push_back(*endpoint);
        }
    }
    return {};
}

// They are JSON objects already, made once for each change.
void append_nodes(std::string& text, const CacheState& state) {
    std::map<IdentityKey, const std::string*> nodes;
    for (const auto& [identity, seen] : state.seen)
        if (seen.node) nodes[identity] = seen.node.get();
    if (nodes.empty()) return;
    text.pop_back();  // the last brace
    text += ",\"nodes\":[";
    for (const auto& [identity, node] : nodes) {
        if (text.back() != '[') text += ',';
        text += *node;
    }
    text += "]}";
}

Result<> decode_nodes(const Json& root, CacheContent& content) {
    auto nodes = json_read::optional_array(root, "nodes", SequenceGuard::kMaxIdentities);
    if (!nodes) return Failure(nodes.error());
    if (*nodes == nullptr) return {};
    for (const auto& node : **nodes)
        content.nodes.push_back(node.dump(-1, ' ', false, Json::error_handler_t::replace));
    return {};
}

// Whose cache it is; another cluster's or another token's is of no use.
Result<> check_owner(const ClusterKeys& keys, const Json& root) {
    auto version = json_read::unsigned_field(root, "version", 1, kMaxSequence);
    if (!version) return Failure(version.error());
    if (*version != 1)
        return fail(ErrorKind::unsupported,
                    fmt::format("version {}, this program reads version 1", *version));
    auto cluster = json_read::string_field(root, "cluster", 64);
    if (!cluster) return Failure(cluster.error());
    auto member = json_read::base64_field(root, "memberKey", 32, 32);
    if (!member) return Failure(member.error());
    if (*cluster != keys.cluster() || *member != as_text(keys.member_key().bytes))
        return fail(ErrorKind::permission, "it was written with another cluster token or discovery ID");
    return {};
}

}  // namespace

Result<std::string> encode_cache(const ClusterKeys& keys, const CacheState& state) {
    Json root = {{"version", 1},
                 {"cluster", keys.cluster()},
                 {"memberKey", base64_encode(keys.member_key().bytes)},
                 {"identities", Json::object()},
                 {"records", Json::array()},
                 {"endpoints", Json::object()}};
    std::map<IdentityKey, const NodeEntry*> entries;
    for (const auto& [node, seen] : state.seen) {
        Json item = {{"sequence", seen.sequence}, {"issued", seen.issued}};
        if (seen.withdrawn) item["withdrawn"] = true;
        root["identities"][to_string(node)] = std::move(item);
        if (seen.entry) entries[node] = seen.entry.get();
    }
    for (const auto& [node, entry] : entries) root["records"].push_back(write_node_entry(*entry));
    for (const auto& [key, endpoints] : state.endpoints) {
        Json list = Json::array();
        for (const auto& endpoint : endpoints)
            if (list.size() < kMaxCachedEndpoints) list.push_back(endpoint.to_string());
        root["endpoints"][to_string(key)] = std::move(list);
    }
    if (const std::string text = state.make_extra ? state.make_extra() : state.extra; !text.empty()) {
        auto extra = json_read::parse_object(text, kMaxCacheFile);
        if (!extra) return fail_with(extra, "cache: extra state");
        root["extra"] = std::move(*extra);
    }
    std::string text = root.dump(-1, ' ', false, Json::error_handler_t::replace);
    append_nodes(text, state);
    return text + "\n";
}

Result<CacheContent> decode_cache(const ClusterKeys& keys, std::string_view text, UnixTime now,
                                  bool clock_synchronised) {
    auto root = json_read::parse_object(text, kMaxCacheFile);
    if (!root) return Failure(root.error());
    if (auto done = check_owner(keys, *root); !done) return Failure(done.error());
    CacheContent content;
    if (auto done = decode_seen(*root, content); !done) return Failure(done.error());
    auto records = json_read::optional_array(*root, "records", SequenceGuard::kMaxIdentities);
    if (!records) return Failure(records.error());
    if (*records != nullptr)
        for (const auto& item : **records) decode_record_entry(keys, item, now, clock_synchronised, content);
    if (auto done = decode_nodes(*root, content); !done) return Failure(done.error());
    if (auto done = decode_endpoints(*root, content); !done) return Failure(done.error());
    auto extra = json_read::optional_object(*root, "extra", kMaxCachedPeers);
    if (!extra) return Failure(extra.error());
    if (*extra != nullptr)
        content.state.extra = (*extra)->dump(-1, ' ', false, Json::error_handler_t::replace);
    return content;
}

}  // namespace wglan
