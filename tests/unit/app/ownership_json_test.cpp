// SPDX-License-Identifier: Apache-2.0
#include "agent/app/ownership_json.h"

#include <gtest/gtest.h>

#include "tests/support/samples.h"

namespace wglan {
namespace {

using namespace samples;

TEST(OwnershipJson, SurvivesTheRoundTripAndGarbage) {
    Ownership ownership;
    ownership.prefixes[net("10.2.0.0/24")] = key(2);
    ownership.names["node2"] = key(2);
    ownership.keys[key(2)] = identity(2);
    EXPECT_EQ(parse_ownership(ownership_json(ownership)), ownership);
    for (const char* bad :
         {"", "[]", "{\"prefixes\":3}", "{\"prefixes\":{\"x\":\"y\",\"10.0.0.0/8\":7}}", "{"})
        EXPECT_EQ(parse_ownership(bad), Ownership{}) << bad;
    const ClusterMemory cluster{{at("192.0.2.1:6443"), at("[2001:db8::1]:6443")},
                                {{net("10.244.1.0/24"), net("fd00:244:1::/64")}}};
    EXPECT_EQ(parse_cluster(ownership_json(ownership, cluster)), cluster);
    EXPECT_EQ(parse_ownership(ownership_json(ownership, cluster)), ownership);
    for (const char* bad : {"", "7", "{}", R"({"apiServers":7,"ownPods":"x"})",
                            R"({"apiServers":[7,"x","127.0.0.1:1","192.0.2.1:0"]})"})
        EXPECT_EQ(parse_cluster(bad), ClusterMemory{}) << bad;
}

}  // namespace
}  // namespace wglan
