// SPDX-License-Identifier: Apache-2.0
// What operators may see, as plain values. The app fills them; the control server writes them as
// JSON, the metrics server as Prometheus text. JSON names stand in docs and in json.h.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/ip.h"
#include "agent/base/keys.h"
#include "agent/base/result.h"
#include "agent/control/explanation.h"
#include "agent/control/histogram.h"
#include "agent/http/http.h"
#include "agent/model/guard.h"
#include "agent/model/peer.h"
#include "agent/model/record.h"
#include "agent/model/steering.h"

namespace wglan {

struct NodeView {
    std::string name;
    PublicKey public_key;
    IpAddress address;  // overlay; unspecified = not known yet
    std::string interface;
    std::uint16_t listen_port = 0;
    std::uint32_t mtu = 0;
    std::string backend;  // "kernel", "userspace"; "" = not known yet
    Seconds key_age{0};
};

struct CandidateView {
    HostPort endpoint;
    CandidateSource source = CandidateSource::announced;
    std::string result;           // of the last try: "handshake", "no answer", "not tried" ...
    std::optional<double> score;  // the higher the sooner it is tried
    std::optional<double> rtt_ms;
    std::optional<Seconds> next_try;  // until its turn; none while another is in use
};

struct PeerView {
    std::string name;
    PublicKey public_key;
    IpAddress address;  // unspecified = owns none
    PeerState state = PeerState::unknown;
    std::string reason;                     // why it is in that state, one phrase
    std::optional<Endpoint> endpoint;       // what WireGuard sends to now
    std::string path = "direct";            // "direct" or "relay:NAME"
    bool needs_relay = false;               // it lives, and no direct path to it was found
    std::vector<CandidateView> candidates;  // best first
    UnixTime last_handshake = 0;            // 0 = never
    std::optional<double> rtt_ms, min_rtt_ms;
    std::optional<double> probe_loss;  // 0 .. 1, of the last probes; none = none was sent
    std::uint64_t rx_bytes = 0, tx_bytes = 0;
    std::vector<OwnedPrefix> prefixes;
    std::vector<std::string> sources;
    std::uint64_t endpoint_changes = 0;
    std::optional<Seconds> next_try;  // until the next candidate is tried; none while up
    bool agentless = false;
};

struct SteeringCounters {
    std::uint64_t steered4 = 0, steered6 = 0, passed = 0;  // packets
    std::uint64_t mss_clamped = 0, packet_too_big = 0;
    std::uint64_t cloned = 0;                      // handshake initiations, sent to another place too
    std::uint64_t forwarded = 0;                   // from one peer to another, past the stack
    std::map<std::string, std::uint64_t> dropped;  // by reason name
    // With podDatapath direct: past the stack, and left to it because conntrack knows their flow.
    std::uint64_t direct_sent = 0, direct_delivered = 0, direct_known = 0;
};

struct GuardView {
    bool enabled = false;
    std::uint32_t handshakes_per_s = 0;
    std::vector<GuardPlace> places;
};

struct SteeringView {
    bool direct = false;  // podDatapath
    std::vector<Attachment> attachments;
    std::uint64_t prefixes4 = 0, prefixes6 = 0;
    SteeringCounters counters;
    GuardView guard;
    // steering.pods: cniDown; pod prefixes left to the CNI, steered, and how often the latter came of the
    // former.
    bool pods_when_cni_down = false;
    std::uint64_t left_to_cni = 0, cni_down = 0, cni_failovers = 0;
};

// What was done to find and watch peers' paths since the agent started.
struct PathTotals {
    std::uint64_t probes_sent = 0, probes_lost = 0;
    std::uint64_t sweep_tries = 0, sweep_rounds = 0;  // fruitless ones
    std::uint64_t trials_won = 0, trials_lost = 0;    // of better paths, beside the one in use
    std::uint64_t new_beginnings = 0;                 // peers made anew for another handshake
};

// How the settings in force came about.
struct SettingsView {
    std::string file;  // "" = defaults
    UnixTime loaded = 0;
    std::string error;  // of a newer file that was refused; "" = none
};

struct StatusView {
    std::string version;
    std::int64_t pid = 0;
    Seconds uptime{0};
    NodeView node;
    std::vector<SourceStatus> sources;
    std::vector<PeerView> peers;  // sorted by name
    std::vector<Refusal> refused;
    SteeringView steering;
    SettingsView settings;
    std::vector<std::string> warnings;  // what the operator should mend, one sentence each
};

// Our own fallback route of a steered prefix in the kernel's main table.
struct KernelRouteView {
    enum class State { not_wanted, present, missing };  // node addresses never have one
    State state = State::not_wanted;
    std::uint32_t metric = 0;
    std::string device;
    bool overrides = false;  // its halves are there too, and win over anybody's route
    std::string fault;       // of the route that is overridden; "" = it is by configuration
    std::string in_force;    // what wins for the whole prefix, whoever made it: "via A dev D"; "" = none
};

struct RouteView {
    Prefix prefix;
    std::string peer;  // "" with action pass or drop
    SteerAction action = SteerAction::steer;
    std::uint16_t mtu = 0;  // effective one; 0 = not known yet
    std::string source;     // that claimed it; "configuration" for excluded ones
    std::optional<PrefixClass> cls;
    std::optional<std::uint64_t> hits;  // look-ups that it answered; nullopt = can't be read
    std::string why;                    // of pods with steering.pods: cniDown: steered, or left to the CNI
    KernelRouteView kernel_route;
};

struct RoutesView {
    std::vector<RouteView> routes;  // sorted by prefix
    std::vector<Refusal> refused;
};

struct RecordView {
    Record record;
    std::vector<std::string> published_to;  // names of the sources that it goes to
};

struct KeysView {
    PublicKey public_key;
    IdentityKey identity;
    Seconds age{0};        // of the WireGuard key
    UnixTime created = 0;  // 0 = not known
    std::string key_file;  // "" = given by the configuration
    std::string identity_file;
};

struct MetricsView {
    std::string version, backend;
    std::vector<PeerView> peers;
    std::vector<SourceStatus> sources;
    SteeringView steering;
    DurationHistogram reconcile;
    std::uint64_t reconcile_errors = 0, drift_repairs = 0;
    std::map<std::string, double> start_seconds;  // by phase
    PathTotals paths;
    bool settings_valid = true;  // false while a newer configuration file is refused
};

struct Readiness {
    bool ready = false;
    std::string reason;  // why not
};

class MonitorFeed;
struct DoctorView;
struct MonitorRequest;

// All that the control and metrics servers need of the agent. Calls come on the event loop and
// must be short but for doctor(); views are snapshots.
struct ControlProvider {
    virtual ~ControlProvider() = default;
    virtual StatusView status() = 0;
    virtual RoutesView routes() = 0;
    virtual Result<Explanation> explain(const ExplainRequest& request) = 0;
    virtual Result<RecordView> record() = 0;  // not_found before the first one is made
    virtual KeysView keys() = 0;
    // Live events; not_found where there is no such peer.
    virtual Result<std::shared_ptr<MonitorFeed>> monitor(const MonitorRequest& request) = 0;
    virtual MetricsView metrics() = 0;
    virtual Readiness ready() = 0;
    // Looks at everything, asks peers, and takes some seconds.
    virtual Task<DoctorView> doctor() = 0;
    // As SIGHUP; the error is the refused file's, the old settings run on.
    virtual Result<> reload() = 0;
};

}  // namespace wglan
