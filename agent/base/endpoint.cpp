// SPDX-License-Identifier: Apache-2.0
// Endpoint and HostPort: an address or a name, and a port.
#include <algorithm>
#include <charconv>

#include "agent/base/ip.h"
#include "agent/base/text.h"

namespace wglan {
namespace {

struct Split {
    std::string_view host;
    std::uint16_t port = 0;
    bool bracketed = false;
};

// "host:port" or "[host]:port", split; the host is not looked at.
Result<Split> split_port(std::string_view text, std::string_view what) {
    const auto bad = [&](std::string_view why) {
        return fail(ErrorKind::invalid,
                    quote(text) + " is not " + std::string(what) + ": " + std::string(why));
    };
    Split out;
    std::string_view port;
    if (text.starts_with('[')) {
        const auto close = text.find(']');
        if (close == std::string_view::npos) return bad("the bracket isn't closed");
        if (close + 1 >= text.size() || text[close + 1] != ':') return bad("the port is missing");
        out.host = text.substr(1, close - 1);
        out.bracketed = true;
        port = text.substr(close + 2);
    } else {
        const auto colon = text.rfind(':');
        if (colon == std::string_view::npos) return bad("the port is missing");
        out.host = text.substr(0, colon);
        if (out.host.find(':') != std::string_view::npos)
            return bad("an IPv6 address stands in brackets, as in [2001:db8::1]:51820");
        port = text.substr(colon + 1);
    }
    unsigned number = 0;
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (port.empty() || port.front() == '0' || error != std::errc() || end != port.data() + port.size() ||
        number > 65535)
        return bad("the port is a number from 1 to 65535");
    out.port = static_cast<std::uint16_t>(number);
    return out;
}

bool is_label(std::string_view label) {
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
    return std::all_of(label.begin(), label.end(),
                       [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

// RFC 1123 section 2.1, lower case. A last label of digits alone would be a malformed IPv4 address.
bool is_dns_name(std::string_view name) {
    if (name.empty() || name.size() > 253) return false;
    std::string_view label;
    while (true) {
        const auto dot = name.find('.');
        label = name.substr(0, dot);
        if (!is_label(label)) return false;
        if (dot == std::string_view::npos) break;
        name.remove_prefix(dot + 1);
    }
    return !std::all_of(label.begin(), label.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string join(const std::string& host, std::uint16_t port) {
    const bool brackets = host.find(':') != std::string::npos;
    return (brackets ? '[' + host + ']' : host) + ':' + std::to_string(port);
}

}  // namespace

Result<Endpoint> Endpoint::parse(std::string_view text) {
    const auto split = split_port(text, "an endpoint (ip:port)");
    if (!split) return Failure(split.error());
    const auto address = IpAddress::parse(split->host);
    if (!address) return fail_with(address, quote(text) + " is not an endpoint (ip:port)");
    if (split->bracketed && address->is_v4())
        return fail(ErrorKind::invalid,
                    quote(text) + " is not an endpoint (ip:port): brackets are for IPv6 addresses");
    return Endpoint{*address, split->port};
}

std::string Endpoint::to_string() const { return join(address.to_string(), port); }

Result<HostPort> HostPort::parse(std::string_view text) {
    constexpr std::string_view kWhat = "an endpoint (ip:port or name:port)";
    const auto split = split_port(text, kWhat);
    if (!split) return Failure(split.error());
    const auto address = IpAddress::parse(split->host);
    if (address && !(split->bracketed && address->is_v4()))
        return HostPort{address->to_string(), split->port};
    std::string name(split->host);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    if (split->bracketed || !is_dns_name(name))
        return fail(ErrorKind::invalid, quote(text) + " is not " + std::string(kWhat) + ": " +
                                            quote(split->host) + " is neither an address nor a DNS name");
    return HostPort{std::move(name), split->port};
}

bool HostPort::is_address() const { return IpAddress::parse(host).has_value(); }

Result<Endpoint> HostPort::endpoint() const {
    const auto address = IpAddress::parse(host);
    if (!address) return fail(ErrorKind::not_found, quote(host) + " is a name, not an address");
    return Endpoint{*address, port};
}

std::string HostPort::to_string() const { return join(host, port); }

}  // namespace wglan
