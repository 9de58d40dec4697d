// SPDX-License-Identifier: Apache-2.0
// Makes annotated Kubernetes Nodes that don't exist, for a cluster whose token is in a file:
//
//   bench_nodes TOKENFILE FIRST COUNT SEQUENCE
//
// prints a line a Node, as large as real ones are: with a kubelet's conditions, 50 images and managed fields.
// The same number always has the same keys and UID; a later SEQUENCE announces one prefix more,
// 100.SEQUENCE.x.0/24.
#include <cstdio>
#include <cstdlib>

#include <nlohmann/json.hpp>

#include "agent/discovery/kubernetes/node_annotations.h"
#include "tools/bench/bench_record.h"

namespace wglan {
namespace {

using nlohmann::json;

constexpr int kImages = 50, kLabels = 12;

json images() {
    json all = json::array();
    for (int i = 0; i < kImages; ++i) {
        const auto digest = hex_encode(sha256(bench::bytes_of("image " + std::to_string(i))));
        const std::string name = "registry.example/some/team/some-program-" + std::to_string(i);
        all.push_back({{"names", {name + "@sha256:" + digest, name + ":v1.2." + std::to_string(i)}},
                       {"sizeBytes", 100'000'000 + i}});
    }
    return all;
}

json conditions() {
    json all = json::array();
    for (const char* type : {"MemoryPressure", "DiskPressure", "PIDPressure", "Ready"})
        all.push_back({{"type", type},
                       {"status", "False"},
                       {"reason", std::string("KubeletHas") + type},
                       {"message", "kubelet has what it needs, and says so at some length"},
                       {"lastHeartbeatTime", "2026-01-02T03:04:05Z"},
                       {"lastTransitionTime", "2026-01-02T03:04:05Z"}});
    return all;
}

json node_of(const ClusterKeys& keys, std::uint32_t number, std::uint64_t sequence) {
    Record record = bench::record_of(number, sequence);
    const auto address = bench::must(record.endpoints.front().endpoint()).address;
    record.node_addresses = {address};
    const std::string uid = "5f0e7d1c-0000-4000-8000-" + std::to_string(100'000'000'000U + number);
    json node = {{"kind", "Node"}, {"apiVersion", "v1"}, {"metadata", {{"name", record.name}, {"uid", uid}}}};
    json& metadata = node["metadata"];
    for (const auto& [name, text] : annotate(keys, bench::seed_of(number), record, record.name, uid))
        metadata["annotations"]["wglan.dev/" + name] = text;
    metadata["annotations"]["node.alpha.kubernetes.io/ttl"] = "300";
    for (int i = 0; i < kLabels; ++i)
        metadata["labels"]["example.org/label-" + std::to_string(i)] = "value-" + std::to_string(i);
    metadata["labels"]["kubernetes.io/hostname"] = record.name;
    metadata["managedFields"] = json::array();
    for (const char* manager : {"kubelet", "kube-controller-manager", "wglan-agent"})
        metadata["managedFields"].push_back(
            {{"manager", manager}, {"operation", "Update"}, {"fieldsV1", {{"f:status", conditions()}}}});
    const auto cidr = record.pod_prefixes.front().to_string();
    node["spec"] = {{"podCIDR", cidr}, {"podCIDRs", {cidr}}};
    node["status"] = {{"addresses", {{{"type", "InternalIP"}, {"address", address.to_string()}}}},
                      {"conditions", conditions()},
                      {"images", images()},
                      {"capacity", {{"cpu", "64"}, {"memory", "263000000Ki"}, {"pods", "110"}}}};
    return node;
}

void print_node(const ClusterKeys& keys, std::uint32_t number, std::uint64_t sequence) {
    std::printf("%s\n", node_of(keys, number, sequence).dump().c_str());
}

}  // namespace
}  // namespace wglan

int main(int count, char** arguments) {
    return wglan::bench::run("bench_nodes", count, arguments, wglan::print_node);
}
