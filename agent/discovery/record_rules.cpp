// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/record_rules.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "agent/discovery/record_codec.h"

namespace wglan {
namespace {

// Kubernetes: a key is a DNS name of 253, a slash and 63; a value 63. Ours may be a little longer.
constexpr std::size_t kMaxLabelKey = 317, kMaxLabelValue = 256;

Failure wrong(const char* field, std::string_view what) {
    return fail(ErrorKind::invalid, fmt::format("\"{}\": {}", field, what));
}

bool is_host_name(std::string_view name) {
    if (name.empty() || name.size() > 253) return false;
    std::size_t label = 0;
    char before = '.';
    for (const char c : name) {
        const bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (c == '.') {
            if (before == '.' || before == '-') return false;
            label = 0;
        } else if (!alnum && (c != '-' || label == 0)) {
            return false;
        } else if (++label > 63) {
            return false;
        }
        before = c;
    }
    return before != '.' && before != '-';
}

bool is_clean_text(std::string_view text) {
    return std::ranges::all_of(text,
                               [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; });
}

// Networks that never leave a host or a link: nobody can own them.
bool is_local_only(const Prefix& prefix) {
    static const std::vector<Prefix> kLocal = [] {
        std::vector<Prefix> out;
        for (const char* text : {"127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32",
                                 "::/128", "::1/128", "fe80::/10", "ff00::/8"})
            if (auto parsed = Prefix::parse(text)) out.push_back(*parsed);
        return out;
    }();
    return std::ranges::any_of(kLocal, [&](const Prefix& local) { return local.contains(prefix); });
}

template <class T>
void sort_unique(std::vector<T>& items) {
    std::ranges::sort(items);
    items.erase(std::unique(items.begin(), items.end()), items.end());
}

Result<> normalise_endpoints(std::vector<HostPort>& endpoints) {
    if (endpoints.size() > kMaxEndpoints) return wrong("endpoints", fmt::format("over {}", kMaxEndpoints));
    std::set<HostPort> seen;
    std::vector<HostPort> out;
    for (auto& where : endpoints) {
        if (where.port == 0) return wrong("endpoints", "port 0");
        if (where.is_address()) {
            auto endpoint = where.endpoint();
            if (!endpoint) return fail_with(endpoint, "\"endpoints\"");
            if (!endpoint->address.is_global_unicast()) continue;
        }
        if (seen.insert(where).second) out.push_back(std::move(where));
    }
    endpoints = std::move(out);
    return {};
}

Result<> normalise_prefixes(const char* field, std::vector<Prefix>& prefixes) {
    if (prefixes.size() > kMaxPrefixes) return wrong(field, fmt::format("over {}", kMaxPrefixes));
    for (const auto& prefix : prefixes)
        if (is_local_only(prefix)) return wrong(field, prefix.to_string() + " never leaves a host or link");
    sort_unique(prefixes);
    return {};
}

Result<> check_identity(Record& record) {
    std::ranges::transform(record.name, record.name.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    if (!is_host_name(record.name))
        return wrong("name", "not a host name (RFC 1123: letters, digits, dots and dashes, at most 253)");
    if (record.public_key.is_zero()) return wrong("publicKey", "all zero");
    if (record.identity.is_zero()) return wrong("identity", "all zero");
    if (!record.address.is_v6() || !record.address.is_global_unicast())
        return wrong("address", record.address.to_string() + " is not an IPv6 unicast address");
    return {};
}

Result<> check_maps(const Record& record) {
    if (record.labels.size() > kMaxLabels) return wrong("labels", fmt::format("over {}", kMaxLabels));
    for (const auto& [key, value] : record.labels)
        if (key.empty() || key.size() > kMaxLabelKey || value.size() > kMaxLabelValue ||
            !is_clean_text(key) || !is_clean_text(value))
            return wrong("labels",
                         fmt::format("keys of 1 to {} characters and values of at most {} without control "
                                     "characters are accepted",
                                     kMaxLabelKey, kMaxLabelValue));
    if (record.observed.size() > kMaxObserved) return wrong("observed", fmt::format("over {}", kMaxObserved));
    for (const auto& [key, endpoint] : record.observed) {
        if (auto parsed = parse_public_key(key); !parsed) return fail_with(parsed, "\"observed\"");
        if (endpoint.port == 0 || !endpoint.address.is_global_unicast())
            return wrong("observed", endpoint.to_string() + " is not an endpoint anyone could use");
    }
    return {};
}

}  // namespace

Result<Record> normalise_record(Record record) {
    if (auto done = check_identity(record); !done) return Failure(done.error());
    if (auto done = normalise_endpoints(record.endpoints); !done) return Failure(done.error());
    if (record.node_addresses.size() > kMaxNodeAddresses)
        return wrong("nodeAddresses", fmt::format("over {}", kMaxNodeAddresses));
    for (const auto& address : record.node_addresses)
        if (!address.is_global_unicast())
            return wrong("nodeAddresses", address.to_string() + " is not a unicast address others can reach");
    sort_unique(record.node_addresses);
    if (auto done = normalise_prefixes("podPrefixes", record.pod_prefixes); !done)
        return Failure(done.error());
    if (auto done = normalise_prefixes("prefixes", record.prefixes); !done) return Failure(done.error());
    if (auto done = check_maps(record); !done) return Failure(done.error());
    return record;
}

}  // namespace wglan
