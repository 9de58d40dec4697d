// SPDX-License-Identifier: Apache-2.0
// What other programs' packet filters and routing rules do that concerns us: marks that collide with that
// of WireGuard's own packets, and policy that podDatapath: direct goes past. Pure; text and JSON in, values
// out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/doctor/finding.h"

namespace wglan::ctl {

// (mark & keep) ^ flip: what a rule makes of a packet's mark, or compares.
struct MarkTerm {
    std::uint32_t keep = 0, flip = 0;
    bool operator==(const MarkTerm&) const = default;
};

struct MarkRule {
    enum class Kind {
        sets,     // the packet's or its flow's mark becomes the term's value
        matches,  // acts on packets for which the term gives `value`
        routes,   // the same, of `ip rule`
    };
    Kind kind = Kind::sets;
    MarkTerm term;
    std::uint32_t value = 0;
    bool inverted = false;  // on the others
    std::string where;      // "nft inet filter forward", "iptables mangle PREROUTING", "ip rule 32500"
    bool operator==(const MarkRule&) const = default;
};

struct RuleFacts {
    std::vector<MarkRule> marks;
    std::vector<std::string> forward_policy;  // chains that drop or reject forwarded packets, each once
};

// Each adds what it finds; false = the text isn't what that program prints.
bool read_nft(std::string_view json, RuleFacts& facts);                                 // nft -j list ruleset
bool read_iptables(std::string_view program, std::string_view text, RuleFacts& facts);  // iptables-save
bool read_ip_rules(std::string_view family, std::string_view json, RuleFacts& facts);   // ip -j rule

struct OwnMark {
    std::uint32_t mark = 0x10, mask = 0x10;
};
Findings mark_findings(const RuleFacts& facts, const OwnMark& own);
// Nothing unless `direct`.
Findings policy_findings(const RuleFacts& facts, bool direct);

}  // namespace wglan::ctl
