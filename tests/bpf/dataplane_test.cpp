// SPDX-License-Identifier: Apache-2.0
// The whole Dataplane against this kernel: attach, forward, adopt, take over, clean up.
#include "agent/dataplane/dataplane.h"

#include <net/if.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>

#include "agent/dataplane/bpffs.h"
#include "maps/names.h"
#include "maps/table.h"
#include "maps/wglan_maps.h"
#include "tests/bpf/dataplane_fixture.h"

namespace wglan::test {

TEST_P(DataplaneTest, SteersPacketsIntoTheTunnel) {
    auto plane = loaded();
    EXPECT_FALSE(plane->adopted());
    fill(*plane);
    attach(*plane);
    EXPECT_TRUE(steers());
    const auto counters = plane->counters();
    ASSERT_TRUE(counters);
    EXPECT_EQ(counters->steered4, 1U);
    const auto peer = plane->peer_counters(kPeer);
    ASSERT_TRUE(peer);
    EXPECT_EQ(peer->tx_packets, 1U);
    EXPECT_FALSE(plane->peer_counters(kPeer + 1));

    const auto kind = GetParam() ? Attachment::Kind::clsact : Attachment::Kind::tcx;
    const std::vector<Attachment> expected = {
        {uplink_, "uplink", Attachment::Hook::tc_egress, kind, "wglan_egress"},
        {tunnel_->ifindex(), "tunnel", Attachment::Hook::tc_egress, kind, "wglan_tun_out"},
        {tunnel_->ifindex(), "tunnel", Attachment::Hook::tc_ingress, kind, from_tunnel()}};
    EXPECT_EQ(attachments(*plane), expected);
}

TEST_P(DataplaneTest, AChangedRouteCountsAtOnceWhateverWasKept) {
    auto plane = loaded();
    fill(*plane);
    attach(*plane);
    EXPECT_TRUE(steers());
    EXPECT_FALSE(steers("10.2.0.1"));  // known as a miss
    ASSERT_EQ(text_of(plane->put_routes({route("10.2.0.0/16")})), "");
    EXPECT_TRUE(steers("10.2.0.1"));
    ASSERT_EQ(text_of(plane->heartbeat()), "");
    ASSERT_EQ(text_of(plane->set_config(config())), "");
    EXPECT_TRUE(steers("10.2.0.1"));
    ASSERT_EQ(text_of(plane->remove_routes({prefix("10.2.0.0/16")})), "");
    EXPECT_FALSE(steers("10.2.0.1"));
    EXPECT_TRUE(steers());
}

TEST_P(DataplaneTest, ReplaysADecisionWithoutATrace) {
    auto plane = loaded();
    fill(*plane);
    const auto ask = [&](const char* destination, std::uint32_t mark = 0) {
        const auto to = IpAddress::parse(destination).value();
        const auto from = IpAddress::parse(to.is_v4() ? "192.0.2.1" : "2001:db8::1").value();
        auto said = plane->replay({from, to, 6, 40000, 443, mark});
        EXPECT_TRUE(said) << (said ? "" : said.error().message());
        return said.value_or(ReplayVerdict::pass);
    };
    EXPECT_EQ(ask("10.1.2.3"), ReplayVerdict::steer);
    EXPECT_EQ(ask("10.1.2.3", 0x10), ReplayVerdict::pass);
    EXPECT_EQ(ask("10.2.2.3"), ReplayVerdict::pass);
    ASSERT_EQ(text_of(plane->put_routes({route("10.2.0.0/16"), route("fd01::/32")})), "");
    EXPECT_EQ(ask("10.2.2.3"), ReplayVerdict::steer);
    EXPECT_EQ(ask("fd01::9"), ReplayVerdict::steer);
    ASSERT_EQ(text_of(plane->put_peers({peer(PeerState::down)})), "");
    EXPECT_EQ(ask("10.1.2.3"), ReplayVerdict::drop);
    ASSERT_EQ(text_of(plane->remove_routes({prefix("10.1.0.0/16")})), "");
    EXPECT_EQ(ask("10.1.2.3"), ReplayVerdict::pass);
    const auto counters = plane->counters();
    ASSERT_TRUE(counters);
    EXPECT_EQ(counters->steered4 + counters->steered6 + counters->passed, 0U);
    for (const auto& [reason, count] : counters->dropped) EXPECT_EQ(count, 0U) << reason;
    const auto hits = plane->route_hits();
    ASSERT_TRUE(hits);
    for (const auto& [route, count] : *hits) EXPECT_EQ(count, 0U) << route.to_string();
}

TEST_P(DataplaneTest, StateIsWhatWasWritten) {
    auto plane = loaded();
    fill(*plane);
    const SteerEndpoint outer{SteerEndpoint::Kind::outer, Endpoint::parse("198.51.100.7:51820").value(), 17};
    const SteerEndpoint reach{SteerEndpoint::Kind::reach, Endpoint::parse("[2001:db8::9]:6443").value(), 6};
    ASSERT_TRUE(plane->put_endpoints({reach, outer}));
    std::vector<SteerRoute> many;
    for (unsigned i = 0; i < 600; ++i)
        many.push_back(
            {Prefix::make(
                 IpAddress::v4({10, 2, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i)}), 32)
                 .value(),
             SteerAction::pass, 0, static_cast<std::uint16_t>(i)});
    many.push_back({prefix("fd01::/48"), SteerAction::steer, kPeer, 1280});
    ASSERT_TRUE(plane->put_routes(many));

    auto state = plane->state();
    ASSERT_TRUE(state);
    EXPECT_EQ(state->routes.size(), 602U);
    for (const SteerRoute& one : many) EXPECT_EQ(state->routes.at(one.prefix), one);
    EXPECT_EQ(state->peers.at(kPeer), peer());
    EXPECT_EQ(state->endpoints, (std::vector{outer, reach}));
    EXPECT_EQ(state->config, config());
    ASSERT_TRUE(plane->heartbeat());
    EXPECT_EQ(plane->state()->config, config());

    ASSERT_TRUE(plane->remove_routes({many.front().prefix, many.back().prefix, many.back().prefix}));
    ASSERT_TRUE(plane->remove_endpoints({outer, reach}));
    ASSERT_TRUE(plane->remove_peers({kPeer, 99}));
    state = plane->state();
    EXPECT_EQ(state->routes.size(), 600U);
    EXPECT_TRUE(state->endpoints.empty());
    EXPECT_TRUE(state->peers.empty());
}

TEST_P(DataplaneTest, SeesEntriesThatSomebodyDeletedOrChanged) {
    auto plane = loaded();
    fill(*plane);
    const SteerRoute route4 = route("10.1.0.0/16"), route6 = route("2001:db8:1::/48");
    const SteerEndpoint outer{SteerEndpoint::Kind::outer, {IpAddress::parse("192.0.2.9").value(), 51820}, 17},
        reach{SteerEndpoint::Kind::reach, {IpAddress::parse("192.0.2.9").value(), 443}, 6};
    const SteerSample all{{route4, route6}, {peer()}, {outer, reach}};
    const auto put = [&] {
        EXPECT_EQ(text_of(plane->put_routes(all.routes)), "");
        EXPECT_EQ(text_of(plane->put_peers(all.peers)), "");
        EXPECT_EQ(text_of(plane->put_endpoints(all.endpoints)), "");
    };
    EXPECT_FALSE(plane->holds(all).value());
    put();
    EXPECT_TRUE(plane->holds(all).value());
    EXPECT_TRUE(plane->holds({}).value());
    for (const SteerRoute& one : all.routes) {
        ASSERT_TRUE(plane->remove_routes({one.prefix}));
        EXPECT_FALSE(plane->holds(all).value()) << one.prefix.to_string();
        put();
    }
    for (const SteerEndpoint& one : all.endpoints) {
        ASSERT_TRUE(plane->remove_endpoints({one}));
        EXPECT_FALSE(plane->holds(all).value());
        put();
    }
    EXPECT_FALSE(plane->holds({{}, {peer(PeerState::down)}, {}}).value());
    SteerRoute other = route4;
    other.mtu = 1300;
    EXPECT_FALSE(plane->holds({{other}, {}, {}}).value());
    EXPECT_TRUE(plane->holds(all).value());
}

TEST_P(DataplaneTest, SaysThatTheRoutesAreTooMany) {
    auto plane = loaded(2);
    fill(*plane);
    const auto full = plane->put_routes({route("10.2.0.0/16"), route("10.3.0.0/16"), route("10.4.0.0/16")});
    ASSERT_FALSE(full);
    EXPECT_EQ(full.error().kind(), ErrorKind::exhausted) << full.error().message();
    EXPECT_FALSE(plane->put_routes({{prefix("10.9.0.0/16"), SteerAction::steer, 0, 0}}));
    EXPECT_FALSE(plane->put_peers({SteerPeer{}}));
}

TEST_P(DataplaneTest, ForwardsWithoutAnAgentAndIsAdopted) {
    {
        auto plane = loaded();
        fill(*plane);
        attach(*plane);
    }
    EXPECT_TRUE(steers());
    const auto peeked = peek_dataplane(pin_path_);
    ASSERT_TRUE(peeked);
    EXPECT_EQ(peeked->peers.at(kPeer), peer());
    EXPECT_EQ(peeked->attachments.size(), 3U);

    auto successor = loaded();
    EXPECT_TRUE(successor->adopted());
    EXPECT_TRUE(steers());
    EXPECT_EQ(successor->state()->routes.size(), 1U);
    EXPECT_EQ(attachments(*successor).size(), 3U);
    EXPECT_EQ(successor->counters()->steered4, 2U);
    // The maps are the same ones: a change counts at once.
    ASSERT_TRUE(successor->put_peers({peer(PeerState::down)}));
    EXPECT_FALSE(steers());
    EXPECT_EQ(successor->counters()->dropped.at("peer_down"), 1U);
    attach(*successor);
    EXPECT_EQ(attachments(*successor).size(), 3U);
}

// Another definition of the maps, as after an upgrade.
TEST_P(DataplaneTest, CarriesEntriesIntoMapsOfAnotherSize) {
    {
        auto plane = loaded(1024);
        fill(*plane);
        attach(*plane);
    }
    auto successor = loaded(2048);
    EXPECT_TRUE(successor->adopted());
    EXPECT_TRUE(steers());
    const auto state = successor->state();
    ASSERT_TRUE(state);
    EXPECT_EQ(state->routes.size(), 1U);
    EXPECT_EQ(state->peers.at(kPeer), peer());
    EXPECT_EQ(state->config, config());
    EXPECT_EQ(state->attachments.size(), 3U);
    EXPECT_EQ(successor->peer_counters(kPeer)->tx_packets, 1U);
    EXPECT_EQ(list_pins(pin_path_), (std::vector<std::string>{kLinksDirectory, kMapsDirectory}));
    EXPECT_EQ(list_pins(pin_path_ + "/maps").size(), kPinnedMaps.size());
    EXPECT_EQ(successor->route_hits()->at(prefix("10.1.0.0/16")), 1U);  // since the layout is this one
    ASSERT_TRUE(successor->put_peers({peer(PeerState::down)}));
    EXPECT_FALSE(steers());
}

// The same structs under another layout version, as a build with another WGLAN_LAYOUT_VERSION leaves.
TEST_P(DataplaneTest, CarriesEntriesOfAnotherLayoutVersion) {
    {
        auto plane = loaded();
        fill(*plane);
        attach(*plane);
    }
    {
        const Table<__u32, wglan_config> table(std::move(*open_pin(pin_path_ + "/maps/wglan_config")),
                                               "config");
        auto value = table.get(0);
        ASSERT_TRUE(value);
        value->layout_version = WGLAN_LAYOUT_VERSION + 1;
        ASSERT_TRUE(table.put(0, *value));
    }
    EXPECT_TRUE(peek_dataplane(pin_path_)->routes.empty());
    auto successor = loaded();
    EXPECT_TRUE(successor->adopted());
    EXPECT_TRUE(steers());
    EXPECT_EQ(successor->state()->routes.size(), 1U);
    EXPECT_EQ(successor->counters()->steered4, 1U);  // counters start anew
    EXPECT_EQ(attachments(*successor).size(), 3U);
    EXPECT_EQ(peek_dataplane(pin_path_)->routes.size(), 1U);
}

// The map pins are lost: nothing to adopt, but the old programs run on until the new maps are full.
TEST_P(DataplaneTest, OldProgramsForwardUntilTheFirstAttach) {
    {
        auto plane = loaded();
        fill(*plane);
        attach(*plane);
    }
    ASSERT_TRUE(remove_pins(pin_path_ + "/maps"));
    auto successor = loaded();
    EXPECT_FALSE(successor->adopted());
    EXPECT_TRUE(attachments(*successor).empty());
    EXPECT_TRUE(steers());
    fill(*successor);
    ASSERT_TRUE(successor->attach_uplink(uplink_, "uplink"));
    EXPECT_EQ(attachments(*successor).size(), 3U);
    EXPECT_TRUE(steers());
    EXPECT_EQ(successor->counters()->steered4, 1U);
}

TEST_P(DataplaneTest, AttachesAgainWhatSomebodyRemoved) {
    auto plane = loaded();
    fill(*plane);
    attach(*plane);
    if (GetParam()) {
        ASSERT_EQ(std::system("tc filter del dev uplink egress"), 0);
    } else {
        const auto pins = list_pins(pin_path_ + "/links");
        for (const std::string& name : pins) {
            const auto link = open_pin(pin_path_ + "/links/" + name);
            ASSERT_TRUE(link);
            if (name.ends_with("-" + std::to_string(uplink_))) {
                ASSERT_EQ(bpf_link_detach(link->get()), 0);
            }
        }
    }
    EXPECT_EQ(attachments(*plane).size(), 2U);
    EXPECT_FALSE(steers());
    ASSERT_TRUE(plane->attach_uplink(uplink_, "uplink"));
    EXPECT_EQ(attachments(*plane).size(), 3U);
    EXPECT_TRUE(steers());
}

TEST_P(DataplaneTest, ADeviceMadeAnewLeavesNoPinsOfTheFormerAndALookTakesNone) {
    const auto pins = [&] {
        auto all = list_pins(pin_path_ + "/links");
        std::erase_if(all, [](const std::string& name) { return name.starts_with("clsact-"); });
        return all;
    };
    auto plane = loaded();
    attach(*plane);
    const auto before = pins();
    EXPECT_EQ(before.size(), GetParam() ? 0U : 3U);
    tunnel_.reset();
    tunnel_.emplace("tunnel", 1420);
    EXPECT_EQ(attachments(*plane).size(), 1U);
    EXPECT_TRUE(peek_dataplane(pin_path_));
    EXPECT_EQ(pins(), before) << "a look changes nothing";
    attach(*plane);
    EXPECT_EQ(attachments(*plane).size(), 3U);
    EXPECT_EQ(pins().size(), before.size());
}

TEST_P(DataplaneTest, DetachesOneDeviceAndForgetsOnesThatAreGone) {
    auto plane = loaded();
    fill(*plane);
    attach(*plane);
    ASSERT_TRUE(plane->detach(uplink_));
    ASSERT_TRUE(plane->detach(uplink_));
    EXPECT_EQ(attachments(*plane).size(), 2U);
    EXPECT_FALSE(steers());
    ASSERT_TRUE(plane->attach_uplink(uplink_, "uplink"));
    remove_link("uplink");
    EXPECT_EQ(attachments(*plane).size(), 2U);
    EXPECT_EQ(text_of(plane->detach(uplink_)), "");
    EXPECT_FALSE(plane->attach_uplink(uplink_, "uplink"));
    uplink_ = make_veth("uplink", "far");
    ASSERT_TRUE(plane->attach_uplink(uplink_, "uplink"));
    EXPECT_TRUE(steers());
}

TEST_P(DataplaneTest, LeavesOthersAlone) {
    const UniqueFd program = foreign_program();
    ASSERT_TRUE(program.valid());
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = uplink_, .attach_point = BPF_TC_EGRESS);
    const int made = bpf_tc_hook_create(&hook);
    ASSERT_EQ(made, 0);
    LIBBPF_OPTS(bpf_tc_opts, filter, .prog_fd = program.get(), .handle = 1, .priority = 1);
    ASSERT_EQ(bpf_tc_attach(&hook, &filter), 0);
    UniqueFd link;
    if (!GetParam()) {
        link = UniqueFd(bpf_link_create(program.get(), uplink_, static_cast<bpf_attach_type>(47), nullptr));
        ASSERT_TRUE(link.valid());
    }
    const std::string foreign_pin = pin_path_ + "_foreign";
    ASSERT_EQ(bpf_obj_pin(program.get(), foreign_pin.c_str()), 0);
    {
        auto plane = loaded();
        fill(*plane);
        attach(*plane);
        EXPECT_EQ(attachments(*plane).size(), 3U);
        EXPECT_TRUE(steers());
    }
    EXPECT_EQ(text_of(remove_dataplane(pin_path_)), "");
    EXPECT_FALSE(steers());
    LIBBPF_OPTS(bpf_tc_opts, query, .handle = 1, .priority = 1);
    EXPECT_EQ(bpf_tc_query(&hook, &query), 0);
    if (link.valid()) {
        bpf_link_info info{};
        __u32 length = sizeof info;
        ASSERT_EQ(bpf_obj_get_info_by_fd(link.get(), &info, &length), 0);
        EXPECT_EQ(static_cast<int>(info.netns.netns_ino), uplink_);  // the link's ifindex
    }
    EXPECT_EQ(::access(foreign_pin.c_str(), F_OK), 0);
    EXPECT_EQ(::unlink(foreign_pin.c_str()), 0);
}

// What an agent made goes; what somebody uses meanwhile doesn't.
TEST_P(DataplaneTest, CleanUpTakesItsOwnClsactAlong) {
    const UniqueFd program = foreign_program();
    ASSERT_TRUE(program.valid());
    const auto has_clsact = [](const char* device) {
        const std::string ask = std::string("tc qdisc show dev ") + device + " | grep -q clsact";
        return std::system(ask.c_str()) == 0;
    };
    {
        auto plane = loaded();
        fill(*plane);
        attach(*plane);
    }
    ASSERT_EQ(has_clsact("uplink"), GetParam());
    ASSERT_EQ(has_clsact("tunnel"), GetParam());
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = uplink_, .attach_point = BPF_TC_INGRESS);
    LIBBPF_OPTS(bpf_tc_opts, filter, .prog_fd = program.get(), .handle = 1, .priority = 1);
    if (GetParam()) {
        ASSERT_EQ(bpf_tc_attach(&hook, &filter), 0);
    }
    EXPECT_EQ(text_of(remove_dataplane(pin_path_)), "");
    EXPECT_EQ(has_clsact("uplink"), GetParam()) << "a filter of another stands there";
    EXPECT_FALSE(has_clsact("tunnel"));
}

TEST_P(DataplaneTest, CleanUpLeavesNothingAndMayRunTwice) {
    {
        auto plane = loaded();
        fill(*plane);
        attach(*plane);
    }
    EXPECT_EQ(text_of(remove_dataplane(pin_path_)), "");
    EXPECT_NE(::access(pin_path_.c_str(), F_OK), 0);
    EXPECT_TRUE(Attacher(pin_path_, GetParam()).find()->empty());
    EXPECT_FALSE(steers());
    EXPECT_EQ(text_of(remove_dataplane(pin_path_)), "");
    EXPECT_TRUE(peek_dataplane(pin_path_)->routes.empty());
}

// A veth in the path of a tunnel: the programs must run even when the device is used as an L3 one.
TEST_P(DataplaneTest, RefusesDevicesThatCannotBeUplinks) {
    auto plane = loaded();
    const auto loopback = plane->attach_uplink(ifindex_of("lo"), "lo");
    ASSERT_FALSE(loopback);
    EXPECT_EQ(loopback.error().kind(), ErrorKind::unsupported);
    TunDevice other("other", 1500);
    const auto l3 = plane->attach_uplink(other.ifindex(), "other");
    ASSERT_TRUE(l3);
    EXPECT_EQ(l3->program, "wglan_egress_l3");
}

// bpf.pinPath may lie where no BPF file system is: one is mounted there, and taken away again.
TEST_P(DataplaneTest, MountsABpfFileSystemWhereThereIsNone) {
    const std::string plain = "/tmp/wglan-bpf-test-plain-" + std::to_string(::getpid());
    auto plane = make_dataplane({.pin_path = plain, .force_clsact = GetParam()});
    ASSERT_TRUE(plane);
    EXPECT_EQ(text_of((*plane)->load()), "");
    EXPECT_TRUE(on_bpffs(plain));
    EXPECT_FALSE((*plane)->adopted());
    plane->reset();
    EXPECT_EQ(text_of(remove_dataplane(plain)), "");
    EXPECT_NE(::access(plain.c_str(), F_OK), 0);
}

INSTANTIATE_TEST_SUITE_P(Kind, DataplaneTest, ::testing::Bool(), kind_name);

}  // namespace wglan::test
