// SPDX-License-Identifier: Apache-2.0
// Parsers of single values for Section::read. Messages: "what is wrong; accepted: ...".
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/value.h"

namespace wglan::config {

// Host name rule of records (RFC 1123, lower case, at most 253 characters).
bool is_node_name(std::string_view name);
std::string to_lower(std::string_view text);

Result<bool> parse_bool(const Value& value);
Result<std::string> parse_node_name(const Value& value);  // in lower case
Result<std::string> parse_interface_name(const Value& value);
Result<std::string> parse_interface_glob(const Value& value);
Result<std::string> parse_path(const Value& value);
Result<std::string> parse_socket_path(const Value& value);  // fits in sockaddr_un
Result<std::string> parse_pin_path(const Value& value);     // absolute
Result<std::string> parse_service_url(const Value& value);
Result<IpAddress> parse_unicast(const Value& value);
Result<Prefix> parse_prefix(const Value& value);
// Where a peer, or this node, is reached; no address that many hosts have, or none.
Result<HostPort> parse_peer_endpoint(const Value& value);
Result<HostPort> parse_own_endpoint(const Value& value);
Result<PublicKey> parse_key(const Value& value);
Result<std::optional<Prefix>> parse_address_prefix(const Value& value);  // /64, or ula = nullopt
Result<std::optional<Endpoint>> parse_listen(const Value& value);        // "" = nullopt
Result<EndpointFilter> parse_endpoint_filter(const Value& value);
Result<ReachTarget> parse_reach_target(const Value& value);
// One bit or more; decimal or 0x.
Result<std::uint32_t> parse_mark(const Value& value);

// "1h30m", "90s": whole numbers with d, h, m or s. `never` gives 0 where it is allowed.
enum class Never { refused, allowed };
Result<Seconds> parse_duration(std::string_view text, Never never);
Result<Seconds> parse_forget_after(const Value& value);
Result<Seconds> parse_down_after(const Value& value);
Result<Seconds> parse_orphan_after(const Value& value);

// A plain decimal number from `least` to `most`.
Result<std::uint64_t> parse_number(const Value& value, std::uint64_t least, std::uint64_t most);

template <class T>
auto number(std::uint64_t least, std::uint64_t most) {
    return [=](const Value& value) {
        return parse_number(value, least, most).map([](std::uint64_t n) { return static_cast<T>(n); });
    };
}

// `auto` for nullopt, or a number.
template <class T>
auto auto_or_number(std::uint64_t least, std::uint64_t most) {
    return [=](const Value& value) -> Result<std::optional<T>> {
        if (value.kind == Value::Kind::scalar && value.text == "auto") return std::optional<T>();
        auto parsed = parse_number(value, least, most);
        if (!parsed) return Failure(Error(ErrorKind::invalid, parsed.error().message() + ", or auto"));
        return std::optional<T>(static_cast<T>(*parsed));
    };
}

template <class T>
struct Choice {
    const char* name;
    T value;
    bool available = true;  // false: a word of the contract that this version doesn't implement
};

// What a choice's parser says of a word; `names` in the order of the table.
Failure no_choice(const Value& value, const std::vector<std::string>& names);
Failure not_available(std::string_view what);

template <class T>
auto choice(std::initializer_list<Choice<T>> table) {
    return [choices = std::vector<Choice<T>>(table)](const Value& value) -> Result<T> {
        std::vector<std::string> names;
        for (const auto& entry : choices) {
            if (value.kind == Value::Kind::scalar && value.text == entry.name)
                return entry.available ? Result<T>(entry.value) : not_available(entry.name);
            if (entry.available) names.emplace_back(entry.name);
        }
        return no_choice(value, names);
    };
}

}  // namespace wglan::config
