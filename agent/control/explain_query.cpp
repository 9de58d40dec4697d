// SPDX-License-Identifier: Apache-2.0
#include "agent/control/explain_query.h"

#include <netinet/in.h>

#include <charconv>
#include <utility>

namespace wglan {
namespace {

template <class T>
Result<T> parse_number(std::string_view name, std::string_view text, unsigned long least,
                       unsigned long most) {
    int base = 10;
    std::string_view digits = text;
    if (digits.starts_with("0x") || digits.starts_with("0X")) {
        base = 16;
        digits.remove_prefix(2);
    }
    unsigned long value = 0;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    if (error != std::errc() || end != digits.data() + digits.size() || value < least || value > most)
        return fail(ErrorKind::invalid, std::string(name) + " \"" + std::string(text) + "\": a number from " +
                                            std::to_string(least) + " to " + std::to_string(most) +
                                            " is accepted");
    return static_cast<T>(value);
}

Result<std::uint8_t> parse_protocol(std::string_view text) {
    static constexpr std::pair<std::string_view, std::uint8_t> kNames[] = {{"tcp", IPPROTO_TCP},
                                                                           {"udp", IPPROTO_UDP},
                                                                           {"icmp", IPPROTO_ICMP},
                                                                           {"icmpv6", IPPROTO_ICMPV6},
                                                                           {"sctp", IPPROTO_SCTP}};
    std::string lower(text);
    for (char& letter : lower)
        if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
    for (const auto& [name, number] : kNames)
        if (lower == name) return number;
    auto number = parse_number<std::uint8_t>("proto", text, 0, 255);
    if (!number)
        return fail(ErrorKind::invalid,
                    "proto \"" + std::string(text) +
                        "\": tcp, udp, icmp, icmpv6, sctp or a number from 0 to 255 is accepted");
    return number;
}

Result<IpAddress> parse_address(const char* name, const std::string& text) {
    auto address = IpAddress::parse(text);
    if (!address) return fail_with(address, name);
    return address;
}

// What no packet to that place comes from.
Result<> check_source(const IpAddress& source, const IpAddress& destination) {
    const char* what = source.is_unspecified()                              ? "the unspecified address"
                       : source.is_multicast()                              ? "a multicast address"
                       : source.is_broadcast()                              ? "the broadcast address"
                       : source.is_loopback() && !destination.is_loopback() ? "a loopback address"
                                                                            : nullptr;
    if (what == nullptr) return {};
    return fail(ErrorKind::invalid, "src " + source.to_string() + " is " + what + ": no packet to " +
                                        destination.to_string() + " comes from there");
}

Result<> parse_port(const HttpRequest& http, const char* name, const ExplainRequest& request,
                    std::optional<std::uint16_t>& port) {
    auto text = http.query(name);
    if (!text) return {};
    if (request.protocol != IPPROTO_TCP && request.protocol != IPPROTO_UDP &&
        request.protocol != IPPROTO_SCTP)
        return fail(ErrorKind::invalid, std::string(name) + " needs proto tcp, udp or sctp");
    auto number = parse_number<std::uint16_t>(name, *text, 1, 65535);
    if (!number) return Failure(number.error());
    port = *number;
    return {};
}

}  // namespace

Result<ExplainRequest> parse_explain_query(const HttpRequest& http) {
    ExplainRequest request;
    auto destination = http.query("dst");
    if (!destination) return fail(ErrorKind::invalid, "dst is missing: an IP address");
    auto address = parse_address("dst", *destination);
    if (!address) return Failure(address.error());
    request.destination = *address;
    if (auto source = http.query("src")) {
        auto from = parse_address("src", *source);
        if (!from) return Failure(from.error());
        if (from->family() != request.destination.family())
            return fail(ErrorKind::invalid, "src and dst are of different families");
        if (auto possible = check_source(*from, request.destination); !possible)
            return Failure(possible.error());
        request.source = *from;
    }
    if (auto text = http.query("proto")) {
        auto protocol = parse_protocol(*text);
        if (!protocol) return Failure(protocol.error());
        request.protocol = *protocol;
    }
    if (auto port = parse_port(http, "sport", request, request.source_port); !port)
        return Failure(port.error());
    if (auto port = parse_port(http, "dport", request, request.destination_port); !port)
        return Failure(port.error());
    if (auto text = http.query("mark")) {
        auto mark = parse_number<std::uint32_t>("mark", *text, 0, 0xffffffffUL);
        if (!mark) return Failure(mark.error());
        request.mark = *mark;
    }
    return request;
}

}  // namespace wglan
