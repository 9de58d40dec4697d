// SPDX-License-Identifier: Apache-2.0
// The source of Nodes against the API server in the test's process. Ours is node1.
#pragma once

#include <fstream>
#include <set>

#include "agent/discovery/kubernetes/node_annotations.h"
#include "agent/discovery/kubernetes/node_source.h"
#include "fake_api.h"
#include "tests/support/certificates.h"
#include "tests/support/event_loop.h"

namespace wglan::testing {

class NodeSourceTest : public ::testing::Test {
protected:
    NodeSourceTest() {
        std::ofstream(dir / "token") << "secret\n";
        access.server = must(Url::parse("http://127.0.0.1:" + std::to_string(api.port())));
        access.token_file = dir / "token";
        options.access = [this] {
            return readable ? Result<KubeAccess>(access) : fail(ErrorKind::io, "no kubeconfig");
        };
        options.node_name = "node1";
        options.times.backoff_first = Milliseconds{10};
        options.times.backoff_most = Milliseconds{50};
        options.times.silence = Seconds{20};
        options.times.denied_first = options.times.denied_most = Milliseconds{20};
        add(self, false);
    }
    ~NodeSourceTest() override {
        source.reset();
        io.poll();
    }

    json object_of(const Node& node, bool annotated, std::uint64_t sequence = 1) const {
        json object = {{"kind", "Node"},
                       {"metadata", {{"name", node.record.name}, {"uid", "uid-" + node.record.name}}},
                       {"spec", {{"podCIDRs", json::array()}}},
                       {"status", {{"addresses", json::array()}}}};
        for (const auto& prefix : node.record.pod_prefixes)
            object["spec"]["podCIDRs"].push_back(prefix.to_string());
        for (const auto& address : node.record.node_addresses)
            object["status"]["addresses"].push_back(
                {{"type", "InternalIP"}, {"address", address.to_string()}});
        if (!annotated) return object;
        auto record = node.record;
        record.sequence = sequence;
        for (const auto& [name, text] :
             annotate(keys, node.seed.bytes(), record, node.record.name, "uid-" + node.record.name))
            object["metadata"]["annotations"]["wglan.dev/" + name] = text;
        return object;
    }
    void add(const Node& node, bool annotated, std::uint64_t sequence = 1) {
        api.state->put(object_of(node, annotated, sequence));
    }
    void start() {
        auto context = context_for(io, date, self);
        auto seed = std::make_shared<const Secret>(self.seed.clone());
        source = make_node_source(context, seed, options);
        source->start([this](SourceUpdate update) {
            if (update.kind == SourceUpdate::Kind::snapshot) names.clear();
            for (const auto& record : update.records) names.insert(record.record.name);
            if (update.kind == SourceUpdate::Kind::tombstone) withdrawn.push_back(update.tombstone);
            if (update.kind == SourceUpdate::Kind::gone) gone.push_back(update.identity);
            if (update.kind == SourceUpdate::Kind::own_pods) own_pods = true;
            if (update.kind == SourceUpdate::Kind::own_sequence) own_sequence = update.sequence;
            if (update.kind == SourceUpdate::Kind::api_servers) {
                servers = update.api_servers;
                servers_complete = update.api_servers_complete;
            }
            if (update.kind == SourceUpdate::Kind::refused) refused.push_back(update.refused_reason);
        });
    }
    void publish(std::uint64_t sequence) {
        auto record = self.record;
        record.sequence = sequence;
        source->publish({record});
    }
    template <class Done>
    void until(Done done) {
        test::turn_until(io, done);
    }
    void until_synced() {
        until([&] { return source->status().state == SourceState::synced; });
    }
    std::string own(const std::string& name) const {
        const auto& metadata = api.state->nodes.at("node1")["metadata"];
        return metadata.contains("annotations") ? metadata["annotations"].value("wglan.dev/" + name, "") : "";
    }
    void settle() { test::run(io, test::sleep_for(Milliseconds(60))); }

    test::TempDir dir;
    asio::io_context io;
    FixedDate date;
    ClusterKeys keys = cluster_keys();
    Node self{1}, two{2}, three{3};
    FakeApi api{io};
    KubeAccess access;  // what a kubeconfig holds
    bool readable = true;
    NodeSourceOptions options;
    std::unique_ptr<Source> source;
    std::set<std::string> names;
    std::vector<IdentityKey> gone;
    std::vector<Tombstone> withdrawn;
    std::vector<std::string> refused;
    std::uint64_t own_sequence = 0;
    bool own_pods = false;
    std::vector<HostPort> servers;
    bool servers_complete = false;
};

}  // namespace wglan::testing
