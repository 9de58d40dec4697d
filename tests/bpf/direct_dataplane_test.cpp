// SPDX-License-Identifier: Apache-2.0
// podDatapath: direct, switched, adopted and cleaned up.
#include <algorithm>

#include <bpf/bpf.h>
#include <gtest/gtest.h>

#include "tests/bpf/dataplane_fixture.h"

namespace wglan::test {
namespace {

class DirectDataplaneTest : public DataplaneTest {
protected:
    void SetUp() override {
        DataplaneTest::SetUp();
        if (IsSkipped()) return;
        pod_ = make_veth("pod", "podpeer");
        if (const auto possible = loaded()->load_direct(); !possible) GTEST_SKIP() << text_of(possible);
        EXPECT_EQ(text_of(remove_dataplane(pin_path_)), "");
    }
    void TearDown() override {
        if (pod_ != 0) remove_link("pod");
        DataplaneTest::TearDown();
    }
    PodDevice pod() const { return {pod_, "pod", PodDevice::Kind::peer, kMac}; }
    void go_direct(Dataplane& plane) const {
        fill(plane);
        ASSERT_TRUE(plane.put_routes({{prefix("10.1.0.0/16"), SteerAction::steer, kPeer, 0, true}}));
        ASSERT_TRUE(plane.attach_uplink(uplink_, "uplink"));
        ASSERT_TRUE(plane.attach_tunnel(tunnel_->ifindex(), "tunnel", true));
        const auto put = plane.put_pods({pod()}, {MacAddress{2, 0, 0, 0, 0, 9}});
        ASSERT_TRUE(put) << put.error().message();
        EXPECT_EQ(put->size(), 1U);
        ASSERT_TRUE(plane.set_own_pods({prefix("10.2.0.0/16")}));
    }
    // A frame from the pod; true if it went into the tunnel, a hop further.
    bool sends() const {
        Ip packet{.source = "10.2.0.5", .destination = "10.1.2.3"};
        const Bytes bytes = frame(packet);
        send_frame(ifindex_of("podpeer"), bytes.data(), bytes.size());
        --packet.ttl;
        const Bytes sent = packet.bytes();
        return tunnel_->read() == std::string(sent.begin(), sent.end());
    }
    static std::vector<std::string> programs(const std::vector<Attachment>& attachments) {
        std::vector<std::string> names;
        for (const Attachment& one : attachments) names.push_back(one.interface + " " + one.program);
        std::sort(names.begin(), names.end());
        return names;
    }

    static constexpr MacAddress kMac = {2, 0, 0, 0, 0, 2};  // kDestinationMac
    int pod_ = 0;
};

TEST_P(DirectDataplaneTest, SwitchesThereAndBack) {
    const std::vector<std::string> direct = {"pod wglan_pod_in", "tunnel wglan_tun_dir",
                                             "tunnel wglan_tun_out", "uplink wglan_egress"};
    const std::vector<std::string> host = {std::string("tunnel ") + from_tunnel(), "tunnel wglan_tun_out",
                                           "uplink wglan_egress"};
    auto plane = loaded();
    for (int turn = 0; turn < 2; ++turn) {
        go_direct(*plane);
        EXPECT_TRUE(sends());
        const auto state = plane->state();
        ASSERT_TRUE(state);
        EXPECT_EQ(programs(state->attachments), direct);
        EXPECT_TRUE(state->pods.direct);
        EXPECT_TRUE(state->pods.devices.at(pod_).same_entry(pod()));
        EXPECT_EQ(state->pods.own, (std::set{prefix("10.2.0.0/16")}));
        EXPECT_EQ(state->pods.macs, (std::set{MacAddress{2, 0, 0, 0, 0, 9}}));
        ASSERT_TRUE(plane->set_own_pods({}));
        EXPECT_FALSE(sends());
        ASSERT_TRUE(plane->remove_pods({pod_}));
        ASSERT_TRUE(plane->attach_tunnel(tunnel_->ifindex(), "tunnel", false));
        EXPECT_EQ(programs(attachments(*plane)), host);
        EXPECT_FALSE(plane->state()->pods.direct);
        EXPECT_TRUE(plane->state()->pods.devices.empty());
    }
    EXPECT_EQ(plane->counters()->direct_sent, 2U);
}

TEST_P(DirectDataplaneTest, GoesOnWithoutAnAgentAndIsAdopted) {
    {
        auto plane = loaded();
        go_direct(*plane);
    }
    EXPECT_TRUE(sends());
    EXPECT_TRUE(peek_dataplane(pin_path_)->pods.direct);
    EXPECT_TRUE(peek_dataplane(pin_path_)->pods.devices.contains(pod_));
    auto successor = loaded();
    EXPECT_TRUE(sends());
    EXPECT_EQ(attachments(*successor).size(), 4U);  // ours, not the predecessor's
    EXPECT_TRUE(successor->state()->pods.devices.contains(pod_));
    EXPECT_EQ(successor->counters()->direct_sent, 2U);
}

TEST_P(DirectDataplaneTest, SurvivesMapsOfAnotherSize) {
    {
        auto plane = loaded(1024);
        go_direct(*plane);
    }
    {
        auto successor = loaded(2048);
        EXPECT_TRUE(sends());
        EXPECT_EQ(attachments(*successor).size(), 4U);
        ASSERT_TRUE(successor->put_peers({peer(PeerState::down)}));
        EXPECT_FALSE(sends());  // the programs share the new maps
        ASSERT_TRUE(successor->put_peers({peer()}));
    }
    auto third = loaded(2048);
    EXPECT_TRUE(third->state()->pods.devices.contains(pod_));
    EXPECT_TRUE(sends());
}

TEST_P(DirectDataplaneTest, ADeviceThatIsGoneHoldsNothingUp) {
    auto plane = loaded();
    go_direct(*plane);
    const PodDevice gone{99999, "gone", PodDevice::Kind::port, kMac};
    const PodDevice bridge{1, "lo", PodDevice::Kind::bridge, kMac};
    const auto put = plane->put_pods({gone, bridge}, {});
    ASSERT_TRUE(put) << put.error().message();
    EXPECT_TRUE(put->empty());
    EXPECT_FALSE(plane->state()->pods.devices.contains(99999));
    EXPECT_TRUE(plane->state()->pods.devices.contains(1));
    EXPECT_TRUE(plane->state()->pods.macs.empty());
    remove_link("pod");
    EXPECT_EQ(text_of(plane->remove_pods({pod_, 1, 99999})), "");
    pod_ = 0;
    EXPECT_TRUE(plane->state()->pods.devices.empty());
    EXPECT_EQ(attachments(*plane).size(), 3U);
}

TEST_P(DirectDataplaneTest, CleanUpLeavesNothing) {
    {
        auto plane = loaded();
        go_direct(*plane);
    }
    EXPECT_EQ(text_of(remove_dataplane(pin_path_)), "");
    EXPECT_NE(::access(pin_path_.c_str(), F_OK), 0);
    EXPECT_TRUE(Attacher(pin_path_, GetParam()).find()->empty());
    EXPECT_FALSE(sends());
}

TEST_P(DirectDataplaneTest, ReplaysADecisionWithoutATrace) {
    auto plane = loaded();
    const auto ask = [&](const char* source, const char* destination, std::uint8_t protocol = 6) {
        return plane->replay_from_pod({IpAddress::parse(source).value(),
                                       IpAddress::parse(destination).value(), protocol, 40000, 443, 0},
                                      pod());
    };
    EXPECT_EQ(ask("10.2.0.5", "10.1.2.3").error().kind(), ErrorKind::unsupported);
    go_direct(*plane);
    const auto said = [&](const char* source, const char* destination, std::uint8_t protocol = 6) {
        const auto answer = ask(source, destination, protocol);
        EXPECT_TRUE(answer) << (answer ? "" : answer.error().message());
        EXPECT_FALSE(answer && answer->known);
        return answer ? answer->verdict : ReplayVerdict::pass;
    };
    EXPECT_EQ(said("10.2.0.5", "10.1.2.3"), ReplayVerdict::steer);
    EXPECT_EQ(said("10.2.0.5", "10.1.2.3", 1), ReplayVerdict::steer);
    EXPECT_EQ(said("10.2.0.5", "10.1.2.3", 47), ReplayVerdict::pass);
    EXPECT_EQ(said("10.3.0.5", "10.1.2.3"), ReplayVerdict::pass);
    EXPECT_EQ(said("10.2.0.5", "10.9.2.3"), ReplayVerdict::pass);
    ASSERT_EQ(text_of(plane->put_peers({peer(PeerState::down)})), "");
    EXPECT_EQ(said("10.2.0.5", "10.1.2.3"), ReplayVerdict::drop);
    ASSERT_EQ(text_of(plane->put_peers({peer()})), "");
    ASSERT_TRUE(plane->set_own_pods({}));
    EXPECT_EQ(said("10.2.0.5", "10.1.2.3"), ReplayVerdict::pass);
    ASSERT_TRUE(plane->set_own_pods({prefix("10.2.0.0/16")}));
    ASSERT_TRUE(plane->remove_pods({pod_}));
    EXPECT_EQ(said("10.2.0.5", "10.1.2.3"), ReplayVerdict::pass) << "the device is none of pods";
    const auto counters = plane->counters();
    ASSERT_TRUE(counters);
    EXPECT_EQ(counters->direct_sent + counters->direct_known + counters->steered4, 0U);
    for (const auto& [reason, count] : counters->dropped) EXPECT_EQ(count, 0U) << reason;
    const auto hits = plane->route_hits();
    ASSERT_TRUE(hits);
    for (const auto& [route, count] : *hits) EXPECT_EQ(count, 0U) << route.to_string();
}

INSTANTIATE_TEST_SUITE_P(Kind, DirectDataplaneTest, ::testing::Bool(), kind_name);

}  // namespace
}  // namespace wglan::test
