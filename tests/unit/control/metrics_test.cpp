// SPDX-License-Identifier: Apache-2.0
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/control/metrics_server.h"
#include "tests/support/control/fake_control.h"

namespace wglan {
namespace {

std::set<std::string> lines_of(const std::string& text) {
    std::set<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.insert(line);
    return lines;
}

TEST(Metrics, HasEveryNameThatIsPromised) {
    auto lines = lines_of(metrics_text(test::FakeControl().metrics()));
    for (auto line : {"wglan_peers{state=\"up\"} 1",
                      "wglan_peers{state=\"down\"} 1",
                      "wglan_peers{state=\"unknown\"} 0",
                      "wglan_peers{state=\"degraded\"} 0",
                      "wglan_peers{state=\"quarantined\"} 0",
                      "wglan_peers_needing_relay 0",
                      "wglan_peer_last_handshake_seconds{peer=\"node2\"} 1799999988",
                      "wglan_peer_receive_bytes_total{peer=\"node2\"} 1258291",
                      "wglan_peer_transmit_bytes_total{peer=\"node2\"} 2048",
                      "wglan_peer_rtt_seconds{peer=\"node2\"} 0.00042",
                      "wglan_peer_probe_loss_ratio{peer=\"node2\"} 0.0625",
                      "wglan_probes_sent_total 100",
                      "wglan_probes_lost_total 3",
                      "wglan_sweep_tries_total 7",
                      "wglan_sweep_rounds_total 4",
                      "wglan_path_trials_total{result=\"taken\"} 5",
                      "wglan_path_trials_total{result=\"kept\"} 6",
                      "wglan_session_renewals_total 2",
                      "wglan_peer_endpoint_changes_total{peer=\"node2\"} 1",
                      "wglan_steered_packets_total{family=\"ipv4\"} 12000",
                      "wglan_steered_packets_total{family=\"ipv6\"} 345",
                      "wglan_dropped_packets_total{reason=\"peer_down\"} 5",
                      "wglan_mss_clamped_total 7",
                      "wglan_packet_too_big_total 2",
                      "wglan_guard_interfaces{mode=\"tc\"} 1",
                      "wglan_guard_interfaces{mode=\"xdp-native\"} 0",
                      "wglan_routes{family=\"ipv4\"} 4",
                      "wglan_routes{family=\"ipv6\"} 2",
                      "wglan_source_up{source=\"static\"} 1",
                      "wglan_source_up{source=\"service:discovery:51821\"} 0",
                      "wglan_reconcile_duration_seconds_count 2",
                      "wglan_reconcile_errors_total 1",
                      "wglan_drift_repairs_total 3",
                      "wglan_start_seconds{phase=\"ready\"} 0.2",
                      "wglan_build_info{version=\"0.1.0\",backend=\"kernel\"} 1",
                      "wglan_config_valid 1",
                      "# TYPE wglan_peers gauge",
                      "# TYPE wglan_steered_packets_total counter",
                      "# TYPE wglan_reconcile_duration_seconds histogram"})
        EXPECT_TRUE(lines.contains(line)) << line;
    auto view = test::FakeControl().metrics();
    view.peers.at(0).needs_relay = true;
    EXPECT_TRUE(lines_of(metrics_text(view)).contains("wglan_peers_needing_relay 1"));
    // Not measured is not zero.
    for (const auto& line : lines) EXPECT_FALSE(line.starts_with("wglan_peer_rtt_seconds{peer=\"node3\"}"));
}

TEST(Metrics, WhoCarriesPodsIsToldWhereTheCniMay) {
    MetricsView view;
    EXPECT_EQ(metrics_text(view).find("wglan_cni_"), std::string::npos);
    view.steering.pods_when_cni_down = true;
    view.steering.left_to_cni = 4;
    view.steering.cni_down = 2;
    view.steering.cni_failovers = 3;
    const auto lines = lines_of(metrics_text(view));
    for (const char* line : {"wglan_cni_prefixes{state=\"left\"} 4",
                             "wglan_cni_prefixes{state=\"steered\"} 2", "wglan_cni_failovers_total 3"})
        EXPECT_TRUE(lines.contains(line)) << line;
}

TEST(Metrics, ReconcileBucketsAreCumulative) {
    auto lines = lines_of(metrics_text(test::FakeControl().metrics()));
    EXPECT_TRUE(lines.contains("wglan_reconcile_duration_seconds_bucket{le=\"0.0025\"} 0"));
    EXPECT_TRUE(lines.contains("wglan_reconcile_duration_seconds_bucket{le=\"0.005\"} 1"));
    EXPECT_TRUE(lines.contains("wglan_reconcile_duration_seconds_bucket{le=\"2.5\"} 1"));
    EXPECT_TRUE(lines.contains("wglan_reconcile_duration_seconds_bucket{le=\"+Inf\"} 2"));
}

TEST(Metrics, EscapesLabels) {
    MetricsView view;
    view.sources = {{"a\"b\\c\nd", SourceState::synced, 0, 0, ""}};
    auto lines = lines_of(metrics_text(view));
    EXPECT_TRUE(lines.contains("wglan_source_up{source=\"a\\\"b\\\\c\\nd\"} 1"));
}

TEST(Metrics, EmptyFamiliesAreLeftOut) {
    auto text = metrics_text(MetricsView{});
    EXPECT_EQ(text.find("wglan_peer_receive_bytes_total"), std::string::npos);
    EXPECT_EQ(text.find("wglan_dropped_packets_total"), std::string::npos);
    EXPECT_NE(text.find("wglan_peers{state=\"up\"} 0"), std::string::npos);
}

TEST(DurationHistogram, BoundsAreInclusive) {
    DurationHistogram histogram;
    histogram.observe(0.0005);
    histogram.observe(2.5);
    histogram.observe(2.6);
    EXPECT_EQ(histogram.buckets().front(), 1U);
    EXPECT_EQ(histogram.buckets()[DurationHistogram::kBounds.size() - 1], 1U);
    EXPECT_EQ(histogram.buckets().back(), 1U);
    EXPECT_EQ(histogram.count(), 3U);
    EXPECT_DOUBLE_EQ(histogram.sum(), 5.1005);
}

}  // namespace
}  // namespace wglan
