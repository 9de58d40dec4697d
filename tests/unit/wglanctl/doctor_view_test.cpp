// SPDX-License-Identifier: Apache-2.0
#include "agent/control/doctor_view.h"

#include <gtest/gtest.h>

#include "tests/support/control/fake_control.h"
#include "tools/wglanctl/render/views.h"

namespace wglan::ctl {
namespace {

Json doctor_json() {
    Json json = to_json(test::sample_doctor());
    json["summary"] = {{"pass", 1}, {"warn", 1}, {"fail", 1}, {"skip", 0}};
    return json;
}

TEST(DoctorView, AFindingALineWithItsMend) {
    EXPECT_EQ(render_doctor(doctor_json(), {}),
              R"(pass  kernel  Linux 6.12.0: BTF, TCX
warn  mtu     cni0 leads to pods with MTU 1500, wglan0 has 1420
              mend: set the CNI's MTU to 1420
fail  port    203.0.113.7:51820 is not reachable
              mend: let UDP in
1 passed, 1 warning, 1 failed
)");
}

TEST(DoctorView, IsWrappedOnNarrowTerminals) {
    EXPECT_EQ(render_doctor(doctor_json(), {false, 40}),
              R"(pass  kernel  Linux 6.12.0: BTF, TCX
warn  mtu     cni0 leads to pods with
              MTU 1500, wglan0 has 1420
              mend: set the CNI's MTU to
              1420
fail  port    203.0.113.7:51820 is not
              reachable
              mend: let UDP in
1 passed, 1 warning, 1 failed
)");
}

TEST(DoctorView, SaysHowMuchWasNotLookedAt) {
    Json json = doctor_json();
    json["checks"] =
        Json::parse(R"([{"check":"nat","status":"skip","text":"only the agent knows","mend":""}])");
    json["summary"] = {{"pass", 0}, {"warn", 0}, {"fail", 0}, {"skip", 1}};
    EXPECT_EQ(render_doctor(json, {}),
              "skip  nat  only the agent knows\n0 passed, 0 warnings, 0 failed, 1 not looked at\n");
}

TEST(DoctorView, WhatPeersSayCannotSteerTheTerminal) {
    Json json = doctor_json();
    json["checks"][0]["text"] = "evil\x1b]0;x\x07";
    json["checks"][0]["check"] = "\u202ekernel";
    const std::string text = render_doctor(json, {});
    EXPECT_EQ(text.find_first_of("\x1b\x07"), std::string::npos) << text;
    EXPECT_NE(text.find("\\u202ekernel"), std::string::npos) << text;
}

TEST(DoctorView, AnAnswerOfAnotherVersionIsShownAsFarAsItGoes) {
    EXPECT_EQ(render_doctor(Json::parse(R"({"checks":[{"text":1}],"summary":[]})"), {}),
              "        \n0 passed, 0 warnings, 0 failed\n");
}

}  // namespace
}  // namespace wglan::ctl
