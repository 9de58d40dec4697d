// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/kubernetes/node_annotations.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "agent/base/text.h"
#include "agent/discovery/record_codec.h"
#include "agent/discovery/record_rules.h"

namespace wglan {
namespace {

constexpr const char* kPublicKey = "public-key";
constexpr const char* kAddress = "address";
constexpr const char* kIdentity = "identity";
constexpr const char* kEndpoints = "endpoints";
constexpr const char* kPrefixes = "prefixes";
constexpr const char* kObserved = "observed";
constexpr const char* kSequence = "sequence";
constexpr const char* kSignature = "signature";
// What a signature says, by its first word and by the first line of the bytes under it.
struct Statement {
    std::string_view word, domain;
};
constexpr Statement kPut{"v1", "wglan/v1/node"}, kWithdrawn{"v1-withdrawn", "wglan/v1/node-withdrawn"};
constexpr std::span kSigned(kAnnotationNames, std::size(kAnnotationNames) - 1);  // in this order

const std::string& at(const Annotations& annotations, const char* name) {
    static const std::string kNone;
    const auto it = annotations.find(name);
    return it == annotations.end() ? kNone : it->second;
}

// Lengths stand before texts, so that no text can pass for two.
void put(std::string& to, std::string_view text) {
    fmt::format_to(std::back_inserter(to), "{}:{}\n", text.size(), text);
}

std::string said_bytes(const Statement& statement, const std::string& cluster, const std::string& node_name,
                       const std::string& node_uid, std::string_view issued, const Annotations& annotations) {
    std::string said(statement.domain);
    said += '\n';
    put(said, cluster);
    put(said, node_name);
    put(said, node_uid);
    put(said, issued);
    for (const char* name : kSigned) {
        put(said, name);
        put(said, at(annotations, name));
    }
    return said;
}

template <class Range, class Text>
std::string comma_list(const Range& items, Text text) {
    std::string list;
    for (const auto& item : items) {
        if (!list.empty()) list += ',';
        list += text(item);
    }
    return list;
}

std::vector<std::string_view> split(std::string_view text, char at) {
    std::vector<std::string_view> parts;
    while (!text.empty()) {
        const auto end = text.find(at);
        parts.push_back(text.substr(0, end));
        text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    }
    return parts;
}

std::vector<Prefix> all_prefixes(const Record& record) {
    std::vector<Prefix> all = record.pod_prefixes;
    all.insert(all.end(), record.prefixes.begin(), record.prefixes.end());
    for (const IpAddress& address : record.node_addresses) all.push_back(Prefix::host(address));
    std::ranges::sort(all);
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
}

Failure wrong(const char* name, std::string_view why) {
    return fail(ErrorKind::invalid, fmt::format("annotation {}: {}", name, why));
}

Result<std::uint64_t> number(const char* name, std::string_view text, std::uint64_t most) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value > most || text.starts_with('0'))
        return wrong(name, quote(text) + " is not a number in range");
    return value;
}

// Whose word it is, and since when.
Result<UnixTime> verify_node(const Statement& statement, const ClusterKeys& keys, const KubeNode& node,
                             const IdentityKey& identity) {
    const auto parts = split(at(node.annotations, kSignature), '.');
    if (parts.size() != 4 || parts[0] != statement.word)
        return wrong(kSignature,
                     fmt::format("not {}.ISSUED.SIGNATURE.MAC: written by another version, or changed",
                                 statement.word));
    const auto issued = number(kSignature, parts[1], kMaxSequence);
    const auto signature = base64url_decode(parts[2]), mac = base64url_decode(parts[3]);
    if (!issued) return Failure(issued.error());
    if (!signature || !mac) return wrong(kSignature, "not base64url");
    const auto said = said_bytes(statement, keys.cluster(), node.name, node.uid, parts[1], node.annotations);
    if (!keys.is_authentic(said, as_bytes(*mac)))
        return fail(ErrorKind::permission,
                    "the annotations' MAC is wrong: changed, copied from another Node, or by another token");
    if (!verify(identity, as_bytes(said), as_bytes(*signature)))
        return fail(ErrorKind::permission, "the annotations aren't signed by the identity that they name");
    return static_cast<UnixTime>(*issued);
}

Result<> read_keys(const Annotations& annotations, Record& record) {
    const auto public_key = parse_public_key(at(annotations, kPublicKey));
    if (!public_key) return wrong(kPublicKey, public_key.error().message());
    const auto address = IpAddress::parse(at(annotations, kAddress));
    if (!address) return wrong(kAddress, address.error().message());
    record.public_key = *public_key;
    record.address = *address;
    return {};
}

Result<> read_endpoints(const Annotations& annotations, Record& record) {
    for (const auto text : split(at(annotations, kEndpoints), ',')) {
        auto where = HostPort::parse(text);
        if (!where) return wrong(kEndpoints, where.error().message());
        record.endpoints.push_back(std::move(*where));
        if (record.endpoints.size() > kMaxEndpoints) return wrong(kEndpoints, "too many");
    }
    return {};
}

Result<> read_prefixes(const KubeNode& node, Record& record) {
    std::size_t count = 0;
    for (const auto text : split(at(node.annotations, kPrefixes), ',')) {
        const auto prefix = Prefix::parse(text);
        if (!prefix) return wrong(kPrefixes, prefix.error().message());
        if (++count > kMaxPrefixes) return wrong(kPrefixes, "too many");
        if (std::ranges::find(node.pod_cidrs, *prefix) != node.pod_cidrs.end())
            record.pod_prefixes.push_back(*prefix);
        else if (prefix->is_host() &&
                 std::ranges::find(node.addresses, prefix->address()) != node.addresses.end())
            record.node_addresses.push_back(prefix->address());
        else
            record.prefixes.push_back(*prefix);
    }
    return {};
}

Result<> read_observed(const Annotations& annotations, Record& record) {
    for (const auto text : split(at(annotations, kObserved), ',')) {
        // A key's base64 may end in '='.
        const auto equals = text.rfind('=');
        if (equals == std::string_view::npos) return wrong(kObserved, "not KEY=ip:port");
        const auto endpoint = Endpoint::parse(text.substr(equals + 1));
        if (!endpoint) return wrong(kObserved, endpoint.error().message());
        record.observed.emplace(text.substr(0, equals), *endpoint);
        if (record.observed.size() > kMaxObserved) return wrong(kObserved, "too many");
    }
    return {};
}

std::string sign_statement(const Statement& statement, const ClusterKeys& keys,
                           std::span<const std::uint8_t> identity_seed, const Annotations& annotations,
                           const std::string& node_name, const std::string& node_uid, UnixTime issued) {
    const auto time = std::to_string(issued);
    const auto said = said_bytes(statement, keys.cluster(), node_name, node_uid, time, annotations);
    return fmt::format("{}.{}.{}.{}", statement.word, time,
                       base64url_encode(sign(identity_seed, as_bytes(said))),
                       base64url_encode(keys.authenticate(said)));
}

}  // namespace

std::span<const char* const> annotation_names() { return kAnnotationNames; }

Annotations annotate(const ClusterKeys& keys, std::span<const std::uint8_t> identity_seed,
                     const Record& record, const std::string& node_name, const std::string& node_uid) {
    const auto to_text = [](const auto& item) { return item.to_string(); };
    Annotations annotations = {
        {kPublicKey, to_string(record.public_key)},
        {kAddress, record.address.to_string()},
        {kIdentity, to_string(record.identity)},
        {kEndpoints, comma_list(record.endpoints, to_text)},
        {kPrefixes, comma_list(all_prefixes(record), to_text)},
        {kObserved, comma_list(record.observed,
                               [](const auto& seen) { return seen.first + "=" + seen.second.to_string(); })},
        {kSequence, std::to_string(record.sequence)},
    };
    annotations[kSignature] =
        sign_annotations(keys, identity_seed, annotations, node_name, node_uid, record.issued);
    return annotations;
}

std::string sign_annotations(const ClusterKeys& keys, std::span<const std::uint8_t> identity_seed,
                             const Annotations& annotations, const std::string& node_name,
                             const std::string& node_uid, UnixTime issued) {
    return sign_statement(kPut, keys, identity_seed, annotations, node_name, node_uid, issued);
}

Annotations withdrawal(const ClusterKeys& keys, std::span<const std::uint8_t> identity_seed,
                       const Tombstone& tombstone, const std::string& node_name,
                       const std::string& node_uid) {
    Annotations annotations = {{kIdentity, to_string(tombstone.identity)},
                               {kSequence, std::to_string(tombstone.sequence)}};
    annotations[kSignature] =
        sign_statement(kWithdrawn, keys, identity_seed, annotations, node_name, node_uid, tombstone.issued);
    return annotations;
}

bool is_withdrawal(const Annotations& annotations) {
    const std::string_view signature = at(annotations, kSignature);
    return signature.substr(0, signature.find('.')) == kWithdrawn.word;
}

Result<Tombstone> read_withdrawal(const ClusterKeys& keys, const KubeNode& node) {
    const auto identity = parse_identity_key(at(node.annotations, kIdentity));
    if (!identity) return wrong(kIdentity, identity.error().message());
    const auto issued = verify_node(kWithdrawn, keys, node, *identity);
    if (!issued) return Failure(issued.error());
    const auto sequence = number(kSequence, at(node.annotations, kSequence), kMaxSequence);
    if (!sequence) return Failure(sequence.error());
    return Tombstone{*identity, *sequence, *issued};
}

Result<Record> read_annotations(const ClusterKeys& keys, const KubeNode& node) {
    if (std::ranges::none_of(kSigned, [&](const char* name) { return node.annotations.contains(name); }))
        return fail(ErrorKind::not_found, "no annotations: no agent runs there");
    const auto identity = parse_identity_key(at(node.annotations, kIdentity));
    if (!identity) return wrong(kIdentity, identity.error().message());
    const auto issued = verify_node(kPut, keys, node, *identity);
    if (!issued) return Failure(issued.error());
    const auto sequence = number(kSequence, at(node.annotations, kSequence), kMaxSequence);
    if (!sequence) return Failure(sequence.error());
    Record record;
    record.name = node.name;
    record.identity = *identity;
    record.labels = node.labels;
    record.sequence = *sequence;
    record.issued = *issued;
    if (auto read = read_keys(node.annotations, record); !read) return Failure(read.error());
    if (auto read = read_endpoints(node.annotations, record); !read) return Failure(read.error());
    if (auto read = read_prefixes(node, record); !read) return Failure(read.error());
    if (auto read = read_observed(node.annotations, record); !read) return Failure(read.error());
    return normalise_record(std::move(record));
}

}  // namespace wglan
