// SPDX-License-Identifier: Apache-2.0
// Checks of what the agent does: hooks, sources, peers, its own complaints.
#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "agent/doctor/checks.h"

namespace wglan {
namespace {

using Status = FindingStatus;
using Hook = Attachment::Hook;

constexpr std::size_t kMostLines = 5;
constexpr char kUplinkProgram[] = "wglan_egress";

void missing_program(Findings& findings, const std::string& where, const AgentView* agent) {
    findings.push_back({"hooks", Status::fail, "no steering program at " + where,
                        agent != nullptr ? "the agent attaches it within 2 s; if not, its log says why"
                                         : "start the agent"});
}

// Where ours aren't first what stands in front decides what they see. What guards an uplink's ingress is
// first whatever the configured order.
void check_order(const HookFacts& at, const AgentView* agent, Findings& findings) {
    const auto first = std::find_if(at.programs.begin(), at.programs.end(),
                                    [](const HookFacts::Place& place) { return place.ours; });
    if (first == at.programs.end() || first == at.programs.begin()) return;
    std::vector<std::string> before;
    for (auto place = at.programs.begin(); place != first; ++place)
        before.push_back(place->program.empty() ? "a program without a name" : place->program);
    const bool guards = at.hook == Hook::tc_ingress;
    const std::string text =
        fmt::format("at {} {}, {} run{} before {}: what it {}", at.interface, to_string(at.hook),
                    fmt::join(before, ", "), before.size() == 1 ? "s" : "", first->program,
                    guards ? "redirects or accepts isn't guarded" : "redirects or drops is not steered");
    const bool meant = !guards && agent != nullptr && !agent->order_first;
    if (meant) {
        findings.push_back({"hooks", Status::pass, text + " (steering.order is last)", ""});
        return;
    }
    const bool tcx = at.kind == Attachment::Kind::tcx;
    findings.push_back(
        {"hooks", Status::warn, text,
         tcx ? fmt::format(
                   "the agent takes its place back, but only every 5 minutes: let {} attach after it{}",
                   before.front(), guards ? "" : ", or set steering.order: last if it is meant so")
             : fmt::format("this kernel has no TCX: filters run by priority, and 1 to {} come before ours",
                           at.filter_priority - 1)});
}

std::string hooks_text(const HostView& host) {
    std::vector<std::string> places;
    for (const HookFacts& at : host.hooks)
        if (std::any_of(at.programs.begin(), at.programs.end(),
                        [](const HookFacts::Place& place) { return place.ours; }))
            places.push_back(fmt::format("{} {}", at.interface, to_string(at.hook)));
    const std::size_t count = places.size();
    if (count > kMostLines) places.resize(kMostLines);
    return fmt::format("programs at {}{}", fmt::join(places, ", "),
                       count > kMostLines ? fmt::format(" and {} more", count - kMostLines) : "");
}

}  // namespace

Findings check_hooks(const HostView& host, const AgentView* agent) {
    Findings findings;
    if (!host.hooks_known) {
        findings.push_back({"hooks", Status::skip, "programs can't be looked at", "run it as root"});
        return findings;
    }
    const auto has_ours = [&](const std::string& interface, Hook hook, const char* begins) {
        return std::any_of(host.hooks.begin(), host.hooks.end(), [&](const HookFacts& at) {
            return at.interface == interface && at.hook == hook &&
                   std::any_of(at.programs.begin(), at.programs.end(), [&](const HookFacts::Place& place) {
                       return place.ours && place.program.starts_with(begins);
                   });
        });
    };
    if (agent != nullptr && agent->uplinks.empty())
        findings.push_back(
            {"hooks", Status::fail, "no device is an uplink: what this node sends isn't steered",
             "see steering.uplinks; a device with a global address or a default route is one"});
    if (agent != nullptr)
        for (const std::string& uplink : agent->uplinks)
            if (!has_ours(uplink, Hook::tc_egress, kUplinkProgram))
                missing_program(findings, uplink + " tc-egress", agent);
    const bool tunnel = std::any_of(host.devices.begin(), host.devices.end(), [](const DeviceFacts& device) {
        return device.role == DeviceFacts::Role::tunnel;
    });
    for (const Hook hook : {Hook::tc_egress, Hook::tc_ingress})
        if (tunnel && !has_ours(host.interface, hook, "wglan_tun"))
            missing_program(findings, fmt::format("{} {}", host.interface, to_string(hook)), agent);
    const bool anywhere = std::any_of(host.hooks.begin(), host.hooks.end(), [](const HookFacts& at) {
        return std::any_of(at.programs.begin(), at.programs.end(),
                           [](const HookFacts::Place& place) { return place.ours; });
    });
    if (agent == nullptr && !anywhere && findings.empty())
        findings.push_back(
            {"hooks", Status::fail, "no program of ours is attached: nothing is steered", "start the agent"});
    for (const HookFacts& at : host.hooks)
        if (at.interface != host.interface) check_order(at, agent, findings);
    if (agent != nullptr && agent->guard && agent->guarded.empty() && !agent->uplinks.empty())
        findings.push_back({"hooks", Status::warn, "the guard of the WireGuard port stands at no device",
                            "wglanctl status tells why"});
    if (std::none_of(findings.begin(), findings.end(),
                     [](const Finding& finding) { return finding.status != Status::pass; }))
        findings.insert(findings.begin(), Finding{"hooks", Status::pass, hooks_text(host), ""});
    return findings;
}

Findings check_agent(const AgentView& agent) {
    Findings findings;
    if (!agent.settings_error.empty())
        findings.push_back(
            {"agent", Status::fail,
             "the configuration was refused, older settings are in force: " + agent.settings_error,
             "mend the file; wglan-agent --check says whether it is right"});
    for (const std::string& error : agent.errors) findings.push_back({"agent", Status::fail, error, ""});
    for (const std::string& warning : agent.warnings)
        findings.push_back({"agent", Status::warn, warning, ""});
    if (agent.refused > 0)
        findings.push_back(
            {"agent", Status::warn,
             fmt::format("{} refused", agent.refused == 1
                                           ? "a claim of a peer is"
                                           : fmt::format("{} claims of peers are", agent.refused)),
             "wglanctl routes names them, with the reasons"});
    if (findings.empty())
        findings.push_back({"agent", Status::pass, fmt::format("{} answers", agent.version), ""});
    return findings;
}

Findings check_sources(const AgentView& agent) {
    Findings findings;
    std::vector<std::string> good;
    bool service_down = false, service_good = false;
    for (const SourceStatus& source : agent.sources) {
        const bool service = source.name.starts_with("service");
        if (source.state == SourceState::synced) {
            good.push_back(source.name);
            service_good |= service;
            continue;
        }
        service_down |= service;
        findings.push_back({"sources", Status::warn,
                            fmt::format("{} is {}{}{}", source.name, to_string(source.state),
                                        source.last_error.empty() ? "" : ": ", source.last_error),
                            "the mesh runs on with what is known; new members and addresses don't get here"});
    }
    // Of several services one is enough.
    if (service_down && !service_good)
        for (Finding& finding : findings)
            if (finding.text.starts_with("service")) finding.status = Status::fail;
    if (findings.empty())
        findings.push_back(
            {"sources", Status::pass,
             good.empty() ? "none is configured" : fmt::format("{} synced", fmt::join(good, ", ")), ""});
    return findings;
}

Findings check_peers(const AgentView& agent) {
    Findings findings;
    std::size_t up = 0, others = 0;
    for (const AgentView::PeerLine& peer : agent.peers) {
        if (peer.state == PeerState::up) {
            ++up;
            continue;
        }
        if (++others > kMostLines) continue;
        findings.push_back({"peers", peer.state == PeerState::quarantined ? Status::pass : Status::warn,
                            fmt::format("{} is {}{}{}", peer.name, to_string(peer.state),
                                        peer.reason.empty() ? "" : ": ", peer.reason),
                            "wglanctl peers " + peer.name + " shows what was tried"});
    }
    if (others > kMostLines)
        findings.push_back({"peers", Status::warn, fmt::format("{} more aren't up", others - kMostLines),
                            "wglanctl peers lists them"});
    if (agent.peers.empty())
        findings.push_back({"peers", Status::warn, "none is known",
                            "do the others use the same token and discovery service?"});
    else if (others == 0)
        findings.push_back(
            {"peers", Status::pass,
             fmt::format("{}", up == 1 ? "the one there is is up" : fmt::format("all {} are up", up)), ""});
    return findings;
}

Findings check_all(const HostView& host, const AgentView* agent, const std::vector<ClockOffset>& offsets) {
    Findings all;
    const auto add = [&](Findings more) {
        all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
    };
    if (agent != nullptr) add(check_agent(*agent));
    add(check_kernel(host, agent));
    add(check_permissions(host, agent));
    add(check_interface(host, agent));
    add(check_hooks(host, agent));
    add(check_rp_filter(host, agent));
    add(check_forwarding(host, agent));
    add(check_mtu(host, agent));
    add(check_clock(host, offsets));
    if (agent != nullptr) {
        add(check_sources(*agent));
        add(check_peers(*agent));
    }
    return all;
}

}  // namespace wglan
