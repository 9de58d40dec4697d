// SPDX-License-Identifier: Apache-2.0
// deps: wglan_kubernetes_objects
// What the Kubernetes API sends, and annotations behind a right signature: nothing crashes, and a record that
// is read is one that could be published.
#include <cstdlib>

#include "agent/discovery/kubernetes/endpoint_slice.h"
#include "agent/discovery/kubernetes/node_cache.h"
#include "agent/discovery/record_rules.h"

namespace {

constexpr const char* kPrefix = "wglan.dev";

const wglan::ClusterKeys& keys() {
    static const auto kKeys = [] {
        const std::string token = "a token for the fuzzer only";
        return wglan::ClusterKeys::derive(wglan::as_bytes(token), std::string(64, 'a')).value();
    }();
    return kKeys;
}

void read_as_member(wglan::KubeNode node) {
    using namespace wglan;
    const std::array<std::uint8_t, 32> seed{1};
    node.annotations["identity"] = to_string(identity_of(seed).value());
    node.annotations["signature"] =
        sign_annotations(keys(), seed, node.annotations, node.name, node.uid, 1767225600);
    // The cache keeps what it is given, but for annotations of others.
    const auto cached = read_cached_node(keys(), cached_node(keys(), node));
    if (cached && cached->pod_cidrs != node.pod_cidrs) std::abort();
    const auto record = read_annotations(keys(), node);
    if (!record) return;
    const auto remembered = cached ? read_annotations(keys(), *cached) : record;
    if (!cached || !remembered || *remembered != *record) std::abort();
    const auto again = normalise_record(*record);
    if (!again || *again != *record) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace wglan;
    if (!init_crypto()) std::abort();
    const auto text = as_text({data, size});
    (void)status_message(text);
    (void)parse_slice_list(text);
    (void)parse_slice_event(text);
    (void)read_cached_node(keys(), text);
    if (const auto node = parse_node(text, kPrefix)) {
        (void)read_annotations(keys(), *node);
        read_as_member(*node);
    }
    if (const auto list = parse_node_list(text, kPrefix))
        for (const KubeNode& node : list->nodes) read_as_member(node);
    if (const auto event = parse_node_event(text, kPrefix); event && event->refused.empty())
        read_as_member(event->node);
    return 0;
}
