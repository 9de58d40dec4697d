// SPDX-License-Identifier: Apache-2.0
#include "agent/http/http.h"

#include <charconv>

namespace wglan {
namespace {

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// application/x-www-form-urlencoded; an incomplete escape stands for itself.
std::string decode_query(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '+') {
            out += ' ';
        } else if (text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 &&
                   hex_value(text[i + 2]) >= 0) {
            out += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
            i += 2;
        } else {
            out += text[i];
        }
    }
    return out;
}

bool printable(std::string_view text) {
    for (char c : text)
        if (c <= ' ' || c >= 0x7f) return false;
    return true;
}

Failure bad_url(std::string_view text, std::string_view what) {
    return fail(ErrorKind::invalid, "URL '" + std::string(text.substr(0, 200)) + "': " + std::string(what) +
                                        "; accepted: http://HOST[:PORT][/PATH] or https://...");
}

Result<std::uint16_t> parse_port(std::string_view url, std::string_view text) {
    unsigned port = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc{} || end != text.data() + text.size() || port == 0 || port > 65535)
        return bad_url(url, "the port must be 1-65535");
    return static_cast<std::uint16_t>(port);
}

// Splits "host:port" or "[v6]:port"; the port stays 0 where there is none.
Result<void> parse_authority(std::string_view url, std::string_view authority, Url& out) {
    if (authority.find('@') != std::string_view::npos)
        return bad_url(url, "user names and passwords are not accepted");
    std::string_view port;
    if (authority.starts_with('[')) {
        auto close = authority.find(']');
        if (close == std::string_view::npos) return bad_url(url, "']' is missing");
        out.host = std::string(authority.substr(1, close - 1));
        auto address = IpAddress::parse(out.host);
        if (!address || !address->is_v6()) return bad_url(url, "no IPv6 address between the brackets");
        port = authority.substr(close + 1);
        if (!port.empty() && !port.starts_with(':')) return bad_url(url, "no ':' after ']'");
    } else {
        auto colon = authority.find(':');
        out.host = std::string(authority.substr(0, colon));
        port = colon == std::string_view::npos ? std::string_view{} : authority.substr(colon);
        if (!HostPort::parse(out.host + ":1")) return bad_url(url, "the host is not a name or an address");
    }
    if (port.empty()) return {};
    auto number = parse_port(url, port.substr(1));
    if (!number) return Failure(number.error());
    out.port = *number;
    return {};
}

}  // namespace

std::string HttpRequest::path() const { return target.substr(0, target.find('?')); }

std::optional<std::string> HttpRequest::query(std::string_view key) const {
    auto start = target.find('?');
    if (start == std::string::npos) return std::nullopt;
    std::string_view rest = std::string_view(target).substr(start + 1);
    rest = rest.substr(0, rest.find('#'));
    while (!rest.empty()) {
        auto end = rest.find('&');
        std::string_view pair = rest.substr(0, end);
        rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
        auto equals = pair.find('=');
        if (decode_query(pair.substr(0, equals)) != key) continue;
        return equals == std::string_view::npos ? std::string() : decode_query(pair.substr(equals + 1));
    }
    return std::nullopt;
}

Result<Url> Url::parse(std::string_view text) {
    Url url;
    std::string_view rest = text;
    if (rest.starts_with("https://")) {
        url.tls = true;
        rest.remove_prefix(8);
    } else if (rest.starts_with("http://")) {
        rest.remove_prefix(7);
    } else {
        return bad_url(text, "the scheme must be http or https");
    }
    if (text.size() > 2048 || !printable(text))
        return bad_url(text, "it is too long or holds odd characters");
    if (rest.find_first_of("?#") != std::string_view::npos)
        return bad_url(text, "a query or fragment is not accepted");
    auto slash = rest.find('/');
    if (auto done = parse_authority(text, rest.substr(0, slash), url); !done) return Failure(done.error());
    if (url.port == 0) url.port = url.tls ? 443 : 80;
    if (slash != std::string_view::npos) url.path = std::string(rest.substr(slash));
    while (url.path.ends_with('/')) url.path.pop_back();
    return url;
}

std::string Url::to_string() const {
    bool v6 = host.find(':') != std::string::npos;
    return std::string(tls ? "https://" : "http://") + (v6 ? "[" + host + "]" : host) + ":" +
           std::to_string(port) + path;
}

}  // namespace wglan
