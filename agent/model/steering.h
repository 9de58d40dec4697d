// SPDX-License-Identifier: Apache-2.0
// The BPF programs' tables as values; agent/dataplane turns them into maps/*.h structs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/base/ip.h"
#include "agent/base/keys.h"
#include "agent/model/peer.h"

namespace wglan {

// Numbers as in maps/wglan_maps.h (WGLAN_ACTION_*).
enum class SteerAction : std::uint8_t { pass = 1, steer = 2, drop = 3 };
std::string_view to_string(SteerAction action);

using PeerId = std::uint32_t;  // 1 .. kMaxPeers; 0 = no peer
inline constexpr PeerId kMaxPeers = 16384;
inline constexpr std::size_t kMaxSteerEndpoints = 65536;  // each may take two entries of wglan_endpts

struct SteerRoute {
    Prefix prefix;
    SteerAction action = SteerAction::steer;
    PeerId peer = 0;        // 0 with action pass or drop
    std::uint16_t mtu = 0;  // largest IP packet for the tunnel; 0 = the interface's
    bool pods = false;      // the peer's pods: podDatapath direct may send there past the stack
    bool operator==(const SteerRoute&) const = default;
};

// What to do with packets for a peer that isn't up.
enum class Fallback : std::uint8_t { bypass = 0, drop = 1 };
std::string_view to_string(Fallback fallback);

struct SteerPeer {
    PeerId id = 0;
    PublicKey key;  // lets a successor find its ids again
    PeerState state = PeerState::unknown;
    Fallback when_unknown = Fallback::bypass;
    Fallback when_down = Fallback::drop;
    std::string name;  // for people who dump the map; cut at 31 bytes
    bool operator==(const SteerPeer&) const = default;
};

// A destination that is never steered.
struct SteerEndpoint {
    enum class Kind : std::uint8_t {
        outer = 1,  // UDP from our listen port to this address and port: a WireGuard packet
        reach = 2,  // this address, port and protocol: steering.alwaysReach, API servers
        // What is sent *from* this address of ours, port and protocol to a peer that isn't up: the answers of
        // what others always reach here.
        serve = 4,
    };
    Kind kind = Kind::outer;
    Endpoint endpoint;
    std::uint8_t protocol = 17;  // IPPROTO_*
    auto operator<=>(const SteerEndpoint&) const = default;
};

// One of the cluster's API servers, by TCP.
struct ApiServer {
    Endpoint endpoint;
    bool by_tunnel = false;  // the peer behind it is up: it is steered as all else is
    auto operator<=>(const ApiServer&) const = default;
};

// Where packets of a peer go besides the endpoint that WireGuard uses. All places are of one family.
struct CloneList {
    enum class What : std::uint8_t {
        initiations = 0,  // of a peer that is looked for
        probes = 1,       // and what is as long: of a peer that may be lost
        data = 2,         // a better path is tried beside the one in use
    };
    static constexpr std::size_t kMost = 8;
    struct Place {
        Endpoint endpoint;
        bool same_way = false;            // by the same device and next hop as `used`
        std::optional<IpAddress> source;  // ours on the way there, where it is another device's
        friend bool operator==(const Place&, const Place&) = default;
    };
    Endpoint used;
    std::vector<Place> others;  // at most kMost count
    What what = What::initiations;
    friend bool operator==(const CloneList&, const CloneList&) = default;
};

// Settings that the programs read from wglan_config.
struct SteerConfig {
    int interface_ifindex = 0;      // wglan0; 0 = none, nothing can be redirected
    std::uint16_t listen_port = 0;  // host order
    std::uint16_t interface_mtu = 0;
    std::uint32_t firewall_mark = 0;
    std::uint32_t firewall_mark_mask = 0;
    std::uint32_t orphan_after_s = 0;  // 0 = never
    bool operator==(const SteerConfig&) const = default;
};

// One program on one hook, as found or as wanted.
struct Attachment {
    enum class Hook : std::uint8_t { tc_egress, tc_ingress, xdp };
    enum class Kind : std::uint8_t { tcx, clsact, xdp };
    int ifindex = 0;
    std::string interface;
    Hook hook = Hook::tc_egress;
    Kind kind = Kind::tcx;
    std::string program;
    auto operator<=>(const Attachment&) const = default;
};
std::string_view to_string(Attachment::Hook hook);  // "tc-egress" ...
std::string_view to_string(Attachment::Kind kind);

}  // namespace wglan
