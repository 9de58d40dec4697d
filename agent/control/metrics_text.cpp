// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <sstream>

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include "agent/control/metrics_server.h"

namespace wglan {
namespace {

using Labels = std::vector<prometheus::ClientMetric::Label>;

// Collects families in the order in which they are added.
class Families {
public:
    void family(const char* name, prometheus::MetricType type, const char* help) {
        all_.push_back({name, help, type, {}});
    }

    void sample(double value, Labels labels = {}) {
        auto& metric = all_.back().metric.emplace_back();
        metric.label = std::move(labels);
        if (all_.back().type == prometheus::MetricType::Counter)
            metric.counter.value = value;
        else
            metric.gauge.value = value;
    }
    void sample(std::uint64_t value, Labels labels = {}) {
        sample(static_cast<double>(value), std::move(labels));
    }

    void gauge(const char* name, const char* help) { family(name, prometheus::MetricType::Gauge, help); }
    void counter(const char* name, const char* help) { family(name, prometheus::MetricType::Counter, help); }

    void histogram(const char* name, const char* help, const DurationHistogram& values) {
        family(name, prometheus::MetricType::Histogram, help);
        auto& out = all_.back().metric.emplace_back().histogram;
        out.sample_count = values.count();
        out.sample_sum = values.sum();
        std::uint64_t cumulative = 0;
        for (std::size_t i = 0; i < DurationHistogram::kBounds.size(); ++i) {
            cumulative += values.buckets()[i];
            out.bucket.push_back({cumulative, DurationHistogram::kBounds[i]});
        }
    }

    std::string text() const {
        std::vector<prometheus::MetricFamily> filled;
        for (const auto& one : all_)
            if (!one.metric.empty()) filled.push_back(one);
        std::ostringstream out;
        prometheus::TextSerializer().Serialize(out, filled);
        return std::move(out).str();
    }

private:
    std::vector<prometheus::MetricFamily> all_;
};

void add_peers(Families& out, const std::vector<PeerView>& peers) {
    std::map<PeerState, std::uint64_t> states;
    for (auto state :
         {PeerState::unknown, PeerState::up, PeerState::degraded, PeerState::down, PeerState::quarantined})
        states[state] = 0;
    for (const auto& peer : peers) ++states[peer.state];
    out.gauge("wglan_peers", "Peers by state.");
    for (const auto& [state, count] : states) out.sample(count, {{"state", std::string(to_string(state))}});

    out.gauge("wglan_peers_needing_relay", "Peers that live, and to which no direct path was found.");
    out.sample(static_cast<std::uint64_t>(
        std::count_if(peers.begin(), peers.end(), [](const PeerView& peer) { return peer.needs_relay; })));

    out.gauge("wglan_peer_last_handshake_seconds", "Unix time of the last handshake, 0 = never.");
    for (const auto& peer : peers)
        out.sample(static_cast<double>(peer.last_handshake), {{"peer", peer.name}});
    out.counter("wglan_peer_receive_bytes_total", "Bytes received from the peer through the tunnel.");
    for (const auto& peer : peers) out.sample(peer.rx_bytes, {{"peer", peer.name}});
    out.counter("wglan_peer_transmit_bytes_total", "Bytes sent to the peer through the tunnel.");
    for (const auto& peer : peers) out.sample(peer.tx_bytes, {{"peer", peer.name}});
    out.gauge("wglan_peer_rtt_seconds", "Round-trip time to the peer, where it is measured.");
    for (const auto& peer : peers)
        if (peer.rtt_ms) out.sample(*peer.rtt_ms / 1000, {{"peer", peer.name}});
    out.gauge("wglan_peer_probe_loss_ratio", "Share of the last 32 probes of the peer that were lost.");
    for (const auto& peer : peers)
        if (peer.probe_loss) out.sample(*peer.probe_loss, {{"peer", peer.name}});
    out.counter("wglan_peer_endpoint_changes_total", "Changes of the peer's endpoint.");
    for (const auto& peer : peers) out.sample(peer.endpoint_changes, {{"peer", peer.name}});
}

void add_paths(Families& out, const PathTotals& paths) {
    out.counter("wglan_probes_sent_total", "Echoes sent to peers through the tunnel.");
    out.sample(paths.probes_sent);
    out.counter("wglan_probes_lost_total", "Of those, unanswered ones.");
    out.sample(paths.probes_lost);
    out.counter("wglan_sweep_tries_total", "Candidate endpoints that were tried in vain.");
    out.sample(paths.sweep_tries);
    out.counter("wglan_sweep_rounds_total", "Rounds through all candidates of a peer that ended in vain.");
    out.sample(paths.sweep_rounds);
    out.counter("wglan_path_trials_total", "Trials of another path beside the one in use, by their result.");
    out.sample(paths.trials_won, {{"result", "taken"}});
    out.sample(paths.trials_lost, {{"result", "kept"}});
    out.counter("wglan_session_renewals_total", "Peers whose dead session was dropped for a new handshake.");
    out.sample(paths.new_beginnings);
}

void add_steering(Families& out, const SteeringView& steering) {
    const auto& counters = steering.counters;
    out.counter("wglan_steered_packets_total", "Packets redirected into the tunnel.");
    out.sample(counters.steered4, {{"family", "ipv4"}});
    out.sample(counters.steered6, {{"family", "ipv6"}});
    out.counter("wglan_forwarded_packets_total", "Packets sent on from one peer to another, past the stack.");
    out.sample(counters.forwarded);
    out.counter("wglan_cloned_handshakes_total", "Handshake initiations sent to one more candidate.");
    out.sample(counters.cloned);
    out.counter("wglan_dropped_packets_total", "Packets dropped by the data path.");
    for (const auto& [reason, count] : counters.dropped) out.sample(count, {{"reason", reason}});
    out.counter("wglan_mss_clamped_total", "TCP SYN and SYN-ACK packets whose MSS was lowered.");
    out.sample(counters.mss_clamped);
    out.counter("wglan_packet_too_big_total", "Packet-too-big answers sent.");
    out.sample(counters.packet_too_big);
    out.gauge("wglan_guard_interfaces", "Devices at which the WireGuard port is guarded, by how.");
    for (const GuardMode mode : {GuardMode::native, GuardMode::generic, GuardMode::tc}) {
        const auto& places = steering.guard.places;
        const auto count = std::count_if(places.begin(), places.end(),
                                         [&](const GuardPlace& place) { return place.mode == mode; });
        out.sample(static_cast<std::uint64_t>(count), {{"mode", std::string(to_string(mode))}});
    }
    if (steering.pods_when_cni_down) {
        out.gauge("wglan_cni_prefixes",
                  "Peers' pod prefixes with steering.pods: cniDown, by who carries them.");
        out.sample(steering.left_to_cni, {{"state", "left"}});
        out.sample(steering.cni_down, {{"state", "steered"}});
        out.counter("wglan_cni_failovers_total",
                    "Pod prefixes that were left to the CNI and had to be steered.");
        out.sample(steering.cni_failovers);
    }
    out.gauge("wglan_routes", "Steered prefixes.");
    out.sample(steering.prefixes4, {{"family", "ipv4"}});
    out.sample(steering.prefixes6, {{"family", "ipv6"}});
}

}  // namespace

std::string metrics_text(const MetricsView& view) {
    Families out;
    add_peers(out, view.peers);
    add_paths(out, view.paths);
    add_steering(out, view.steering);
    out.gauge("wglan_source_up", "1 while the discovery source is synced.");
    for (const auto& source : view.sources)
        out.sample(source.state == SourceState::synced ? 1.0 : 0.0, {{"source", source.name}});
    out.gauge("wglan_source_lag_seconds", "Time since the discovery source last showed that it lives.");
    for (const auto& source : view.sources)
        if (source.lag) out.sample(static_cast<double>(source.lag->count()), {{"source", source.name}});
    out.histogram("wglan_reconcile_duration_seconds", "Time that a reconciliation takes.", view.reconcile);
    out.counter("wglan_reconcile_errors_total", "Reconciliations in which something failed.");
    out.sample(view.reconcile_errors);
    out.counter("wglan_drift_repairs_total", "Repairs of what others changed.");
    out.sample(view.drift_repairs);
    out.gauge("wglan_start_seconds", "Time since the agent's start at which each phase was done.");
    for (const auto& [phase, seconds] : view.start_seconds) out.sample(seconds, {{"phase", phase}});
    out.gauge("wglan_config_valid",
              "0 while a newer configuration file is refused and the old settings run on.");
    out.sample(view.settings_valid ? 1.0 : 0.0);
    out.gauge("wglan_build_info", "Always 1; what runs.");
    out.sample(1.0, {{"version", view.version}, {"backend", view.backend}});
    return out.text();
}

}  // namespace wglan
