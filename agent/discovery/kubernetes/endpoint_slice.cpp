// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/kubernetes/endpoint_slice.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/base/text.h"
#include "agent/discovery/kubernetes/api_json.h"

namespace wglan {
namespace {

using namespace api_json;

constexpr std::size_t kMaxEach = 1000;  // the API's own limit of endpoints a slice

// The ports of one slice that API servers can have: unnamed protocols are TCP.
Result<std::vector<std::uint16_t>> ports_of(const Json& slice) {
    std::vector<std::uint16_t> ports;
    auto read = each_in(slice, "ports", kMaxEach, [&](const Json& item) -> Result<> {
        if (!item.is_object()) return fail(ErrorKind::invalid, "\"ports\": must hold objects");
        const auto protocol = text_in(item, "protocol");
        if (!protocol) return Failure(protocol.error());
        if (!protocol->empty() && *protocol != "TCP") return {};
        // null: all ports, which is no place to call.
        const Json* number = json_read::find(item, "port");
        if (number == nullptr || number->is_null()) return {};
        const auto port = json_read::unsigned_field(item, "port", 1, 65535);
        if (!port) return Failure(port.error());
        ports.push_back(static_cast<std::uint16_t>(*port));
        return {};
    });
    if (!read) return Failure(read.error());
    return ports;
}

Result<std::vector<IpAddress>> addresses_of(const Json& slice) {
    std::vector<IpAddress> addresses;
    auto read = each_in(slice, "endpoints", kMaxEach, [&](const Json& item) -> Result<> {
        if (!item.is_object()) return fail(ErrorKind::invalid, "\"endpoints\": must hold objects");
        return each_in(item, "addresses", kMaxEach, [&](const Json& text) -> Result<> {
            if (!text.is_string()) return fail(ErrorKind::invalid, "\"addresses\": must hold strings");
            // A slice of names (addressType FQDN) has none.
            if (const auto address = IpAddress::parse(text.get_ref<const std::string&>()))
                addresses.push_back(*address);
            return {};
        });
    });
    if (!read) return Failure(read.error());
    return addresses;
}

Result<> read_slice(const Json& slice, std::vector<Endpoint>& servers) {
    const auto ports = ports_of(slice);
    if (!ports) return Failure(ports.error());
    const auto addresses = addresses_of(slice);
    if (!addresses) return Failure(addresses.error());
    for (const IpAddress& address : *addresses)
        for (const std::uint16_t port : *ports)
            if (address.is_global_unicast()) servers.push_back({address, port});
    std::ranges::sort(servers);
    servers.erase(std::unique(servers.begin(), servers.end()), servers.end());
    if (servers.size() > kMaxApiServers)
        return fail(ErrorKind::invalid, fmt::format("over {} API servers", kMaxApiServers));
    return {};
}

}  // namespace

Result<SliceList> parse_slice_list(std::string_view json) {
    auto object = parse(json, kMaxSliceBody);
    if (!object) return Failure(object.error());
    if (auto expected = expect_kind(*object, "EndpointSliceList"); !expected)
        return Failure(expected.error());
    SliceList list;
    auto version = version_of(*object);
    if (!version) return Failure(version.error());
    list.resource_version = std::move(*version);
    auto read = each_in(*object, "items", kMaxEach, [&](const Json& item) -> Result<> {
        if (!item.is_object()) return fail(ErrorKind::invalid, "an item that is no object");
        return read_slice(item, list.servers);
    });
    if (!read) return Failure(read.error());
    return list;
}

Result<SliceEvent> parse_slice_event(std::string_view json) {
    auto line = parse(json, kMaxSliceBody);
    if (!line) return Failure(line.error());
    const auto type = text_in(*line, "type");
    if (!type) return Failure(type.error());
    auto object = part(*line, "object");
    if (!object) return Failure(object.error());
    SliceEvent event;
    if (*type == "ERROR") {
        event.kind = SliceEvent::Kind::error;
        event.code = code_of(**object);
        event.message = message_of(**object);
        return event;
    }
    auto version = version_of(**object);
    if (!version) return Failure(version.error());
    event.resource_version = std::move(*version);
    if (*type == "BOOKMARK") return event;
    if (*type == "DELETED") {
        event.kind = SliceEvent::Kind::removed;
        return event;
    }
    if (*type != "ADDED" && *type != "MODIFIED")
        return fail(ErrorKind::protocol, "an event of type " + quote(*type));
    event.kind = SliceEvent::Kind::put;
    if (auto read = read_slice(**object, event.servers); !read) return Failure(read.error());
    return event;
}

}  // namespace wglan
