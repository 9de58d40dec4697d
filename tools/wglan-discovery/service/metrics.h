// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include "tools/wglan-discovery/service/store.h"

namespace wglan::discovery_service {

inline constexpr char kVersion[] = WGLAN_VERSION;

// The service's figures in Prometheus' text format; docs/discovery-service.md lists them.
class Metrics {
public:
    Metrics();

    void request(const std::string& method, unsigned status);
    void rejected(const std::string& reason);
    void put(PutOutcome::Status status, bool tombstone);
    void expired(std::size_t records) { expired_.Increment(static_cast<double>(records)); }
    void watcher_cut() { cut_.Increment(); }
    void watchers(std::size_t count) { watchers_.Set(static_cast<double>(count)); }

    std::string text(const StoreStats& stats);

private:
    std::shared_ptr<prometheus::Registry> registry_;
    prometheus::Family<prometheus::Counter>& requests_;
    prometheus::Family<prometheus::Counter>& rejected_;
    prometheus::Family<prometheus::Counter>& puts_;
    prometheus::Counter& tombstone_writes_;
    prometheus::Counter& expired_;
    prometheus::Counter& cut_;
    prometheus::Gauge& watchers_;
    prometheus::Gauge& clusters_;
    prometheus::Gauge& nodes_;
    prometheus::Gauge& tombstones_;
    prometheus::Gauge& bytes_;
};

}  // namespace wglan::discovery_service
