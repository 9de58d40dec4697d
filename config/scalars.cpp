// SPDX-License-Identifier: Apache-2.0
#include "config/scalars.h"

#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>

#include "agent/base/text.h"

namespace wglan::config {
namespace {

// `never` aside, the longest duration: a year.
constexpr std::int64_t kMaxSeconds = 365LL * 24 * 3600;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alnum_lower(char c) { return (c >= 'a' && c <= 'z') || is_digit(c); }

std::string shown(const Value& value) {
    return value.kind == Value::Kind::scalar ? quote(value.text) : std::string(kind_name(value.kind));
}

// For keys that aren't text: `"5"` with its quotes on is text.
std::string shown_plain(const Value& value) {
    return shown(value) + (value.quoted ? " in quotes is text" : " is not one");
}

Failure wrong(const Value& value, std::string_view accepted) {
    return fail(ErrorKind::invalid, shown(value) + " is not one; accepted: " + std::string(accepted));
}

Failure wrong(std::string_view why, std::string_view accepted) {
    return fail(ErrorKind::invalid, std::string(why) + "; accepted: " + std::string(accepted));
}

bool has_control(std::string_view text) {
    return std::ranges::any_of(text,
                               [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

bool is_name_character(char c) {
    return is_alnum_lower(c) || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' || c == '-';
}

// Parses text with `parse`, whose message comes first, then what is accepted.
template <class T>
Result<T> with(const Value& value, Result<T> (*parse)(std::string_view), std::string_view accepted) {
    if (value.kind != Value::Kind::scalar) return wrong(value, accepted);
    auto parsed = parse(value.text);
    if (!parsed) return wrong(parsed.error().message(), accepted);
    return parsed;
}

}  // namespace

bool is_node_name(std::string_view name) {
    if (name.empty() || name.size() > 253) return false;
    while (true) {
        const auto dot = name.find('.');
        const std::string_view label = name.substr(0, dot);
        if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
        if (!std::ranges::all_of(label, [](char c) { return is_alnum_lower(c) || c == '-'; })) return false;
        if (dot == std::string_view::npos) return true;
        name.remove_prefix(dot + 1);
    }
}

std::string to_lower(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

Failure no_choice(const Value& value, const std::vector<std::string>& names) {
    std::string accepted;
    for (const auto& name : names) accepted += (accepted.empty() ? "" : ", ") + name;
    return wrong(value, accepted);
}

Failure not_available(std::string_view what) {
    return fail(ErrorKind::unsupported, quote(what) + " is not available in this version");
}

Result<bool> parse_bool(const Value& value) {
    if (value.kind == Value::Kind::scalar && !value.quoted) {
        if (value.text == "true" || value.text == "True" || value.text == "TRUE") return true;
        if (value.text == "false" || value.text == "False" || value.text == "FALSE") return false;
    }
    return wrong(shown_plain(value), "true, false");
}

Result<std::uint64_t> parse_number(const Value& value, std::uint64_t least, std::uint64_t most) {
    const std::string accepted = "a number from " + std::to_string(least) + " to " + std::to_string(most);
    if (value.kind != Value::Kind::scalar || value.quoted) return wrong(shown_plain(value), accepted);
    std::uint64_t number = 0;
    const char* const end = value.text.data() + value.text.size();
    const auto parsed = std::from_chars(value.text.data(), end, number);
    if (parsed.ec == std::errc::result_out_of_range && parsed.ptr == end) return wrong(value, accepted);
    // 010 is eight in YAML 1.1 and ten in 1.2: neither.
    const bool octal = value.text.size() > 1 && value.text.front() == '0';
    if (parsed.ec != std::errc() || parsed.ptr != end || octal) return wrong(value, accepted);
    if (number < least || number > most) return wrong(quote(value.text) + " is out of range", accepted);
    return number;
}

Result<std::uint32_t> parse_mark(const Value& value) {
    constexpr std::string_view kAccepted = "a number from 1 to 0xffffffff, decimal or with 0x";
    if (value.kind != Value::Kind::scalar) return wrong(value, kAccepted);
    std::string_view digits = value.text;
    const bool hex = digits.starts_with("0x") || digits.starts_with("0X");
    if (hex) digits.remove_prefix(2);
    // JSON has no hexadecimal numbers, so there a mark is text.
    if (value.quoted && !hex) return wrong(shown_plain(value), kAccepted);
    if (!hex && digits.size() > 1 && digits.front() == '0') return wrong(value, kAccepted);
    std::uint32_t mark = 0;
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), mark, hex ? 16 : 10);
    if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size() || mark == 0)
        return wrong(value, kAccepted);
    return mark;
}

Result<std::string> parse_node_name(const Value& value) {
    if (value.kind == Value::Kind::scalar)
        if (std::string name = to_lower(value.text); is_node_name(name)) return name;
    return wrong(value, "a host name (RFC 1123: letters, digits, dots and dashes, at most 253)");
}

Result<std::string> parse_interface_name(const Value& value) {
    constexpr std::string_view kAccepted = "1 to 15 letters, digits, and . _ -, not lo, all or default";
    if (value.kind != Value::Kind::scalar) return wrong(value, kAccepted);
    const std::string& name = value.text;
    // `all` and `default` are directories beside the interfaces' own in /proc/sys/net/ipv4/conf.
    const bool taken = name == "." || name == ".." || name == "lo" || name == "all" || name == "default";
    if (name.empty() || name.size() > 15 || taken || !std::ranges::all_of(name, is_name_character))
        return wrong(value, kAccepted);
    return name;
}

Result<std::string> parse_interface_glob(const Value& value) {
    const bool fits = value.kind == Value::Kind::scalar && !value.text.empty() && value.text.size() <= 64 &&
                      std::ranges::all_of(value.text, [](char c) { return c > ' ' && c < 0x7f && c != '/'; });
    if (!fits) return wrong(value, "an interface name or a glob such as eth* or en?[0-9]");
    return value.text;
}

Result<std::string> parse_path(const Value& value) {
    const bool fits = value.kind == Value::Kind::scalar && !value.text.empty() && value.text.size() < 4096 &&
                      !has_control(value.text);
    if (!fits) return wrong(value, "a path");
    return value.text;
}

Result<std::string> parse_socket_path(const Value& value) {
    constexpr std::size_t kMost = sizeof(sockaddr_un::sun_path) - 1;
    auto path = parse_path(value);
    if (path && path->size() > kMost)
        return wrong("too long for a socket", "a path of at most " + std::to_string(kMost) + " bytes");
    return path;
}

Result<std::string> parse_pin_path(const Value& value) {
    auto path = parse_path(value);
    if (path && path->front() != '/') return wrong(value, "an absolute path on a bpf file system");
    return path;
}

Result<std::string> parse_service_url(const Value& value) {
    constexpr std::string_view kAccepted = "https://HOST[:PORT][/PATH] (http:// for a loopback address)";
    if (value.kind != Value::Kind::scalar || value.text.size() > 2048) return wrong(value, kAccepted);
    std::string_view rest = value.text;
    const bool tls = rest.starts_with("https://");
    if (!tls && !rest.starts_with("http://")) return wrong(value, kAccepted);
    rest.remove_prefix(tls ? 8 : 7);
    if (!std::ranges::all_of(rest,
                             [](char c) { return c > ' ' && c < 0x7f && c != '?' && c != '#' && c != '@'; }))
        return wrong(value, kAccepted);
    std::string authority(rest.substr(0, rest.find('/')));
    const auto colon = authority.rfind(':');
    const auto bracket = authority.rfind(']');
    if (colon == std::string::npos || (bracket != std::string::npos && colon < bracket)) authority += ":443";
    if (!HostPort::parse(authority)) return wrong(value, kAccepted);
    return value.text;
}

Result<IpAddress> parse_unicast(const Value& value) {
    constexpr std::string_view kAccepted =
        "an IPv4 or IPv6 unicast address, not a loopback or link-local one";
    auto address = with(value, &IpAddress::parse, kAccepted);
    if (address && !address->is_global_unicast()) return wrong(value, kAccepted);
    return address;
}

Result<Prefix> parse_prefix(const Value& value) {
    return with(value, &Prefix::parse, "a prefix such as 10.9.0.0/24 or 2001:db8::/32");
}

namespace {

// `refuse`: of an address; names are looked up later.
Result<HostPort> parse_endpoint(const Value& value, bool (*refuse)(const IpAddress&),
                                std::string_view accepted) {
    auto where = with(value, &HostPort::parse, accepted);
    if (!where || !where->is_address()) return where;
    const auto endpoint = where->endpoint();
    if (endpoint && refuse(endpoint->address)) return wrong(value, accepted);
    return where;
}

}  // namespace

// A forwarder on this host, or a neighbour without an address of its own, may stand before a peer.
Result<HostPort> parse_peer_endpoint(const Value& value) {
    return parse_endpoint(
        value,
        [](const IpAddress& address) {
            return !address.is_global_unicast() && !address.is_loopback() &&
                   !(address.is_v4() && address.is_link_local());
        },
        "ip:port, [ipv6]:port or name:port, of one host");
}

Result<HostPort> parse_own_endpoint(const Value& value) {
    return parse_endpoint(
        value, [](const IpAddress& address) { return !address.is_global_unicast(); },
        "ip:port, [ipv6]:port or name:port that others can reach");
}

Result<PublicKey> parse_key(const Value& value) {
    return with(value, &parse_public_key, "44 characters of base64")
        .and_then([&](PublicKey key) -> Result<PublicKey> {
            if (key.is_zero()) return wrong("a key of zeros belongs to nobody", "44 characters of base64");
            return key;
        });
}

Result<std::optional<Prefix>> parse_address_prefix(const Value& value) {
    constexpr std::string_view kAccepted = "an IPv6 /64 such as 0200:1001::/64, or ula";
    if (value.kind == Value::Kind::scalar && value.text == "ula") return std::optional<Prefix>();
    auto prefix = with(value, &Prefix::parse, kAccepted);
    if (!prefix) return Failure(prefix.error());
    if (prefix->family() != Family::v6 || prefix->length() != 64 || !prefix->address().is_global_unicast())
        return wrong(value, kAccepted);
    return std::optional(*prefix);
}

Result<std::optional<Endpoint>> parse_listen(const Value& value) {
    constexpr std::string_view kAccepted = "ip:port such as 127.0.0.1:9586, or \"\" for off";
    if (value.kind == Value::Kind::scalar && value.text.empty()) return std::optional<Endpoint>();
    auto endpoint = with(value, &Endpoint::parse, kAccepted);
    if (!endpoint) return Failure(endpoint.error());
    return std::optional(*endpoint);
}

Result<EndpointFilter> parse_endpoint_filter(const Value& value) {
    Value rest = value;
    const bool exclude = value.kind == Value::Kind::scalar && value.text.starts_with('!');
    if (exclude) rest.text.erase(0, 1);
    auto prefix = with(rest, &Prefix::parse, "CIDR, or \"!CIDR\" to exclude");
    if (!prefix) return Failure(prefix.error());
    return EndpointFilter{*prefix, exclude};
}

Result<ReachTarget> parse_reach_target(const Value& value) {
    constexpr std::string_view kAccepted = "ip:port/tcp or ip:port/udp, an IPv6 address in brackets";
    if (value.kind != Value::Kind::scalar) return wrong(value, kAccepted);
    const auto slash = value.text.rfind('/');
    if (slash == std::string::npos) return wrong(value, kAccepted);
    const std::string_view protocol = std::string_view(value.text).substr(slash + 1);
    if (protocol != "tcp" && protocol != "udp") return wrong(value, kAccepted);
    const auto endpoint = Endpoint::parse(std::string_view(value.text).substr(0, slash));
    if (!endpoint) return wrong(endpoint.error().message(), kAccepted);
    return ReachTarget{*endpoint, static_cast<std::uint8_t>(protocol == "tcp" ? IPPROTO_TCP : IPPROTO_UDP)};
}

Result<Seconds> parse_duration(std::string_view text, Never never) {
    const std::string accepted = std::string("a duration from 1s to 365d such as 90s, 30m or 1h") +
                                 (never == Never::allowed ? ", or never" : "");
    const auto bad = [&] {
        return fail(ErrorKind::invalid, quote(text) + " is not one; accepted: " + accepted);
    };
    if (never == Never::allowed && text == "never") return Seconds(0);
    std::int64_t total = 0;
    std::string_view rest = text;
    while (!rest.empty()) {
        std::int64_t count = 0;
        const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), count);
        if (!is_digit(rest.front()) || parsed.ec != std::errc() || count > kMaxSeconds) return bad();
        rest.remove_prefix(static_cast<std::size_t>(parsed.ptr - rest.data()));
        if (rest.empty()) return bad();
        std::int64_t unit = 0;
        switch (rest.front()) {
            case 'd':
                unit = 86400;
                break;
            case 'h':
                unit = 3600;
                break;
            case 'm':
                unit = 60;
                break;
            case 's':
                unit = 1;
                break;
            default:
                return bad();
        }
        rest.remove_prefix(1);
        total += count * unit;
        if (total > kMaxSeconds) return bad();
    }
    if (total == 0) return bad();
    return Seconds(total);
}

Result<Seconds> parse_forget_after(const Value& value) {
    return parse_duration(value.kind == Value::Kind::scalar ? value.text : "", Never::refused);
}

Result<Seconds> parse_down_after(const Value& value) {
    auto time = parse_duration(value.kind == Value::Kind::scalar ? value.text : "", Never::refused);
    if (time && (*time < Seconds(5) || *time > Seconds(300)))
        return fail(ErrorKind::invalid, quote(value.text) + " is out of range; accepted: 5s to 5m");
    return time;
}

Result<Seconds> parse_orphan_after(const Value& value) {
    return parse_duration(value.kind == Value::Kind::scalar ? value.text : "", Never::allowed);
}

}  // namespace wglan::config
