// SPDX-License-Identifier: Apache-2.0
// Facts in, findings out: one thing wrong at a time.
#include "agent/doctor/checks.h"

#include <functional>

#include <gtest/gtest.h>

namespace wglan {
namespace {

using Role = DeviceFacts::Role;
using Hook = Attachment::Hook;
using Status = FindingStatus;

HookFacts hook(const char* interface, Hook at, std::vector<HookFacts::Place> programs) {
    return {interface, at, Attachment::Kind::tcx, std::move(programs), 30572};
}

HostView sound_host() {
    HostView host;
    host.kernel = {"6.12.0", true, true, true, 1, true, false};
    host.permissions.key_file = "/var/lib/wglan/private.key";
    host.permissions.key_mode = 0600;
    host.permissions.proc_writable = true;
    host.devices = {{"wglan0", Role::tunnel, 1420, true, false, 2, true},
                    {"eth0", Role::uplink, 1500, true, true, 1, true},
                    {"veth1", Role::pods, 1420, true, false, 1, false}};
    host.rp_filter_all = 0;
    host.forwarding4 = host.forwarding6 = true;
    host.hooks = {hook("eth0", Hook::tc_egress, {{"wglan_egress", true}}),
                  hook("wglan0", Hook::tc_egress, {{"wglan_tun_out", true}}),
                  hook("wglan0", Hook::tc_ingress, {{"wglan_tun_hub", true}})};
    host.clock = {true, 1'800'000'000};
    return host;
}

AgentView sound_agent() {
    AgentView agent;
    agent.version = "agent 0.1.0";
    agent.backend = "kernel";
    agent.announces4 = agent.announces6 = true;
    agent.wanted_mtu = 1420;
    agent.uplinks = {"eth0"};
    agent.guarded = {"eth0"};
    agent.sources = {{"service:a", SourceState::synced, 2, 1, ""}};
    agent.peers = {{"node2", PeerState::up, ""}, {"node3", PeerState::up, ""}};
    return agent;
}

struct World {
    HostView host = sound_host();
    AgentView agent = sound_agent();
    std::vector<ClockOffset> offsets = {{"node2", 0}};
    bool answers = true;

    Findings examine() const { return check_all(host, answers ? &agent : nullptr, offsets); }
};

Findings not_passed(const Findings& all) {
    Findings some;
    for (const Finding& finding : all)
        if (finding.status != Status::pass) some.push_back(finding);
    return some;
}

TEST(Checks, ASoundHostPassesThemAll) {
    const auto all = World().examine();
    for (const Finding& finding : all)
        EXPECT_EQ(finding.status, Status::pass) << finding.check << finding.text;
    std::string checks;
    for (const Finding& finding : all) checks += finding.check + " ";
    EXPECT_EQ(checks,
              "agent kernel permissions interface hooks rp_filter forwarding mtu clock sources peers ");
    for (const Finding& finding : all) EXPECT_FALSE(finding.text.empty()) << finding.check;
}

TEST(Checks, WithoutAnAgentTheHostIsCheckedAlone) {
    World world;
    world.answers = false;
    EXPECT_TRUE(not_passed(world.examine()).empty());
}

struct Case {
    const char* what;
    std::function<void(World&)> breaks;
    const char* check;
    Status status;
    const char* says;
    bool mend = true;
};

const Case kCases[] = {
    {"no BTF", [](World& w) { w.host.kernel.btf = false; }, "kernel", Status::fail, "no BTF"},
    {"no bpffs", [](World& w) { w.host.kernel.bpffs = false; }, "kernel", Status::fail, "BPF file system"},
    {"no JIT", [](World& w) { w.host.kernel.jit = 0; }, "kernel", Status::warn, "interpreted"},
    {"user space beside a kernel that can", [](World& w) { w.agent.backend = "userspace"; }, "kernel",
     Status::warn, "wireguard-go is used although"},
    {"no WireGuard at all", [](World& w) { w.answers = false, w.host.kernel.wireguard = false; }, "kernel",
     Status::fail, "no WireGuard"},
    {"no capabilities", [](World& w) { w.host.permissions.missing = {"CAP_BPF"}; }, "permissions",
     Status::fail, "lacks CAP_BPF"},
    {"no raw sockets", [](World& w) { w.host.permissions.raw = false; }, "permissions", Status::warn,
     "no CAP_NET_RAW"},
    {"/proc is read-only", [](World& w) { w.host.permissions.proc_writable = false; }, "permissions",
     Status::warn, "read-only"},
    {"a key that others can read", [](World& w) { w.host.permissions.key_mode = 0640; }, "permissions",
     Status::fail, "has mode 0640"},
    {"the device is down", [](World& w) { w.host.devices[0].up = false; }, "interface", Status::fail,
     "wglan0 is down"},
    {"strict filter at the tunnel", [](World& w) { w.host.devices[0].rp_filter = 1; }, "rp_filter",
     Status::fail, "strict at wglan0"},
    {"strict by the value for all",
     [](World& w) { w.host.devices[0].rp_filter = 0, w.host.rp_filter_all = 1; }, "rp_filter", Status::fail,
     "strict at wglan0"},
    {"no IPv4 address", [](World& w) { w.host.devices[0].has_ipv4 = false; }, "rp_filter", Status::fail,
     "no IPv4 address"},
    {"strict with two ways out",
     [](World& w) { w.host.devices.push_back({"eth1", Role::uplink, 1500, true, true, 0, true}); },
     "rp_filter", Status::warn, "strict at eth0, and there are 2 ways out"},
    {"its value can't be read", [](World& w) { w.host.devices[0].rp_filter.reset(); }, "rp_filter",
     Status::skip, "can't be read", false},
    {"no forwarding", [](World& w) { w.host.forwarding4 = false; }, "forwarding", Status::fail,
     "IPv4 forwarding is off"},
    {"no IPv6 forwarding, agent down", [](World& w) { w.answers = false, w.host.forwarding6 = false; },
     "forwarding", Status::warn, "IPv6 forwarding is off"},
    {"an uplink that is too narrow", [](World& w) { w.host.devices[1].mtu = 1400; }, "mtu", Status::warn,
     "eth0 takes 1400: full packets need 1500 outside"},
    {"a changed MTU", [](World& w) { w.host.devices[0].mtu = 1300, w.host.devices[2].mtu = 1300; }, "mtu",
     Status::warn, "wglan0 has MTU 1300 instead of 1420"},
    {"a CNI with a larger MTU", [](World& w) { w.host.devices[2].mtu = 1500; }, "mtu", Status::warn,
     "veth1 lead to pods with MTU 1500, wglan0 has 1420"},
    {"a program of others in front",
     [](World& w) {
         w.host.hooks[0].programs.insert(w.host.hooks[0].programs.begin(), {"cil_to_netdev", false});
     },
     "hooks", Status::warn, "at eth0 tc-egress, cil_to_netdev runs before wglan_egress"},
    {"a program of others before the guard",
     [](World& w) {
         w.agent.order_first = false;  // that is of no concern to the guard
         w.host.hooks.push_back(
             hook("eth0", Hook::tc_ingress, {{"cil_from_netdev", false}, {"wglan_guard_tc", true}}));
     },
     "hooks", Status::warn, "at eth0 tc-ingress, cil_from_netdev runs before wglan_guard_tc"},
    {"a filter of others in front",
     [](World& w) {
         w.host.hooks[0].kind = Attachment::Kind::clsact;
         w.host.hooks[0].programs.insert(w.host.hooks[0].programs.begin(), {"cil_to_netdev", false});
     },
     "hooks", Status::warn, "cil_to_netdev runs before wglan_egress"},
    {"ours is gone from an uplink", [](World& w) { w.host.hooks[0].programs.clear(); }, "hooks", Status::fail,
     "no steering program at eth0 tc-egress"},
    {"ours is gone from the tunnel", [](World& w) { w.host.hooks.pop_back(); }, "hooks", Status::fail,
     "no steering program at wglan0 tc-ingress"},
    {"no uplink", [](World& w) { w.agent.uplinks.clear(); }, "hooks", Status::fail, "no device is an uplink"},
    {"the guard stands nowhere", [](World& w) { w.agent.guarded.clear(); }, "hooks", Status::warn, "guard"},
    {"a clock that was never set", [](World& w) { w.host.clock.now = 1000; }, "clock", Status::fail,
     "never set"},
    {"a clock that nothing disciplines", [](World& w) { w.host.clock.synchronised = false; }, "clock",
     Status::warn, "synchronised"},
    {"behind all others", [](World& w) { w.offsets = {{"a", 90}, {"b", 91}, {"c", 0}}; }, "clock",
     Status::warn, "90 s behind that of 3 peers"},
    {"far ahead of all others", [](World& w) { w.offsets = {{"node2", -700}}; }, "clock", Status::fail,
     "700 s ahead of that of node2"},
    {"a refused configuration", [](World& w) { w.agent.settings_error = "config.yaml:3: no"; }, "agent",
     Status::fail, "config.yaml:3: no"},
    {"something that can't be done", [](World& w) { w.agent.errors = {"add route: EPERM"}; }, "agent",
     Status::fail, "add route: EPERM", false},
    {"a warning", [](World& w) { w.agent.warnings = {"metrics are off"}; }, "agent", Status::warn,
     "metrics are off", false},
    {"refused claims", [](World& w) { w.agent.refused = 2; }, "agent", Status::warn,
     "2 claims of peers are refused"},
    {"the only service is down",
     [](World& w) { w.agent.sources = {{"service:a", SourceState::down, 0, 0, "refused"}}; }, "sources",
     Status::fail, "service:a is down: refused"},
    {"one of two services is down",
     [](World& w) { w.agent.sources.push_back({"service:b", SourceState::down, 0, 0, ""}); }, "sources",
     Status::warn, "service:b is down"},
    {"a peer is down", [](World& w) { w.agent.peers[1] = {"node3", PeerState::down, "no answer"}; }, "peers",
     Status::warn, "node3 is down: no answer"},
    {"nobody is there", [](World& w) { w.agent.peers.clear(); }, "peers", Status::warn, "none is known"},
};

// A kernel with IPIP makes one in every namespace.
TEST(Checks, ATunnelThatNobodyUsesIsNoFault) {
    World world;
    world.host.devices.push_back({"tunl0", Role::cni_tunnel, 1480, false, false, 1, false});
    EXPECT_TRUE(not_passed(world.examine()).empty());
    world.host.devices.back().up = true;
    EXPECT_EQ(not_passed(world.examine()).size(), 1U);
}

TEST(Checks, EachFaultIsNamedAndNothingElse) {
    for (const Case& one : kCases) {
        World world;
        one.breaks(world);
        const auto found = not_passed(world.examine());
        ASSERT_EQ(found.size(), 1U) << one.what;
        EXPECT_EQ(found[0].check, one.check) << one.what;
        EXPECT_EQ(to_string(found[0].status), to_string(one.status)) << one.what;
        EXPECT_NE(found[0].text.find(one.says), std::string::npos) << one.what << ": " << found[0].text;
        EXPECT_EQ(found[0].mend.empty(), !one.mend) << one.what << ": " << found[0].mend;
    }
}

TEST(Checks, WithoutTheDeviceWhatDependsOnItIsSkipped) {
    World world;
    world.host.devices.erase(world.host.devices.begin());
    std::string said;
    for (const Finding& finding : not_passed(world.examine()))
        said += finding.check + " " + std::string(to_string(finding.status)) + ", ";
    EXPECT_EQ(said, "interface fail, rp_filter skip, mtu skip, ");
}

TEST(Checks, AUserWithoutRightsIsToldWhatHeCannotSee) {
    World world;
    world.answers = false;
    world.host.permissions.missing = {"CAP_NET_ADMIN", "CAP_BPF"};
    world.host.permissions.raw = false;
    world.host.permissions.proc_writable = false;
    world.host.hooks_known = false;
    world.host.hooks.clear();
    const auto found = not_passed(world.examine());
    ASSERT_EQ(found.size(), 2U);
    EXPECT_NE(found[0].text.find("lacks CAP_NET_ADMIN, CAP_BPF"), std::string::npos);
    for (const Finding& finding : found) EXPECT_EQ(finding.status, Status::skip) << finding.text;
}

TEST(Checks, AProgramInFrontIsFineWhereThatIsWanted) {
    World world;
    world.agent.order_first = false;
    world.host.hooks[0].programs.insert(world.host.hooks[0].programs.begin(), {"stranger", false});
    world.host.hooks.push_back(hook("eth0", Hook::tc_ingress, {{"stranger", false}}));
    EXPECT_TRUE(not_passed(world.examine()).empty());
}

TEST(Checks, ForwardingIsOfNoConcernWhereNothingIsAnnounced) {
    World world;
    world.agent.announces4 = world.agent.announces6 = false;
    world.host.forwarding4 = world.host.forwarding6 = false;
    EXPECT_TRUE(not_passed(world.examine()).empty());
}

TEST(Checks, ManyPeersThatAreDownTakeAFewLines) {
    World world;
    for (int i = 0; i < 1000; ++i)
        world.agent.peers.push_back({"x" + std::to_string(i), PeerState::down, "no"});
    const auto found = not_passed(world.examine());
    EXPECT_EQ(found.size(), 6U);
    EXPECT_EQ(found.back().text, "995 more aren't up");
}

TEST(Findings, AreWrittenAsJson) {
    EXPECT_EQ(to_json(Findings{{"mtu", Status::warn, "too large", "make it smaller"}}).dump(),
              R"([{"check":"mtu","status":"warn","text":"too large","mend":"make it smaller"}])");
}

}  // namespace
}  // namespace wglan
