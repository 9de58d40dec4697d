// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tools/wglanctl/rules/rules.h"

namespace wglan::ctl {
namespace {

using Status = FindingStatus;

constexpr std::size_t kMostNamed = 3;

// Packets that it handles look like WireGuard's own afterwards.
bool makes_ours(const MarkRule& rule, const OwnMark& own) {
    const bool touched = ((~rule.term.keep | rule.term.flip) & own.mask) != 0;
    return touched && (rule.term.flip & own.mask) == (own.mark & own.mask);
}

// It is about a bit of ours, and WireGuard's own packets are among those it acts on.
bool takes_ours(const MarkRule& rule, const OwnMark& own) {
    const bool equal = ((own.mark & rule.term.keep) ^ rule.term.flip) == rule.value;
    if (rule.inverted) return rule.kind == MarkRule::Kind::routes && !equal;
    return equal && (rule.term.keep & own.mask) != 0;
}

std::string places(const std::set<std::string>& all) {
    std::vector<std::string> names(all.begin(), all.end());
    const std::size_t count = names.size();
    if (count > kMostNamed) names.resize(kMostNamed);
    return fmt::format("{}{}", fmt::join(names, ", "),
                       count > kMostNamed ? fmt::format(" and {} more", count - kMostNamed) : "");
}

}  // namespace

Findings mark_findings(const RuleFacts& facts, const OwnMark& own) {
    std::set<std::string> setting, matching, routing, around;
    for (const MarkRule& rule : facts.marks) {
        if (rule.kind == MarkRule::Kind::sets) {
            if (makes_ours(rule, own)) setting.insert(rule.where);
        } else if (takes_ours(rule, own)) {
            (rule.kind == MarkRule::Kind::matches ? matching
             : rule.inverted                      ? around
                                                  : routing)
                .insert(rule.where);
        }
    }
    const std::string ours = fmt::format("{:#x}/{:#x}", own.mark, own.mask);
    const std::string other = "set interface.firewallMark and firewallMarkMask to a bit that nobody uses";
    Findings findings;
    if (!setting.empty())
        findings.push_back(
            {"marks", Status::fail,
             fmt::format("{} marks packets with {}: they are taken for WireGuard's own and leave "
                         "unencrypted",
                         places(setting), ours),
             other});
    if (!routing.empty())
        findings.push_back(
            {"marks", Status::warn,
             fmt::format("{} routes packets with the mark of WireGuard's own ({})", places(routing), ours),
             other});
    if (!around.empty())
        findings.push_back(
            {"marks", Status::warn,
             fmt::format("{} routes all packets but those of another mark, WireGuard's own ({}) "
                         "too: another VPN carries the tunnel",
                         places(around), ours),
             "end the other VPN, or let it leave the peers' endpoints out"});
    if (!matching.empty())
        findings.push_back(
            {"marks", Status::warn,
             fmt::format("{} acts on packets with the mark of WireGuard's own ({})", places(matching), ours),
             other});
    if (findings.empty())
        findings.push_back({"marks", Status::pass,
                            fmt::format("nobody else uses {}, that of WireGuard's own packets", ours), ""});
    return findings;
}

Findings policy_findings(const RuleFacts& facts, bool direct) {
    if (!direct) return {};
    if (facts.forward_policy.empty())
        return {{"policy", Status::pass, "podDatapath is direct, and nobody filters forwarded packets", ""}};
    return {{"policy", Status::warn,
             fmt::format("podDatapath is direct: pod traffic goes past what {} drops or rejects",
                         places({facts.forward_policy.begin(), facts.forward_policy.end()})),
             "where that is wanted for pods, set steering.podDatapath to host"}};
}

}  // namespace wglan::ctl
