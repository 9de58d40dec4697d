// SPDX-License-Identifier: Apache-2.0
#include "agent/reconcile/pods.h"

#include <algorithm>

#include <gmock/gmock.h>

#include "tests/support/samples.h"

namespace wglan {
namespace {

using namespace samples;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr int kTunnel = 7;

Attachment at(int ifindex, const char* name, Attachment::Hook hook, const char* program) {
    return {ifindex, name, hook, Attachment::Kind::tcx, program};
}

class PodsTest : public testing::Test {
protected:
    PodsTest() {
        want.interface = "wglan0";
        want.mtu = 1420;
        want.uplinks = {{2, "eth0"}};
        seen.interface.emplace();
        seen.interface->link.ifindex = kTunnel;
        seen.wireguard.emplace();
        seen = assume_applied(want, seen);
        attach(false);
    }
    void attach(bool direct, const std::vector<PodDevice>& pods = {}) {
        seen.attachments = {at(2, "eth0", Attachment::Hook::tc_egress, "wglan_egress"),
                            at(kTunnel, "wglan0", Attachment::Hook::tc_egress, "wglan_tun_out"),
                            at(kTunnel, "wglan0", Attachment::Hook::tc_ingress,
                               direct ? kDirectTunnelProgram : "wglan_tun_in")};
        for (const PodDevice& pod : pods)
            if (pod.runs_program())
                seen.attachments.push_back(
                    at(pod.ifindex, pod.name.c_str(), Attachment::Hook::tc_ingress, kPodProgram));
    }
    void want_direct() {
        want.pods.direct = true;
        want.pods.own = {net("10.244.1.0/24")};
        for (const PodDevice& device : {veth, port, bridge})
            want.pods.devices.emplace(device.ifindex, device);
        want.pods.macs = {{2, 0, 0, 0, 0, 21}};
    }
    void be_direct() {
        want_direct();
        seen = assume_applied(want, seen);
        attach(true, {veth, port});
    }
    std::vector<std::string> plan() const { return describe(diff(want, seen), "wglan0"); }

    PodDevice veth{10, "veth1", PodDevice::Kind::peer, {2, 0, 0, 0, 0, 10}};
    PodDevice port{21, "port1", PodDevice::Kind::port, {2, 0, 0, 0, 0, 20}};
    PodDevice bridge{20, "cni0", PodDevice::Kind::bridge, {2, 0, 0, 0, 0, 20}};
    Desired want;
    Observed seen;
};

TEST_F(PodsTest, HostModeAsksForNothing) { EXPECT_THAT(plan(), IsEmpty()); }

TEST_F(PodsTest, TheSwitchComesLastOnTheWayIn) {
    want_direct();
    EXPECT_THAT(plan(), ElementsAre("attach wglan_tun_dir and wglan_tun_out to wglan0",
                                    "attach wglan_pod_in to veth1", "deliver into pods by cni0",
                                    "attach wglan_pod_in to port1", "direct for pods in 10.244.1.0/24"));
}

TEST_F(PodsTest, AndFirstOnTheWayOut) {
    be_direct();
    EXPECT_THAT(plan(), IsEmpty());
    want.pods = {};
    EXPECT_THAT(plan(), ElementsAre("all pods by the host's stack", "no more direct: pods behind veth1",
                                    "no more direct: pods behind cni0", "no more direct: pods behind port1",
                                    "attach wglan_tun_in and wglan_tun_out to wglan0"));
}

TEST_F(PodsTest, OneDeviceComesAndGoes) {
    be_direct();
    want.pods.devices.erase(10);
    EXPECT_THAT(plan(), ElementsAre("no more direct: pods behind veth1"));
    be_direct();
    PodDevice other = veth;
    other.ifindex = 30;
    other.name = "veth2";
    want.pods.devices.emplace(30, other);
    EXPECT_THAT(plan(), ElementsAre("attach wglan_pod_in to veth2"));
}

TEST_F(PodsTest, RepairsWhatOthersTookAway) {
    be_direct();
    std::erase_if(seen.attachments, [](const Attachment& one) { return one.ifindex == 10; });
    EXPECT_THAT(plan(), ElementsAre("attach wglan_pod_in to veth1"));
    be_direct();
    seen.pods.devices.erase(21);
    EXPECT_THAT(plan(), ElementsAre("attach wglan_pod_in to port1"));
    be_direct();
    seen.pods.direct = false;
    EXPECT_THAT(plan(), ElementsAre("attach wglan_tun_dir and wglan_tun_out to wglan0"));
    be_direct();
    seen.pods.macs.clear();
    EXPECT_THAT(plan(), ElementsAre("addresses of pods' bridges: 1"));
}

TEST_F(PodsTest, AProgramWithoutEntryIsRemoved) {
    be_direct();
    want.pods.devices.erase(10);
    seen.pods.devices.erase(10);
    EXPECT_THAT(plan(), ElementsAre("no more direct: pods behind veth1"));
}

TEST_F(PodsTest, AChangedBridgeAddressIsWrittenAgain) {
    be_direct();
    want.pods.devices.at(20).mac[5] = want.pods.devices.at(21).mac[5] = 1;
    EXPECT_THAT(plan(), ElementsAre("deliver into pods by cni0", "attach wglan_pod_in to port1"));
}

TEST_F(PodsTest, PrefixesThatStayAreNeverSwitchedOff) {
    be_direct();
    want.pods.own = {net("10.244.1.0/24"), net("fd00:244:1::/64")};
    EXPECT_THAT(plan(), ElementsAre("direct for pods in 10.244.1.0/24 fd00:244:1::/64"));
    seen.pods.own = {net("10.244.1.0/24"), net("10.244.9.0/24")};
    EXPECT_THAT(plan(), ElementsAre("direct for pods in 10.244.1.0/24",
                                    "direct for pods in 10.244.1.0/24 fd00:244:1::/64"));
}

}  // namespace
}  // namespace wglan
