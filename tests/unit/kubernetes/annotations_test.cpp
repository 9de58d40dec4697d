// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "agent/discovery/kubernetes/node_annotations.h"
#include "tests/unit/discovery/fixture.h"

namespace wglan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class AnnotationsTest : public ::testing::Test {
protected:
    AnnotationsTest() {
        self.record.name = "node1";
        self.record.sequence = 7;
        self.record.prefixes = {must(Prefix::parse("10.9.0.0/16"))};
        self.record.observed[to_string(Node(2).record.public_key)] =
            must(Endpoint::parse("198.51.100.7:4001"));
        self.record.observed[to_string(Node(3).record.public_key)] =
            must(Endpoint::parse("[2001:db8::3]:51820"));
        node.name = "node1";
        node.uid = "uid-1";
        node.pod_cidrs = self.record.pod_prefixes;
        node.addresses = self.record.node_addresses;
        node.labels = self.record.labels;
        sign();
    }
    void sign() { node.annotations = annotate(keys, self.seed.bytes(), self.record, node.name, node.uid); }
    Result<Record> read() { return read_annotations(keys, node); }

    ClusterKeys keys = cluster_keys();
    Node self{1};
    KubeNode node;
};

TEST_F(AnnotationsTest, RoundTrip) {
    EXPECT_EQ(must(read()), self.record);
    EXPECT_EQ(node.annotations.at("prefixes"), "10.9.0.0/16,10.244.1.0/24,192.0.2.1/32");
    EXPECT_EQ(node.annotations.at("endpoints"), "192.0.2.1:51820");
    EXPECT_EQ(node.annotations.at("sequence"), "7");
    EXPECT_EQ(node.annotations, annotate(keys, self.seed.bytes(), self.record, "node1", "uid-1"));
}

TEST_F(AnnotationsTest, SomebodyElsesBelowThePrefixDoNotMatter) {
    node.annotations["note"] = "rack 7";
    EXPECT_EQ(must(read()), self.record);
}

TEST_F(AnnotationsTest, NoneAreNoPeer) {
    node.annotations = {{"note", "rack 7"}};
    EXPECT_EQ(read().error().kind(), ErrorKind::not_found);
}

TEST_F(AnnotationsTest, AnyChangeIsFound) {
    const auto signed_ones = node.annotations;
    for (const auto& [name, text] : signed_ones) {
        if (name == "signature") continue;
        node.annotations = signed_ones;
        node.annotations.erase(name);
        EXPECT_FALSE(read()) << "without " << name;
        node.annotations = signed_ones;
        node.annotations[name] += name == "sequence" ? "0" : ",";
        EXPECT_FALSE(read()) << name;
    }
    const auto& whole = signed_ones.at("signature");
    for (std::size_t i = 0; i < whole.size(); ++i) {
        node.annotations = signed_ones;
        auto& text = node.annotations["signature"];
        text[i] = text[i] == 'A' ? 'B' : 'A';
        EXPECT_FALSE(read()) << i;
        node.annotations["signature"] = whole.substr(0, i);
        EXPECT_FALSE(read()) << i;
    }
}

TEST_F(AnnotationsTest, HoldForOneNodeOfOneCluster) {
    const auto elsewhere = [&](auto change) {
        const KubeNode before = node;
        change();
        const auto result = read();
        node = before;
        return result ? ErrorKind::io : result.error().kind();
    };
    EXPECT_EQ(elsewhere([&] { node.name = "node2"; }), ErrorKind::permission);
    EXPECT_EQ(elsewhere([&] { node.uid = "uid-2"; }), ErrorKind::permission);
    const auto other = cluster_keys("another token, of 32 characters ");
    EXPECT_EQ(read_annotations(other, node).error().kind(), ErrorKind::permission);
    // Somebody with the token signs for another's identity.
    EXPECT_EQ(elsewhere([&] {
                  node.annotations = annotate(keys, Node(2).seed.bytes(), self.record, node.name, node.uid);
              }),
              ErrorKind::permission);
}

TEST_F(AnnotationsTest, LengthsKeepTextsApart) {
    self.record.observed.clear();
    sign();
    // The same bytes, cut at another place, are another text.
    node.annotations["endpoints"] += ",10.9.0.0/16";
    node.annotations["prefixes"] = "10.244.1.0/24,192.0.2.1/32";
    EXPECT_EQ(read().error().kind(), ErrorKind::permission);
}

TEST_F(AnnotationsTest, WhatTheNodeDoesNotConfirmIsNeitherItsPodsNorItsAddress) {
    node.pod_cidrs.clear();
    node.addresses = {must(IpAddress::parse("203.0.113.9"))};  // a load balancer's, which nobody signed
    const auto record = must(read());
    EXPECT_TRUE(record.pod_prefixes.empty());
    EXPECT_TRUE(record.node_addresses.empty());
    EXPECT_EQ(record.prefixes.size(), 3U);
}

TEST_F(AnnotationsTest, HostileTextsOfAMemberAreNamed) {
    const auto with = [&](const char* name, std::string text) {
        // Signed as it should be, by somebody who has the token.
        sign();
        node.annotations[name] = std::move(text);
        node.annotations["signature"] =
            sign_annotations(keys, self.seed.bytes(), node.annotations, node.name, node.uid, kNow);
        return message(read());
    };
    EXPECT_THAT(with("public-key", "x"), HasSubstr("annotation public-key"));
    EXPECT_THAT(with("address", "192.0.2.1"), HasSubstr("address"));
    EXPECT_THAT(with("endpoints", "192.0.2.1"), HasSubstr("annotation endpoints"));
    EXPECT_THAT(with("prefixes", "10.0.0.0/8,,"), HasSubstr("annotation prefixes"));
    EXPECT_THAT(with("prefixes", "127.0.0.0/8"), HasSubstr("never leaves"));
    EXPECT_THAT(with("observed", "x"), HasSubstr("annotation observed"));
    EXPECT_THAT(with("observed", "x=192.0.2.1:1"), HasSubstr("observed"));
    EXPECT_THAT(with("sequence", "07"), HasSubstr("annotation sequence"));
    EXPECT_THAT(with("sequence", "9007199254740992"), HasSubstr("annotation sequence"));
    std::string many;
    for (int i = 0; i < 2000; ++i) many += "10.0.0.1:" + std::to_string(i + 1) + ",";
    EXPECT_THAT(with("endpoints", many), HasSubstr("too many"));
    EXPECT_EQ(with("endpoints", ""), "");
}

}  // namespace
}  // namespace wglan::testing
