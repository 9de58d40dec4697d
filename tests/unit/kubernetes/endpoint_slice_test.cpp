// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/kubernetes/endpoint_slice.h"

#include <gmock/gmock.h>

#include "tests/unit/discovery/fixture.h"

namespace wglan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Endpoint at(const char* text) { return must(Endpoint::parse(text)); }

constexpr const char* kList = R"({"kind":"EndpointSliceList","apiVersion":"discovery.k8s.io/v1",
  "metadata":{"resourceVersion":"77"},"items":[{"metadata":{"name":"kubernetes","managedFields":[{}]},
  "addressType":"IPv4","endpoints":[{"addresses":["192.0.2.3"],"conditions":{"ready":true}},
    {"addresses":["192.0.2.1","192.0.2.2"],"conditions":{"ready":false}},{"addresses":null}],
  "ports":[{"name":"https","port":6443,"protocol":"TCP"},{"port":53,"protocol":"UDP"},{"name":"all","port":null}]},
  {"addressType":"IPv6","endpoints":[{"addresses":["2001:db8::1"]}],"ports":[{"port":6443}]},
  {"addressType":"FQDN","endpoints":[{"addresses":["api.example"]}],"ports":[{"port":6443}]},
  {"endpoints":null,"ports":null}]})";

TEST(EndpointSlice, ServersAreAddressesWithTcpPorts) {
    const auto list = must(parse_slice_list(kList));
    EXPECT_EQ(list.resource_version, "77");
    EXPECT_THAT(list.servers, ElementsAre(at("192.0.2.1:6443"), at("192.0.2.2:6443"), at("192.0.2.3:6443"),
                                          at("[2001:db8::1]:6443")));
}

TEST(EndpointSlice, WhatNobodyCanCallIsLeftOut) {
    const auto list = must(parse_slice_list(
        R"({"kind":"EndpointSliceList","metadata":{"resourceVersion":"1"},"items":[{"endpoints":
        [{"addresses":["127.0.0.1","0.0.0.0","224.0.0.1","fe80::1","::"]}],"ports":[{"port":6443}]}]})"));
    EXPECT_THAT(list.servers, IsEmpty());
}

TEST(EndpointSlice, BadListsAreRefused) {
    std::string many =
        R"({"kind":"EndpointSliceList","metadata":{"resourceVersion":"1"},"items":[{"endpoints":[)";
    for (int i = 1; i <= 65; ++i)
        many += (i > 1 ? "," : "") + std::string(R"({"addresses":["192.0.2.)") + std::to_string(i) + "\"]}";
    many += R"(],"ports":[{"port":6443}]}]})";
    for (const std::string& bad :
         {std::string("[]"), std::string(R"({"kind":"NodeList","metadata":{"resourceVersion":"1"}})"),
          std::string(R"({"kind":"EndpointSliceList","items":[]})"),
          std::string(R"({"kind":"EndpointSliceList","metadata":{"resourceVersion":"1"},"items":[7]})"),
          std::string(R"({"kind":"EndpointSliceList","metadata":{"resourceVersion":"1"},
                          "items":[{"ports":[{"port":70000}]}]})"),
          many})
        EXPECT_FALSE(parse_slice_list(bad)) << bad;
}

TEST(EndpointSlice, EventsTellWhatChanged) {
    const auto put = must(parse_slice_event(
        R"({"type":"MODIFIED","object":{"metadata":{"resourceVersion":"9"},
        "endpoints":[{"addresses":["192.0.2.9"]}],"ports":[{"port":443}]}})"));
    EXPECT_EQ(put.kind, SliceEvent::Kind::put);
    EXPECT_EQ(put.resource_version, "9");
    EXPECT_THAT(put.servers, ElementsAre(at("192.0.2.9:443")));
    EXPECT_EQ(
        must(parse_slice_event(R"({"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}})")).kind,
        SliceEvent::Kind::bookmark);
    EXPECT_EQ(
        must(parse_slice_event(R"({"type":"DELETED","object":{"metadata":{"resourceVersion":"9"}}})")).kind,
        SliceEvent::Kind::removed);
    const auto gone =
        must(parse_slice_event(R"({"type":"ERROR","object":{"code":410,"message":"too old"}})"));
    EXPECT_EQ(gone.kind, SliceEvent::Kind::error);
    EXPECT_EQ(gone.code, 410U);
    for (const char* bad : {"{}", R"({"type":"ADDED","object":{}})", R"({"type":"NEWS","object":
                            {"metadata":{"resourceVersion":"9"}}})",
                            "nonsense"})
        EXPECT_FALSE(parse_slice_event(bad)) << bad;
}

}  // namespace
}  // namespace wglan::testing
