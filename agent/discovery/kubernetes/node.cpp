// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/kubernetes/node.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "agent/base/text.h"
#include "agent/discovery/kubernetes/api_json.h"
#include "agent/discovery/record_codec.h"

namespace wglan {
namespace {

using namespace api_json;

constexpr std::size_t kMaxItems = 10'000;  // of one page
constexpr std::size_t kMaxCidrs = 16, kMaxAddresses = 64;
constexpr std::size_t kMaxAnnotation = 256U << 10;  // Kubernetes: all of an object's together
constexpr std::size_t kMaxListed = 16'384;          // addresses and conditions, whosever they are

// The API takes host bits too. What is none here is nobody's: one bad entry costs no other.
std::optional<Prefix> network_of(std::string_view text) {
    const auto slash = text.find('/');
    const auto address = IpAddress::parse(text.substr(0, slash));
    if (!address || slash == std::string_view::npos) return std::nullopt;
    const auto digits = text.substr(slash + 1);
    unsigned length = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
    if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    const auto network = Prefix::make(*address, length);
    return network ? std::optional(*network) : std::nullopt;
}

Result<> read_cidrs(const Json& spec, KubeNode& node) {
    const auto add = [&](const Json& item) -> Result<> {
        if (!item.is_string()) return fail(ErrorKind::invalid, "\"podCIDRs\": must hold strings");
        const auto prefix = network_of(item.get_ref<const std::string&>());
        if (prefix && std::ranges::find(node.pod_cidrs, *prefix) == node.pod_cidrs.end())
            node.pod_cidrs.push_back(*prefix);
        return {};
    };
    if (auto read = each_in(spec, "podCIDRs", kMaxCidrs, add); !read) return read;
    // Clusters from before dual stack have this one alone.
    const Json* single = json_read::find(spec, "podCIDR");
    return single != nullptr && !single->is_null() && node.pod_cidrs.empty() ? add(*single) : Result<>{};
}

Result<> read_addresses(const Json& status, KubeNode& node) {
    return each_in(status, "addresses", kMaxListed, [&](const Json& item) -> Result<> {
        if (!item.is_object()) return fail(ErrorKind::invalid, "\"addresses\": must hold objects");
        const auto type = text_in(item, "type"), text = text_in(item, "address");
        if (!type || !text || (*type != "InternalIP" && *type != "ExternalIP")) return {};
        // Cloud providers have put names and empty text here: one bad address costs no other.
        const auto address = IpAddress::parse(*text);
        if (address && node.addresses.size() < kMaxAddresses &&
            std::ranges::find(node.addresses, *address) == node.addresses.end())
            node.addresses.push_back(*address);
        return {};
    });
}

Result<> read_condition(const Json& status, KubeNode& node) {
    return each_in(status, "conditions", kMaxListed, [&](const Json& item) -> Result<> {
        if (!item.is_object()) return fail(ErrorKind::invalid, "\"conditions\": must hold objects");
        // Everybody else's may look as they like.
        const auto type = text_in(item, "type");
        if (!type || *type != kReadyCondition) return {};
        const auto state = text_in(item, "status"), reason = text_in(item, "reason"),
                   since = text_in(item, "lastTransitionTime");
        auto message = json_read::optional_string(item, "message", kMaxAnnotation);
        if (state && reason && since && message)
            node.condition = KubeCondition{*state, *reason, message->value_or(""), *since};
        return {};
    });
}

// Those that say where a node is come first: a record holds 64.
bool is_placement(std::string_view key) {
    return key.starts_with("topology.kubernetes.io/") || key.starts_with("node-role.kubernetes.io/");
}

Result<> read_labels(const Json& metadata, KubeNode& node) {
    auto labels = part(metadata, "labels");
    if (!labels) return Failure(labels.error());
    for (const bool placement : {true, false})
        for (const auto& [key, value] : (*labels)->items()) {
            if (is_placement(key) != placement || node.labels.size() == kMaxLabels) continue;
            if (!value.is_string()) return fail(ErrorKind::invalid, "\"labels\": must hold strings");
            node.labels.emplace(key, value.get_ref<const std::string&>());
        }
    return {};
}

Result<> read_annotations(const Json& metadata, std::string_view prefix, KubeNode& node) {
    auto all = part(metadata, "annotations");
    if (!all) return Failure(all.error());
    for (const auto& [key, value] : (*all)->items()) {
        const std::string_view name = key;
        if (!name.starts_with(prefix) || name.size() <= prefix.size() + 1 || name[prefix.size()] != '/')
            continue;
        const auto own = name.substr(prefix.size() + 1);
        if (std::ranges::find(kAnnotationNames, own, [](const char* known) {
                return std::string_view(known);
            }) == std::end(kAnnotationNames))
            continue;
        if (!value.is_string()) return fail(ErrorKind::invalid, "\"annotations\": must hold strings");
        const auto& text = value.get_ref<const std::string&>();
        if (text.size() > kMaxAnnotation)
            return fail(ErrorKind::invalid, fmt::format("\"annotations\": too much in {}", name));
        node.annotations.emplace(own, text);
    }
    return {};
}

Result<KubeNode> read_node(const Json& object, std::string_view prefix) {
    KubeNode node;
    auto metadata = part(object, "metadata"), spec = part(object, "spec"), status = part(object, "status");
    for (const auto* one : {&metadata, &spec, &status})
        if (!*one) return Failure(one->error());
    auto name = json_read::string_field(**metadata, "name", 253);
    if (!name) return Failure(name.error());
    node.name = std::move(*name);
    const auto in_node = [&](const auto& failed) { return fail_with(failed, "Node " + quote(node.name)); };
    auto uid = text_in(**metadata, "uid"), version = text_in(**metadata, "resourceVersion");
    if (!uid) return in_node(uid);
    if (!version) return in_node(version);
    node.uid = std::move(*uid);
    node.resource_version = std::move(*version);
    if (auto read = read_cidrs(**spec, node); !read) return in_node(read);
    if (auto read = read_addresses(**status, node); !read) return in_node(read);
    if (auto read = read_condition(**status, node); !read) return in_node(read);
    if (auto read = read_labels(**metadata, node); !read) return in_node(read);
    if (auto read = read_annotations(**metadata, prefix, node); !read) return in_node(read);
    return node;
}

// Of what may be no Node.
std::string name_of(const Json& item) {
    if (!item.is_object()) return {};
    const auto metadata = part(item, "metadata");
    if (!metadata) return {};
    return json_read::string_field(**metadata, "name", 253).value_or("");
}

}  // namespace

bool is_later(std::string_view version, std::string_view than) {
    const auto number = [](std::string_view text) {
        return !text.empty() && text.front() != '0' &&
               text.find_first_not_of("0123456789") == std::string_view::npos;
    };
    if (!number(version) || !number(than)) return false;
    return version.size() != than.size() ? version.size() > than.size() : version > than;
}

Result<KubeNode> parse_node(std::string_view json, std::string_view prefix) {
    auto object = parse(json, kMaxNodeLine);
    if (!object) return Failure(object.error());
    if (auto expected = expect_kind(*object, "Node"); !expected) return Failure(expected.error());
    return read_node(*object, prefix);
}

Result<KubeNodeList> parse_node_list(std::string_view json, std::string_view prefix) {
    auto object = parse(json, kMaxNodeListBody);
    if (!object) return Failure(object.error());
    if (auto expected = expect_kind(*object, "NodeList"); !expected) return Failure(expected.error());
    KubeNodeList list;
    auto metadata = part(*object, "metadata");
    if (!metadata) return Failure(metadata.error());
    auto version = text_in(**metadata, "resourceVersion"), next = text_in(**metadata, "continue");
    if (!version) return Failure(version.error());
    if (!next) return Failure(next.error());
    if (version->empty()) return fail(ErrorKind::protocol, "a list without a resourceVersion");
    list.resource_version = std::move(*version);
    list.next = std::move(*next);
    auto read = each_in(*object, "items", kMaxItems, [&](const Json& item) -> Result<> {
        auto node = item.is_object()
                        ? read_node(item, prefix)
                        : Result<KubeNode>(fail(ErrorKind::invalid, "an item that is no object"));
        if (node)
            list.nodes.push_back(std::move(*node));
        else
            list.refused.push_back({name_of(item), node.error().message()});
        return {};
    });
    if (!read) return Failure(read.error());
    return list;
}

Result<KubeEvent> parse_node_event(std::string_view json, std::string_view prefix) {
    auto line = parse(json, kMaxNodeLine);
    if (!line) return Failure(line.error());
    const auto type = text_in(*line, "type");
    if (!type) return Failure(type.error());
    auto object = part(*line, "object");
    if (!object) return Failure(object.error());
    KubeEvent event;
    if (*type == "ERROR") {
        event.kind = KubeEvent::Kind::error;
        event.code = code_of(**object);
        event.message = message_of(**object);
        return event;
    }
    if (*type == "BOOKMARK") {
        auto metadata = part(**object, "metadata");
        if (!metadata) return Failure(metadata.error());
        auto version = text_in(**metadata, "resourceVersion");
        if (!version) return Failure(version.error());
        event.resource_version = std::move(*version);
    } else {
        if (*type != "ADDED" && *type != "MODIFIED" && *type != "DELETED")
            return fail(ErrorKind::protocol, "an event of type " + quote(*type));
        event.kind = *type == "DELETED" ? KubeEvent::Kind::removed : KubeEvent::Kind::put;
        auto metadata = part(**object, "metadata");
        if (!metadata) return Failure(metadata.error());
        auto version = text_in(**metadata, "resourceVersion"), name = text_in(**metadata, "name");
        if (!version) return Failure(version.error());
        if (!name) return Failure(name.error());
        event.resource_version = std::move(*version);
        // One that somebody spoiled must not stop the news of the others.
        if (auto node = read_node(**object, prefix)) {
            event.node = std::move(*node);
        } else {
            event.node.name = std::move(*name);
            event.refused = node.error().message();
        }
    }
    if (event.resource_version.empty())
        return fail(ErrorKind::protocol, "an event without a resourceVersion");
    return event;
}

std::string status_message(std::string_view json) {
    const auto object = parse(json, kMaxNodeLine);
    return object && expect_kind(*object, "Status") ? message_of(*object) : std::string();
}

}  // namespace wglan
