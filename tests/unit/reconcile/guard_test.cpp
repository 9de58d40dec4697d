// SPDX-License-Identifier: Apache-2.0
#include "agent/reconcile/guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/samples.h"

namespace wglan {
namespace {

using namespace samples;
using testing::ElementsAre;
using testing::IsEmpty;

GuardPlace at_tc(int ifindex, const char* name) {
    GuardPlace place;
    place.attachment = {ifindex, name, Attachment::Hook::tc_ingress, Attachment::Kind::tcx, "wglan_guard_tc"};
    return place;
}

GuardPlace at_xdp(int ifindex, const char* name) {
    GuardPlace place;
    place.attachment = {ifindex, name, Attachment::Hook::xdp, Attachment::Kind::xdp, "wglan_guard_xdp"};
    place.mode = GuardMode::native;
    return place;
}

class GuardDiff : public testing::Test {
protected:
    GuardDiff() {
        want.enabled = true;
        want.settings.addresses = {ip("192.0.2.1"), ip("2001:db8::1")};
        want.uplinks = {{2, "eth0"}, {3, "veth1"}};
        want.physical = {2};
        seen.settings = want.settings;
        seen.places = {at_xdp(2, "eth0"), at_tc(3, "veth1")};
    }
    std::vector<std::string> plan() const { return describe(diff(want, seen)); }

    GuardDesired want;
    GuardObserved seen;
};

TEST_F(GuardDiff, IsEmptyWhenAllIsAsWanted) { EXPECT_THAT(plan(), IsEmpty()); }

TEST_F(GuardDiff, StartsWithSettingsThenPlaces) {
    seen = {};
    EXPECT_THAT(plan(),
                ElementsAre("guard the WireGuard port at 2 addresses: 50 handshakes a second from one source",
                            "attach the guard to eth0 (XDP)", "attach the guard to veth1"));
}

TEST_F(GuardDiff, TakesOverWhatAPredecessorLeft) {
    seen.settings.reset();
    for (GuardPlace& place : seen.places) place.current = false;
    EXPECT_EQ(plan().size(), 3U);
}

TEST_F(GuardDiff, AttachesAgainWhenTheProgramsAreLoadedAnew) {
    seen.settings.reset();
    EXPECT_EQ(plan().size(), 3U);
}

TEST_F(GuardDiff, WritesChangedSettingsAlone) {
    want.settings.handshakes_per_s = 5;
    EXPECT_THAT(plan(), ElementsAre(testing::HasSubstr("5 handshakes a second")));
}

TEST_F(GuardDiff, PutsBackWhatWasRemoved) {
    seen.places.pop_back();
    EXPECT_THAT(plan(), ElementsAre("attach the guard to veth1"));
}

TEST_F(GuardDiff, StaysAtTcWhileAnotherHoldsXdp) {
    seen.places[0] = at_tc(2, "eth0");
    seen.places[0].note = "another XDP program is there";
    EXPECT_THAT(plan(), IsEmpty());
}

TEST_F(GuardDiff, MovesToXdpOnceItIsFree) {
    seen.places[0] = at_tc(2, "eth0");
    seen.places[0].movable = true;
    EXPECT_THAT(plan(), ElementsAre("attach the guard to eth0 (XDP)"));
}

TEST_F(GuardDiff, LeavesXdpOfWhatIsNotPhysical) {
    want.physical.clear();
    EXPECT_THAT(plan(), ElementsAre("attach the guard to eth0"));
}

TEST_F(GuardDiff, LeavesDevicesThatAreNoUplinksAnyMore) {
    want.uplinks.erase({3, "veth1"});
    EXPECT_THAT(plan(), ElementsAre("detach the guard from veth1"));
}

TEST_F(GuardDiff, SwitchedOffGoesWhole) {
    want.enabled = false;
    EXPECT_THAT(plan(), ElementsAre("remove the guard"));
    seen.settings.reset();  // a predecessor's
    EXPECT_THAT(plan(), ElementsAre("remove the guard"));
    seen.places.clear();
    EXPECT_THAT(plan(), IsEmpty());
}

}  // namespace
}  // namespace wglan
