// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/codec.h"

#include <algorithm>

#include "maps/convert.h"
#include "maps/names.h"

namespace wglan {

static_assert(static_cast<int>(SteerAction::pass) == WGLAN_ACTION_PASS);
static_assert(static_cast<int>(SteerAction::steer) == WGLAN_ACTION_STEER);
static_assert(static_cast<int>(SteerAction::drop) == WGLAN_ACTION_DROP);
static_assert(static_cast<int>(Fallback::bypass) == WGLAN_FALLBACK_BYPASS);
static_assert(static_cast<int>(Fallback::drop) == WGLAN_FALLBACK_DROP);
static_assert(static_cast<int>(PeerState::unknown) == WGLAN_PEER_UNKNOWN);
static_assert(static_cast<int>(PeerState::up) == WGLAN_PEER_UP);
static_assert(static_cast<int>(PeerState::degraded) == WGLAN_PEER_DEGRADED);
static_assert(static_cast<int>(PeerState::down) == WGLAN_PEER_DOWN);
static_assert(static_cast<int>(PeerState::quarantined) == WGLAN_PEER_QUARANTINED);
static_assert(static_cast<int>(SteerEndpoint::Kind::outer) == WGLAN_ENDPOINT_OUTER);
static_assert(static_cast<int>(SteerEndpoint::Kind::reach) == WGLAN_ENDPOINT_REACH);
static_assert(static_cast<int>(SteerEndpoint::Kind::serve) == WGLAN_ENDPOINT_SERVE);
static_assert(kMaxPeers == WGLAN_MAX_PEERS);
static_assert(kMaxSteerEndpoints * 2 == WGLAN_MAX_ENDPOINTS);
static_assert(CloneList::kMost == WGLAN_CLONES);

namespace {

Fallback decode_fallback(__u8 value) {
    return value == WGLAN_FALLBACK_BYPASS ? Fallback::bypass : Fallback::drop;
}

}  // namespace

wglan_route encode_route(const SteerRoute& route) {
    return {.peer = route.peer,
            .action = static_cast<__u8>(route.action),
            .flags = static_cast<__u8>(route.pods ? WGLAN_ROUTE_PODS : 0),
            .mtu = route.mtu,
            .prefix_len = route.prefix.length(),
            .pad0 = 0,
            .hits = 0};
}

SteerRoute decode_route(const Prefix& prefix, const wglan_route& route) {
    SteerRoute decoded{.prefix = prefix,
                       .action = SteerAction::drop,
                       .peer = route.peer,
                       .mtu = route.mtu,
                       .pods = (route.flags & WGLAN_ROUTE_PODS) != 0};
    if (route.action == WGLAN_ACTION_PASS) decoded.action = SteerAction::pass;
    if (route.action == WGLAN_ACTION_STEER) decoded.action = SteerAction::steer;
    return decoded;
}

wglan_peer encode_peer(const SteerPeer& peer) {
    wglan_peer encoded{};
    encoded.state = static_cast<__u8>(peer.state);
    encoded.when_unknown = static_cast<__u8>(peer.when_unknown);
    encoded.when_down = static_cast<__u8>(peer.when_down);
    std::copy(peer.key.bytes.begin(), peer.key.bytes.end(), encoded.public_key);
    put_name(encoded.name, peer.name);
    return encoded;
}

SteerPeer decode_peer(PeerId id, const wglan_peer& peer) {
    SteerPeer decoded;
    decoded.id = id;
    decoded.state =
        peer.state < WGLAN_PEER_QUARANTINED ? static_cast<PeerState>(peer.state) : PeerState::quarantined;
    decoded.when_unknown = decode_fallback(peer.when_unknown);
    decoded.when_down = decode_fallback(peer.when_down);
    std::copy(std::begin(peer.public_key), std::end(peer.public_key), decoded.key.bytes.begin());
    decoded.name = get_name(peer.name);
    return decoded;
}

EndpointKeys encode_endpoint(const SteerEndpoint& endpoint) {
    const auto kind = static_cast<wglan_endpoint_kind>(endpoint.kind);
    EndpointKeys keys{to_endpoint_key(kind, endpoint.endpoint, endpoint.protocol), std::nullopt};
    if (endpoint.kind == SteerEndpoint::Kind::reach)
        keys.fragment = to_endpoint_key(WGLAN_ENDPOINT_FRAGMENT, endpoint.endpoint, endpoint.protocol);
    return keys;
}

bool decode_endpoint(const wglan_endpoint_key& key, SteerEndpoint& endpoint) {
    if (key.kind != WGLAN_ENDPOINT_OUTER && key.kind != WGLAN_ENDPOINT_REACH &&
        key.kind != WGLAN_ENDPOINT_SERVE)
        return false;
    endpoint.kind = static_cast<SteerEndpoint::Kind>(key.kind);
    endpoint.endpoint = {to_address(key.address), key.port};
    endpoint.protocol = key.protocol;
    return true;
}

wglan_place encode_place(const Endpoint& endpoint) {
    wglan_place place{};
    put_address(place.address, endpoint.address);
    place.port = endpoint.port;
    return place;
}

wglan_places encode_clones(const CloneList& list) {
    wglan_places places{};
    places.what = static_cast<__u32>(list.what);
    for (const auto& other : list.others) {
        if (places.count == WGLAN_CLONES) break;
        auto& to = places.to[places.count++];
        to = encode_place(other.endpoint);
        to.same_way = other.same_way ? 1 : 0;
        if (other.source) put_address(to.source, *other.source);
    }
    return places;
}

void encode_config(const SteerConfig& config, wglan_config& to) {
    to.interface_ifindex = static_cast<__u32>(std::max(0, config.interface_ifindex));
    to.firewall_mark = config.firewall_mark;
    to.firewall_mark_mask = config.firewall_mark_mask;
    to.listen_port = config.listen_port;
    to.interface_mtu = config.interface_mtu;
    to.orphan_after_s = config.orphan_after_s;
}

SteerConfig decode_config(const wglan_config& config) {
    return {.interface_ifindex = static_cast<int>(config.interface_ifindex),
            .listen_port = config.listen_port,
            .interface_mtu = config.interface_mtu,
            .firewall_mark = config.firewall_mark,
            .firewall_mark_mask = config.firewall_mark_mask,
            .orphan_after_s = config.orphan_after_s};
}

DataplaneCounters decode_counters(std::span<const wglan_stats> cpus) {
    DataplaneCounters sum;
    for (const DropReason& reason : kDropReasons) sum.dropped[std::string(reason.name)] = 0;
    for (const wglan_stats& cpu : cpus) {
        sum.steered4 += cpu.steered4;
        sum.steered6 += cpu.steered6;
        sum.passed += cpu.passed;
        sum.mss_clamped += cpu.mss_clamped;
        sum.packet_too_big += cpu.packet_too_big;
        sum.oversized += cpu.oversized;
        sum.events_lost += cpu.events_lost;
        sum.forwarded += cpu.forwarded;
        sum.cloned += cpu.cloned;
        for (const DropReason& reason : kDropReasons)
            sum.dropped[std::string(reason.name)] += cpu.dropped[reason.number];
    }
    return sum;
}

PeerCounters decode_peer_counters(std::span<const wglan_peer_stats> cpus) {
    PeerCounters sum;
    for (const wglan_peer_stats& cpu : cpus) {
        sum.tx_packets += cpu.tx_packets;
        sum.tx_bytes += cpu.tx_bytes;
        sum.rx_packets += cpu.rx_packets;
        sum.rx_bytes += cpu.rx_bytes;
    }
    return sum;
}

}  // namespace wglan
