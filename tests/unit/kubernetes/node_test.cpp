// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/kubernetes/node.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "agent/discovery/record_codec.h"
#include "tests/unit/discovery/fixture.h"

namespace wglan::testing {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kPrefix = "wglan.dev";

// As kube-apiserver 1.36 writes one, cut down.
json node_json(const std::string& name = "node-a") {
    return json::parse(R"({
      "kind": "Node", "apiVersion": "v1",
      "metadata": {
        "name": ")" + name +
                       R"(", "uid": "6f1c2a52-7a3e-4c1c-9d2e-1f1a2b3c4d5e", "resourceVersion": "1234",
        "creationTimestamp": "2026-11-01T00:00:00Z",
        "labels": {"kubernetes.io/hostname": "node-a", "topology.kubernetes.io/zone": "fra1"},
        "annotations": {"node.alpha.kubernetes.io/ttl": "0", "wglan.dev/public-key": "k", "wglan.dev/sequence": "7",
                        "wglan.development/public-key": "x", "wglan.dev/": "y", "wglan.dev": "z"},
        "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:metadata": {}}}]
      },
      "spec": {"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24", "fd00:244:1::/64"], "taints": null},
      "status": {
        "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}, {"type": "Hostname", "address": "node-a"},
                      {"type": "ExternalIP", "address": "203.0.113.9"}, {"type": "InternalIP", "address": "2001:db8::1"},
                      {"type": "ExternalIP", "address": ""}],
        "images": [{"names": ["registry.example/x@sha256:0"], "sizeBytes": 1}]
      }})");
}

std::vector<std::string> texts(const auto& items) {
    std::vector<std::string> out;
    for (const auto& item : items) out.push_back(item.to_string());
    return out;
}

TEST(KubeNode, IsReadFromTheApi) {
    const auto node = must(parse_node(node_json().dump(), kPrefix));
    EXPECT_EQ(node.name, "node-a");
    EXPECT_EQ(node.uid, "6f1c2a52-7a3e-4c1c-9d2e-1f1a2b3c4d5e");
    EXPECT_EQ(node.resource_version, "1234");
    EXPECT_THAT(texts(node.pod_cidrs), ElementsAre("10.244.1.0/24", "fd00:244:1::/64"));
    EXPECT_THAT(texts(node.addresses), ElementsAre("192.0.2.1", "203.0.113.9", "2001:db8::1"));
    EXPECT_EQ(node.labels.at("topology.kubernetes.io/zone"), "fra1");
    EXPECT_EQ(node.annotations, (Annotations{{"public-key", "k"}, {"sequence", "7"}}));
}

TEST(KubeNode, MayBeBare) {
    auto bare = json{{"kind", "Node"}, {"metadata", {{"name", "a"}, {"labels", nullptr}}}, {"spec", nullptr}};
    const auto node = must(parse_node(bare.dump(), kPrefix));
    EXPECT_THAT(node.pod_cidrs, IsEmpty());
    EXPECT_THAT(node.annotations, IsEmpty());
    bare["spec"] = {{"podCIDR", "10.0.0.0/24"}};
    EXPECT_THAT(texts(must(parse_node(bare.dump(), kPrefix)).pod_cidrs), ElementsAre("10.0.0.0/24"));
}

// The API checks little of all this, and Nodes are written by many.
TEST(KubeNode, OneBadEntryCostsNoOther) {
    auto object = node_json();
    object["spec"]["podCIDRs"] = {"10.244.1.7/24",  "nonsense", "10.0.0.0/33", "::ffff:10.0.0.0/112",
                                  "10.244.1.0/24",  "10.0.0.1", "/24",         "fd00:244:1::5/64",
                                  "10.244.1.0/24 ", "",         "010.0.0.0/8", "10.0.0.0/-1"};
    auto addresses = json::array({{{"type", "InternalIP"}, {"address", std::string(5000, 'x')}},
                                  {{"type", 7}, {"address", "192.0.2.77"}},
                                  {{"type", "InternalIP"}, {"address", "::ffff:192.0.2.9"}},
                                  {{"type", "InternalIP"}, {"address", "fe80::1%eth0"}},
                                  {{"type", "InternalDNS"}, {"address", "192.0.2.78"}},
                                  {{"type", "InternalIP"}}});
    for (int i = 0; i < 300; ++i)
        addresses.push_back(
            {{"type", "InternalIP"},
             {"address", "10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1)}});
    addresses.push_back(addresses[6]);
    object["status"]["addresses"] = addresses;
    for (int i = 0; i < 400; ++i)
        object["status"]["conditions"].push_back({{"type", "T" + std::to_string(i)}, {"status", 7}});
    object["status"]["conditions"].push_back({{"type", "WglanReady"}, {"status", "True"}});
    for (int i = 0; i < 100; ++i)
        object["metadata"]["annotations"]["wglan.dev/a" + std::to_string(i)] = std::string(2000, 'x');
    const auto node = must(parse_node(object.dump(), kPrefix));
    EXPECT_THAT(texts(node.pod_cidrs), ElementsAre("10.244.1.0/24", "fd00:244:1::/64"));
    EXPECT_EQ(node.addresses.size(), 64U);
    EXPECT_EQ(node.addresses[0].to_string(), "10.1.0.1");
    ASSERT_TRUE(node.condition);
    EXPECT_EQ(node.condition->status, "True");
    EXPECT_EQ(node.annotations, (Annotations{{"public-key", "k"}, {"sequence", "7"}}));
}

TEST(KubeNode, KeepsTheLabelsThatPlaceIt) {
    auto object = node_json();
    for (int i = 0; i < 500; ++i)
        object["metadata"]["labels"]["feature.example/" + std::to_string(i)] = "true";
    const auto node = must(parse_node(object.dump(), kPrefix));
    EXPECT_EQ(node.labels.size(), kMaxLabels);
    EXPECT_TRUE(node.labels.contains("topology.kubernetes.io/zone"));
}

TEST(KubeNode, IsRefusedWithTheFieldNamed) {
    const auto with = [](const char* where, const json& value) {
        auto object = node_json();
        object[json::json_pointer(where)] = value;
        return message(parse_node(object.dump(), kPrefix));
    };
    EXPECT_THAT(with("/kind", "Pod"), HasSubstr("sent \"Pod\" where a Node"));
    EXPECT_THAT(with("/metadata", 7), HasSubstr("metadata"));
    EXPECT_THAT(with("/metadata/name", 7), HasSubstr("name"));
    EXPECT_THAT(with("/metadata/uid", 7), HasSubstr("Node \"node-a\": \"uid\""));
    EXPECT_THAT(with("/spec/podCIDRs/0", 7), HasSubstr("podCIDRs"));
    EXPECT_THAT(with("/spec/podCIDRs", "10.0.0.0/24"), HasSubstr("podCIDRs"));
    EXPECT_THAT(with("/status/addresses/0", 7), HasSubstr("addresses"));
    EXPECT_THAT(with("/metadata/labels/x", 7), HasSubstr("labels"));
    EXPECT_THAT(with("/metadata/annotations/wglan.dev~1address", 7), HasSubstr("annotations"));
    EXPECT_THAT(with("/metadata/annotations/wglan.dev~1address", std::string(300'000, 'x')),
                HasSubstr("too much"));
    EXPECT_EQ(with("/metadata/annotations/other", 7), "");
    EXPECT_EQ(with("/metadata/annotations/wglan.dev~1note", 7), "");
    EXPECT_THAT(message(parse_node("{", kPrefix)), HasSubstr("not JSON"));
    EXPECT_THAT(message(parse_node("[]", kPrefix)), HasSubstr("not a JSON object"));
    EXPECT_THAT(message(parse_node(std::string(100, '['), kPrefix)), HasSubstr("too deep"));
}

TEST(KubeNodeList, ComesInPagesAndOneBadNodeSpoilsNoOther) {
    auto bad = node_json("node-b");
    bad["spec"]["podCIDRs"] = {7};
    json page = {{"kind", "NodeList"},
                 {"metadata", {{"resourceVersion", "99"}, {"continue", "abc"}, {"remainingItemCount", 3}}},
                 {"items", {node_json(), bad, 7}}};
    for (auto& item : page["items"])
        if (item.is_object()) item.erase("kind");  // the API leaves it out here
    auto list = must(parse_node_list(page.dump(), kPrefix));
    ASSERT_EQ(list.nodes.size(), 1U);
    ASSERT_EQ(list.refused.size(), 2U);
    EXPECT_EQ(list.refused[0].name, "node-b");
    EXPECT_THAT(list.refused[0].why, HasSubstr("node-b"));
    EXPECT_EQ(list.refused[1].name, "");
    EXPECT_THAT(list.refused[1].why, HasSubstr("no object"));
    EXPECT_EQ(list.next, "abc");
    EXPECT_EQ(list.resource_version, "99");
    page["metadata"].erase("continue");
    page["items"] = nullptr;  // what Go writes for an empty one
    list = must(parse_node_list(page.dump(), kPrefix));
    EXPECT_EQ(list.next, "");
    EXPECT_THAT(list.nodes, IsEmpty());
    page["metadata"].erase("resourceVersion");
    EXPECT_FALSE(parse_node_list(page.dump(), kPrefix));
}

TEST(KubeEventTest, TellsWhatHappened) {
    const auto event = [](const char* type, const json& object) {
        return parse_node_event(json{{"type", type}, {"object", object}}.dump(), kPrefix);
    };
    for (const char* type : {"ADDED", "MODIFIED"}) {
        const auto put = must(event(type, node_json()));
        EXPECT_EQ(put.kind, KubeEvent::Kind::put);
        EXPECT_EQ(put.node.name, "node-a");
        EXPECT_EQ(put.resource_version, "1234");
    }
    EXPECT_EQ(must(event("DELETED", node_json())).kind, KubeEvent::Kind::removed);
    const auto bookmark =
        must(event("BOOKMARK", {{"kind", "Node"}, {"metadata", {{"resourceVersion", "77"}}}}));
    EXPECT_EQ(bookmark.kind, KubeEvent::Kind::bookmark);
    EXPECT_EQ(bookmark.resource_version, "77");
    const auto gone = must(event("ERROR", {{"kind", "Status"},
                                           {"code", 410},
                                           {"reason", "Expired"},
                                           {"message", "too old resource version: 1 (99)\n"}}));
    EXPECT_EQ(gone.kind, KubeEvent::Kind::error);
    EXPECT_EQ(gone.code, 410U);
    EXPECT_THAT(gone.message, HasSubstr("too old resource version"));
    EXPECT_EQ(gone.message.find('\n'), std::string::npos);

    auto spoilt = node_json();
    spoilt["metadata"]["annotations"]["wglan.dev/address"] = std::string(300'000, 'x');
    const auto refused = must(event("MODIFIED", spoilt));
    EXPECT_EQ(refused.node.name, "node-a");
    EXPECT_EQ(refused.resource_version, "1234");
    EXPECT_THAT(refused.refused, HasSubstr("too much"));

    EXPECT_FALSE(event("RENAMED", node_json()));
    EXPECT_FALSE(event("BOOKMARK", json::object()));
    EXPECT_FALSE(event("ADDED", 7));
    EXPECT_FALSE(parse_node_event("", kPrefix));
}

TEST(KubeStatus, GivesItsMessage) {
    EXPECT_EQ(status_message(R"({"kind":"Status","message":"nodes \"x\" not found"})"),
              "\"nodes \\\"x\\\" not found\"");
    EXPECT_EQ(status_message("<html>"), "");
    EXPECT_EQ(status_message(R"({"kind":"Node"})"), "");
}

}  // namespace
}  // namespace wglan::testing
