// SPDX-License-Identifier: Apache-2.0
// A ControlProvider that shows a mesh of made-up values, for the tests of the servers and wglanctl.
#pragma once

#include "agent/control/doctor_view.h"
#include "agent/control/explain.h"
#include "agent/control/monitor.h"
#include "agent/control/views.h"

namespace wglan::test {

inline constexpr UnixTime kNow = 1'800'000'000;

PublicKey test_key(std::uint8_t byte);  // 32 times that byte
Prefix prefix(const char* text);        // throws on a bad one
IpAddress address(const char* text);
Endpoint endpoint(const char* text);

MonitorEvent sample_drop();  // a TCP packet for node3, which is down
StatusView sample_status();  // node1: node2 is up, node3 is down
RoutesView sample_routes();
DoctorView sample_doctor();  // behind a NAT, with a warning and a fail

// Every answer can be changed before it is asked for.
struct FakeControl : ControlProvider {
    FakeControl();

    StatusView status() override { return status_view; }
    RoutesView routes() override { return routes_view; }
    Result<Explanation> explain(const ExplainRequest& request) override;
    Result<RecordView> record() override { return record_view; }
    KeysView keys() override { return keys_view; }
    Result<std::shared_ptr<MonitorFeed>> monitor(const MonitorRequest& request) override;
    MetricsView metrics() override { return metrics_view; }
    Readiness ready() override { return readiness; }
    Task<DoctorView> doctor() override { co_return doctor_view; }
    Result<> reload() override {
        ++reloads;
        return reload_result;
    }

    StatusView status_view;
    RoutesView routes_view;
    ExplainState explain_state;
    std::optional<ExplainRequest> asked;
    Result<RecordView> record_view;
    KeysView keys_view;
    MonitorHub hub;
    asio::any_io_executor executor;  // of the feeds
    std::optional<MonitorRequest> watched;
    MetricsView metrics_view;
    Readiness readiness;
    DoctorView doctor_view;
    Result<> reload_result;
    int reloads = 0;
};

// Stands still at kNow.
struct FixedClock : Clock {
    SteadyTime now() const override { return {}; }
    UnixTime unix_now() const override { return kNow; }
};

}  // namespace wglan::test
