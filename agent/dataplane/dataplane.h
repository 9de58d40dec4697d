// SPDX-License-Identifier: Apache-2.0
// Loads, attaches, pins and adopts the BPF programs, and writes their maps. One instance a process;
// synchronous, short calls.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/result.h"
#include "agent/dataplane/events.h"
#include "agent/dataplane/replay_packet.h"
#include "agent/dataplane/route_hits.h"
#include "agent/model/guard.h"
#include "agent/model/pods.h"
#include "agent/model/steering.h"

namespace wglan {

struct DataplaneOptions {
    std::string pin_path = "/sys/fs/bpf/wglan";
    bool order_first = true;  // our place among other TCX programs at uplink egress
    // Where a program of somebody else has come between, that place is won back, at most this often a device:
    // who insists too shall not make us fight.
    Seconds win_back_every{300};
    bool force_clsact = false;          // tests: as on a kernel without TCX
    std::uint32_t max_routes = 131072;  // entries of each LPM trie
    // From more routes of a family on, tables beside its trie answer look-ups
    // (agent/dataplane/beside_trie.h).
    std::size_t exact_from = 12'000;
};

// Everything the maps hold, read back.
struct DataplaneState {
    std::map<Prefix, SteerRoute> routes;
    std::map<PeerId, SteerPeer> peers;
    std::vector<SteerEndpoint> endpoints;  // sorted
    SteerConfig config;
    std::vector<Attachment> attachments;  // sorted; those of ours that are in place
    PodSteering pods;                     // empty where direct mode never ran
};

// Some entries of the tables.
struct SteerSample {
    std::vector<SteerRoute> routes;
    std::vector<SteerPeer> peers;
    std::vector<SteerEndpoint> endpoints;
    std::optional<SteerConfig> config = {};
};

struct DataplaneCounters {
    std::uint64_t steered4 = 0, steered6 = 0;  // packets
    std::uint64_t passed = 0;
    std::uint64_t mss_clamped = 0, packet_too_big = 0;
    std::uint64_t oversized = 0;  // larger than the MTU, but may be fragmented: steered whole
    std::uint64_t events_lost = 0;
    std::uint64_t cloned = 0;     // handshake initiations, sent to another place too
    std::uint64_t forwarded = 0;  // from one peer to another, past the stack; those are in steered too
    std::map<std::string, std::uint64_t> dropped;         // by reason name (maps/names.h), zeros included
    std::uint64_t direct_sent = 0, direct_delivered = 0;  // past the stack; those sent are in steered too
    std::uint64_t direct_known = 0;  // left to the stack because conntrack knows their flow
};

struct PeerCounters {
    std::uint64_t tx_packets = 0, tx_bytes = 0, rx_packets = 0, rx_bytes = 0;
};

struct GuardState {
    std::optional<GuardSettings> settings;  // nullopt: its programs aren't loaded, or must be anew
    std::vector<GuardPlace> places;         // sorted; a predecessor's too
};

class Dataplane {
public:
    virtual ~Dataplane() = default;

    // Mounts bpffs if needed, loads the programs, re-uses the pinned maps of a predecessor when
    // their layout version and definition match (else makes new ones, copies what carries over,
    // and swaps at the next attach in one step), pins maps. Idempotent.
    // Errors name the mend: no BTF, no CAP_BPF, bpffs not mountable, other layout.
    virtual Result<> load() = 0;
    // True if load() found a predecessor's pins and adopted its maps.
    virtual bool adopted() const = 0;

    virtual Result<DataplaneState> state() = 0;  // a complete dump
    // state().attachments alone: a few system calls.
    virtual Result<std::vector<Attachment>> attachments() = 0;
    // Whether the maps hold these entries. A prefix counts as held where one around it says the same. Cheap:
    // a look-up each.
    virtual Result<bool> holds(const SteerSample& entries) = 0;
    virtual Result<> set_config(const SteerConfig& config) = 0;
    // Overwrites in place (BPF_ANY); bulk uses batches where the kernel has them.
    virtual Result<> put_routes(const std::vector<SteerRoute>& routes) = 0;
    virtual Result<> remove_routes(const std::vector<Prefix>& prefixes) = 0;
    virtual Result<> put_peers(const std::vector<SteerPeer>& peers) = 0;  // one map write each
    virtual Result<> remove_peers(const std::vector<PeerId>& ids) = 0;
    virtual Result<> put_endpoints(const std::vector<SteerEndpoint>& endpoints) = 0;
    virtual Result<> remove_endpoints(const std::vector<SteerEndpoint>& endpoints) = 0;
    // Initiations to list.used are cloned to its places, instead of to those that were set before. A
    // predecessor's lists are gone.
    virtual Result<> put_clones(const CloneList& list) = 0;
    virtual Result<> remove_clones(const Endpoint& used) = 0;
    // Tells the programs that an agent is alive (see agent.orphanAfter).
    virtual Result<> heartbeat() = 0;

    // Attaches wglan_egress (wglan_egress_l3 where packets carry no MAC header) to tc-egress of an uplink, or
    // wglan_tun_in (wglan_tun_hub where conntrack can be asked) and wglan_tun_out to wglan0's two directions;
    // updates a predecessor's link in place.
    // Returns the kind that was used. Kinds: unsupported for a device type that can't be an uplink.
    virtual Result<Attachment> attach_uplink(int ifindex, const std::string& name) = 0;
    // `direct`: wglan_tun_dir in the place of wglan_tun_in.
    virtual Result<std::vector<Attachment>> attach_tunnel(int ifindex, const std::string& name,
                                                          bool direct) = 0;
    virtual Result<> detach(int ifindex) = 0;  // ours alone; idempotent; fine when the device is gone

    // The program's own answer for such a packet at an uplink's egress; it leaves no trace. The first
    // call loads a second instance.
    virtual Result<ReplayVerdict> replay(const ReplayPacket& packet) = 0;
    // The same for a packet that a pod sends, at a device of PodSteering::devices that runs the program.
    // `unsupported` unless load_direct() was called.
    virtual Result<PodReplayVerdict> replay_from_pod(const ReplayPacket& packet, const PodDevice& device) = 0;
    // podDatapath: direct. Loads its programs; idempotent. `unsupported` says what the kernel lacks.
    virtual Result<> load_direct() = 0;
    // Each with its program, then its entry; a bridge only if all ports given with it have theirs. Returns
    // what was attached; devices that are gone or without MAC headers are passed over. `macs` is the whole
    // set.
    virtual Result<std::vector<Attachment>> put_pods(const std::vector<PodDevice>& devices,
                                                     const std::set<MacAddress>& macs) = 0;
    virtual Result<> remove_pods(const std::vector<int>& ifindexes) = 0;  // entries, then programs
    // The switch of the whole: with no prefix nothing goes direct.
    virtual Result<> set_own_pods(const std::set<Prefix>& own) = 0;

    virtual Result<DataplaneCounters> counters() = 0;
    // Of every route, since it was last written. Dumps the tables.
    virtual Result<RouteHits> route_hits() = 0;
    virtual Result<PeerCounters> peer_counters(PeerId id) = 0;  // not_found: no such peer

    // The guard of the WireGuard port at ingress of uplinks (guard_attach.h). The port is SteerConfig's,
    // and what it drops counts among the others' reasons. attachments() shows it, detach() takes it along.
    virtual Result<GuardState> guard() = 0;
    virtual Result<> set_guard(const GuardSettings& settings) = 0;  // loads the programs if need be
    virtual Result<GuardPlace> attach_guard(int ifindex, bool physical) = 0;
    virtual Result<> detach_guard(int ifindex) = 0;
    virtual Result<> drop_guard() = 0;  // from all devices, with its maps
    // What the programs report of packets. They do so only while they are told that somebody reads: for
    // that time from now on, 0 = no more.
    virtual Result<EventReader> events() = 0;
    virtual Result<> report_events(Seconds time) = 0;
};

Result<std::unique_ptr<Dataplane>> make_dataplane(DataplaneOptions options);
// Reads what is pinned without loading anything; empty where nothing of this layout is.
Result<DataplaneState> peek_dataplane(const std::string& pin_path);
Result<GuardState> peek_guard(const std::string& pin_path);
// Detaches and unpins everything of ours below pin_path, and removes clsact filters of ours from every
// device, then clsact itself where an agent made it and nobody uses it. Works without load(); idempotent.
Result<> remove_dataplane(const std::string& pin_path);

}  // namespace wglan
