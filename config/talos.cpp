// SPDX-License-Identifier: Apache-2.0
// The Talos machine-config spelling: machine.network.interfaces[].wireguard. Everything else in the
// machine document belongs to Talos and is left alone.

#include "agent/base/text.h"
#include "config/draft.h"
#include "config/scalars.h"

namespace wglan::config {
namespace {

constexpr std::size_t kMaxPeers = 10'000;
constexpr std::size_t kMaxPrefixes = 1024;
constexpr char kNoSection[] =
    "no interface has a wireguard section; accepted: machine.network.interfaces with one entry that has "
    "interface and wireguard";

// Talos writes durations as Go does ("25s"); 0 and "0s" mean none.
Result<std::optional<std::uint16_t>> parse_keepalive(const Value& value) {
    constexpr char kAccepted[] = "a duration from 0s to 65535s such as 25s";
    const auto bad = [&] {
        return fail(
            ErrorKind::invalid,
            (value.kind == Value::Kind::scalar ? quote(value.text) : std::string(kind_name(value.kind))) +
                " is not one; accepted: " + kAccepted);
    };
    if (value.kind != Value::Kind::scalar) return bad();
    if (value.text == "0" || value.text == "0s") return std::optional<std::uint16_t>(std::uint16_t{0});
    auto seconds = parse_duration(value.text, Never::refused);
    if (!seconds) {
        auto plain = parse_number(value, 0, 65535);
        if (!plain) return bad();
        return std::optional(static_cast<std::uint16_t>(*plain));
    }
    if (seconds->count() > 65535) return bad();
    return std::optional(static_cast<std::uint16_t>(seconds->count()));
}

// `wg` and Talos mask an allowed IP that has host bits.
Result<Prefix> parse_allowed_ip(const Value& value) {
    if (value.kind == Value::Kind::scalar) {
        const auto slash = value.text.find('/');
        const auto address = IpAddress::parse(std::string_view(value.text).substr(0, slash));
        const auto length = slash == std::string::npos ? Result<Prefix>(fail(ErrorKind::invalid, ""))
                                                       : Prefix::parse("::" + value.text.substr(slash));
        if (address && length && length->length() <= address->bit_length())
            return Prefix::make(*address, length->length());
    }
    return parse_prefix(value);
}

Result<std::uint32_t> parse_talos_mark(const Value& value) {
    if (value.kind == Value::Kind::scalar && !value.quoted && value.text == "0") return std::uint32_t{0};
    return parse_mark(value);
}

Result<Secret> parse_key_text(const Value& value) {
    // The value itself is never shown.
    auto key = parse_private_key(value.kind == Value::Kind::scalar ? value.text : "");
    if (!key)
        return fail(ErrorKind::invalid,
                    "not a private key; accepted: 44 characters of base64, as `wg genkey` prints");
    return key;
}

Result<std::string> parse_service(const Value& value) {
    if (value.kind == Value::Kind::scalar && value.text.empty()) return std::string();
    Value url = value;
    if (url.kind == Value::Kind::scalar && url.text.find("://") == std::string::npos)
        url.text.insert(0, "https://");
    return parse_service_url(url);
}

Result<std::string> parse_text(const Value& value) {
    if (value.kind == Value::Kind::scalar) return value.text;
    return fail(ErrorKind::invalid, std::string(kind_name(value.kind)) + " is not one; accepted: text");
}

// A Talos peer has no name; its key gives it one.
std::string name_of(const PublicKey& key) { return "peer-" + hex_encode(std::span(key.bytes).first(6)); }

void read_peer(Section& peer, Draft& draft) {
    StaticPeer& out = draft.config.discovery.static_peers.emplace_back();
    peer.require("publicKey", "44 characters of base64");
    peer.read("publicKey", out.public_key, parse_key);
    out.name = name_of(out.public_key);
    if (const Value* endpoint = peer.take("endpoint");
        endpoint != nullptr && !(endpoint->kind == Value::Kind::scalar && endpoint->text.empty()))
        peer.read("endpoint", out.endpoints.emplace_back(), parse_peer_endpoint);
    peer.read("persistentKeepaliveInterval", out.keepalive_s, parse_keepalive);
    peer.read_list("allowedIPs", out.prefixes, kMaxPrefixes, parse_allowed_ip);
    draft.static_sections.push_back(peer);
}

void read_private_key(Section& wireguard, Draft& draft) {
    if (wireguard.take("privateKey") == nullptr) return;
    Secret key;
    wireguard.read("privateKey", key, parse_key_text);
    draft.private_key_where = wireguard.where_of("privateKey");
    draft.config.interface.private_key = std::make_shared<const Secret>(std::move(key));
}

void read_wireguard(Section& wireguard, Draft& draft) {
    Config::Interface& interface = draft.config.interface;
    wireguard.read("enableAutomaticNodes", draft.config.automatic_nodes, parse_bool);
    wireguard.read("enablePodNetworking", draft.config.pod_networking, parse_bool);
    read_private_key(wireguard, draft);
    wireguard.read("listenPort", interface.listen_port, number<std::uint16_t>(0, 65535));
    std::uint32_t mark = 0;
    wireguard.read("firewallMark", mark, parse_talos_mark);
    // Talos has no mask: the mark's own bits are it. 0 is Talos's word for "not set".
    if (mark != 0) interface.firewall_mark = interface.firewall_mark_mask = mark;
    wireguard.read("automaticNodePrefix", interface.address_prefix, parse_address_prefix);
    std::string service;
    wireguard.read("natDiscoveryService", service, parse_service);
    if (!service.empty()) draft.config.discovery.services.push_back({std::move(service), ""});
    std::string id;
    wireguard.read("clusterID", id, parse_text);
    if (!id.empty()) draft.discovery_id = std::move(id);
    wireguard.maps("peers", kMaxPeers, [&](Section& peer) { read_peer(peer, draft); });
}

// Indexes of the entries with a wireguard section; those that ask for automatic nodes, if only some do.
std::vector<std::size_t> wireguard_entries(const std::vector<Value>& entries) {
    std::vector<std::size_t> any;
    std::vector<std::size_t> automatic;
    for (std::size_t i = 0; i < entries.size(); ++i) {
        const Value* section = entries[i].find("wireguard");
        if (section == nullptr) continue;
        any.push_back(i);
        const Value* wanted = section->find("enableAutomaticNodes");
        if (wanted != nullptr && parse_bool(*wanted).value_or(false)) automatic.push_back(i);
    }
    return automatic.empty() ? any : automatic;
}

}  // namespace

void read_talos(const Value& document, Draft& draft, Reading& reading) {
    const Value* value = &document;
    std::string path;
    for (const char* key : {"machine", "network", "interfaces"}) {
        const Value* below = value->find(key);
        path = join_path(path, key);
        if (below == nullptr) return reading.fail(ErrorKind::invalid, value->where, path, kNoSection);
        value = below;
    }
    if (value->kind != Value::Kind::sequence)
        return reading.fail(
            ErrorKind::invalid, value->where, path,
            std::string(kind_name(value->kind)) + " stands where a list belongs; accepted: a list");
    const std::vector<std::size_t> entries = wireguard_entries(value->items);
    if (entries.empty()) return reading.fail(ErrorKind::invalid, value->where, path, kNoSection);
    if (entries.size() > 1)
        return reading.fail(ErrorKind::invalid, value->items[entries[1]].where, join_path(path, entries[1]),
                            "a second wireguard section, the first stands at " +
                                value->items[entries[0]].where.to_string() +
                                "; accepted: one, or one with enableAutomaticNodes: true");
    Section interface(&value->items[entries[0]], join_path(path, entries[0]), reading);
    interface.require("interface", "the name of the WireGuard interface, such as wglan0");
    interface.read("interface", draft.config.interface.name, parse_interface_name);
    interface.map("wireguard", [&](Section& wireguard) { read_wireguard(wireguard, draft); });
    draft.mark_where = interface.where_of("wireguard");
}

}  // namespace wglan::config
