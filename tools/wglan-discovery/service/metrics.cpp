// SPDX-License-Identifier: Apache-2.0
#include "tools/wglan-discovery/service/metrics.h"

#include <prometheus/text_serializer.h>

namespace wglan::discovery_service {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::Registry;

prometheus::Family<prometheus::Counter>& counters(Registry& registry, const char* name, const char* help) {
    return BuildCounter().Name(name).Help(help).Register(registry);
}

prometheus::Gauge& gauge(Registry& registry, const char* name, const char* help) {
    return BuildGauge().Name(name).Help(help).Register(registry).Add({});
}

// A label value that a client can't choose freely.
std::string known_method(const std::string& method) {
    for (const char* known : {"GET", "PUT", "DELETE", "HEAD", "POST", "PATCH", "OPTIONS"})
        if (method == known) return method;
    return "other";
}

}  // namespace

Metrics::Metrics()
    : registry_(std::make_shared<Registry>()),
      requests_(
          counters(*registry_, "wglan_discovery_requests_total", "Requests answered, by method and status.")),
      rejected_(counters(*registry_, "wglan_discovery_rejected_total", "Requests refused, by reason.")),
      puts_(
          counters(*registry_, "wglan_discovery_puts_total", "Records accepted: stored (new) or refreshed.")),
      tombstone_writes_(
          counters(*registry_, "wglan_discovery_tombstones_stored_total", "Withdrawals stored.").Add({})),
      expired_(counters(*registry_, "wglan_discovery_expired_total", "Records whose time ran out.").Add({})),
      cut_(counters(*registry_, "wglan_discovery_watchers_cut_total", "Watch streams ended as too slow.")
               .Add({})),
      watchers_(gauge(*registry_, "wglan_discovery_watchers", "Open watch streams.")),
      clusters_(gauge(*registry_, "wglan_discovery_clusters", "Clusters known.")),
      nodes_(gauge(*registry_, "wglan_discovery_nodes", "Records stored.")),
      tombstones_(gauge(*registry_, "wglan_discovery_tombstones", "Withdrawals remembered.")),
      bytes_(gauge(*registry_, "wglan_discovery_stored_bytes",
                   "Memory taken by records and events, estimated.")) {
    BuildGauge()
        .Name("wglan_discovery_build_info")
        .Help("The running version.")
        .Register(*registry_)
        .Add({{"version", kVersion}})
        .Set(1);
    puts_.Add({{"result", "stored"}});
    puts_.Add({{"result", "refreshed"}});
}

void Metrics::request(const std::string& method, unsigned status) {
    requests_.Add({{"method", known_method(method)}, {"code", std::to_string(status)}}).Increment();
}

void Metrics::rejected(const std::string& reason) { rejected_.Add({{"reason", reason}}).Increment(); }

void Metrics::put(PutOutcome::Status status, bool tombstone) {
    using Status = PutOutcome::Status;
    if (status == Status::stored && tombstone) tombstone_writes_.Increment();
    if (status == Status::stored && !tombstone) puts_.Add({{"result", "stored"}}).Increment();
    if (status == Status::refreshed && !tombstone) puts_.Add({{"result", "refreshed"}}).Increment();
}

std::string Metrics::text(const StoreStats& stats) {
    clusters_.Set(static_cast<double>(stats.clusters));
    nodes_.Set(static_cast<double>(stats.nodes));
    tombstones_.Set(static_cast<double>(stats.tombstones));
    bytes_.Set(static_cast<double>(stats.bytes));
    return prometheus::TextSerializer().Serialize(registry_->Collect());
}

}  // namespace wglan::discovery_service
