// SPDX-License-Identifier: Apache-2.0
// What is left out where the tables have no room.
#include "tests/unit/app/desired_fixture.h"

namespace wglan {
namespace {

TEST_F(DesiredTest, SaysBeforeTheTablesAreFullAndLeavesOutWhatHasNoRoom) {
    handshake();
    config.bpf.max_routes = 1024;
    const auto add = [&](int first, int end) {
        for (int i = first; i < end; ++i)
            peers[0].prefixes.push_back(
                {net("10." + std::to_string(i / 256) + "." + std::to_string(i % 256) + ".0/24"),
                 PrefixClass::extra, "service:a"});
    };
    add(0, 700);
    EXPECT_TRUE(capacity_warnings(build(), config).empty());
    add(700, 900);
    auto warnings = capacity_warnings(build(), config);
    ASSERT_EQ(warnings.size(), 1U);
    EXPECT_NE(warnings[0].find("IPv4 prefixes is more than 80 % full (1024 entries); bpf.maxRoutes"),
              std::string::npos)
        << warnings[0];
    add(900, 1200);
    const Desired wanted = build();
    EXPECT_LE(wanted.steer_routes.size(), 1024U);
    EXPECT_EQ(wanted.left_out, 1202U - 958U) << "two prefixes were there before, and two addresses pass";
    EXPECT_TRUE(wanted.routes.contains({net("10.4.175.0/24"), RouteType::unicast}));
    EXPECT_EQ(capacity_warnings(wanted, config).size(), 2U);
}

TEST_F(DesiredTest, PodsWithoutRoomGoByTheStack) {
    config.steering.direct = true;
    const auto add = [&](int first, int end) {
        for (int i = first; i < end; ++i) facts.pods.devices.emplace(i, PodDevice{i, "veth", {}, {}});
    };
    add(10, 13000);
    EXPECT_TRUE(capacity_warnings(build(), config).empty());
    add(13000, 14000);
    ASSERT_EQ(capacity_warnings(build(), config).size(), 1U);
    EXPECT_NE(capacity_warnings(build(), config)[0].find("pods' devices is more than 80 % full"),
              std::string::npos);
    add(14000, 20000);
    EXPECT_EQ(build().pods.devices.size(), kMaxPods);
}

// kube-proxy keeps every Service's address on a device of the host.
TEST_F(DesiredTest, ThousandsOfOwnAddressesTakeNobodysPrefixesAway) {
    handshake();
    config.bpf.max_routes = 1024;
    for (int i = 0; i < 3000; ++i)
        facts.all_addresses.push_back(ip("10.96." + std::to_string(i / 256) + "." + std::to_string(i % 256)));
    for (int i = 0; i < 500; ++i)
        peers[0].prefixes.push_back(
            {net("10.0." + std::to_string(i / 2) + (i % 2 == 0 ? ".0/25" : ".128/25")), PrefixClass::extra,
             "a"});
    const Desired wanted = build();
    EXPECT_EQ(wanted.left_out, 0U);
    EXPECT_LE(wanted.steer_routes.size(), 965U);
    for (const OwnedPrefix& owned : peers[0].prefixes)
        EXPECT_TRUE(wanted.steer_routes.contains(owned.prefix));
    EXPECT_EQ(wanted.steer_routes.at(net("192.0.2.1/32")).action, SteerAction::pass);
}

TEST_F(DesiredTest, ManyNetworksOfOnePeerTakeNobodysNodeOrPodsAway) {
    handshake();
    config.bpf.max_routes = 1024;
    // Before the others, as it comes first.
    for (int i = 0; i < 1200; ++i)
        peers[0].prefixes.insert(peers[0].prefixes.begin(), {net("10." + std::to_string(i / 256) + "." +
                                                                 std::to_string(i % 256) + ".0/24"),
                                                             PrefixClass::extra, "service:a"});
    std::size_t extra = 0;
    const Desired wanted = build();
    for (const OwnedPrefix& owned : peers[0].prefixes)
        if (owned.cls == PrefixClass::extra)
            extra += wanted.steer_routes.contains(owned.prefix) ? 1 : 0;
        else
            EXPECT_TRUE(wanted.steer_routes.contains(owned.prefix)) << owned.prefix.to_string();
    EXPECT_EQ(extra + 2, 958U) << "an address of this host, and a gateway, pass";
}

TEST_F(DesiredTest, LeavesOutEndpointsThatHaveNoRoom) {
    handshake();
    const auto named = [&](int count) {
        peers[0].candidates.clear();
        for (int i = 0; i < count; ++i)
            peers[0].candidates.push_back(
                {where(IpAddress::from_bytes(std::array<std::uint8_t, 4>{198, 18,
                                                                         static_cast<std::uint8_t>(i / 256),
                                                                         static_cast<std::uint8_t>(i % 256)})
                           .value()
                           .to_string() +
                       ":51820"),
                 CandidateSource::announced});
    };
    named(50'000);
    EXPECT_TRUE(capacity_warnings(build(), config).empty());
    named(55'000);
    EXPECT_EQ(capacity_warnings(build(), config).size(), 1U);
    named(65'000);
    const Desired wanted = build();
    EXPECT_EQ(wanted.steer_endpoints.size() + wanted.endpoints_left_out, 65'001U);
    EXPECT_LT(wanted.steer_endpoints.size(), kMaxSteerEndpoints);
    EXPECT_TRUE(wanted.steer_endpoints.contains({SteerEndpoint::Kind::outer, at("192.0.2.2:51820"), 17}))
        << "the one in use comes first";
    EXPECT_EQ(capacity_warnings(wanted, config).size(), 2U);
}

}  // namespace
}  // namespace wglan
