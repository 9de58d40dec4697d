// SPDX-License-Identifier: Apache-2.0
#include "tools/wglanctl/doctor.h"

#include <unistd.h>

#include "agent/doctor/checks.h"
#include "agent/inspect/host.h"
#include "tools/wglanctl/rules/rules.h"
#include "tools/wglanctl/run_program.h"

namespace wglan::ctl {
namespace {

using Milliseconds = std::chrono::milliseconds;
using Status = FindingStatus;

constexpr Milliseconds kProgramLimit{5000};  // tens of thousands of rules take nft a second

void append(Json& checks, const Findings& findings) {
    for (Json& one : to_json(findings)) checks.push_back(std::move(one));
}

// What a program prints, read; what goes wrong is told unless the program just isn't there.
template <class Read>
bool look_with(const std::vector<std::string>& command, Findings& findings, Read read) {
    const auto text = output_of(command, kProgramLimit);
    if (text && read(*text)) return true;
    if (text || text.error().kind() != ErrorKind::not_found)
        findings.push_back(
            {"marks", Status::skip,
             text ? "what " + command.front() + " prints isn't understood" : text.error().message(), ""});
    return false;
}

Findings examine_rules(const OwnMark& own, bool direct) {
    Findings findings;
    if (::geteuid() != 0) {
        findings.push_back({"marks", Status::skip, "other programs' rules can't be read", "run it as root"});
        return findings;
    }
    RuleFacts facts;
    unsigned filters = 0;
    const bool ip = look_with({"ip", "-j", "rule"}, findings,
                              [&](const std::string& text) { return read_ip_rules("ip", text, facts); });
    look_with({"ip", "-j", "-6", "rule"}, findings,
              [&](const std::string& text) { return read_ip_rules("ip -6", text, facts); });
    if (look_with({"nft", "-j", "list", "ruleset"}, findings,
                  [&](const std::string& text) { return read_nft(text, facts); }))
        ++filters;
    // iptables' rules in nftables too are shown whole by their own program alone.
    for (const char* program :
         {"iptables-save", "ip6tables-save", "iptables-legacy-save", "ip6tables-legacy-save"})
        if (look_with({program}, findings,
                      [&](const std::string& text) { return read_iptables(program, text, facts); }))
            ++filters;
    if (!ip)
        findings.push_back(
            {"marks", Status::skip, "routing rules weren't looked at: ip is not installed", ""});
    if (filters == 0)
        findings.push_back({"marks", Status::skip,
                            "packet filters weren't looked at: neither nft nor iptables-save is installed",
                            ""});
    Findings found = mark_findings(facts, own);
    // All clear only where all was looked at.
    if (findings.empty() || found.front().status != Status::pass)
        findings.insert(findings.end(), found.begin(), found.end());
    for (Finding& finding : policy_findings(facts, direct)) findings.push_back(std::move(finding));
    return findings;
}

// Without an agent: what can be seen from here.
Json examine_alone(const Complaint& complaint) {
    Findings findings{{"agent", Status::fail, complaint.text,
                       complaint.exit == kNoAgent ? "journalctl -u wglan-agent tells why it ended" : ""}};
    Json checks = Json::array();
    auto netlink = make_netlink();
    if (netlink) {
        const HostView host = inspect_host(**netlink, HostQuestion{});
        for (Finding& finding : check_all(host, nullptr, {})) findings.push_back(std::move(finding));
    } else {
        findings.push_back({"interface", Status::skip, netlink.error().message(), ""});
    }
    for (const char* check : {"sources", "peers", "nat", "port"})
        findings.push_back({check, Status::skip, "only the agent knows", ""});
    append(checks, findings);
    return {{"version", WGLAN_VERSION},
            {"checks", std::move(checks)},
            {"nat", Json::array()},
            {"reachability", Json::array()}};
}

void compare_versions(Json& answer) {
    const std::string version = text_at(answer, {"version"});
    if (version == WGLAN_VERSION) return;
    append(answer["checks"],
           {{"agent", Status::warn, "the agent is version " + version + ", wglanctl " + WGLAN_VERSION,
             "restart the agent after an upgrade"}});
}

OwnMark mark_of(const Json& answer) {
    if (!at(answer, {"settings"}).is_object()) return {};
    return {static_cast<std::uint32_t>(count_at(answer, {"settings", "firewallMark"})),
            static_cast<std::uint32_t>(count_at(answer, {"settings", "firewallMarkMask"}))};
}

Json count(const Json& checks) {
    Json summary = {{"pass", 0}, {"warn", 0}, {"fail", 0}, {"skip", 0}};
    for (const Json& check : checks) {
        const std::string status = text_at(check, {"status"});
        if (summary.contains(status)) summary[status] = summary[status].get<unsigned>() + 1;
    }
    return summary;
}

}  // namespace

Task<Json> examine(Agent& agent) {
    auto answered = co_await agent.get("/v1/doctor");
    const bool whole = answered && at(*answered, {"checks"}).is_array();
    Json answer;
    if (whole) {
        answer = std::move(*answered);
        compare_versions(answer);
    } else {
        answer = examine_alone(answered ? Complaint{kFailed, "the agent's answer isn't understood"}
                                        : answered.error());
    }
    append(answer["checks"],
           examine_rules(mark_of(answer), text_at(answer, {"settings", "podDatapath"}) == "direct"));
    answer["summary"] = count(answer["checks"]);
    co_return answer;
}

}  // namespace wglan::ctl
