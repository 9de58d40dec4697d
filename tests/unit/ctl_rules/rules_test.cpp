// SPDX-License-Identifier: Apache-2.0
#include "tools/wglanctl/rules/rules.h"

#include <gtest/gtest.h>

namespace wglan::ctl {
namespace {

std::string nft(const std::string& statements, const std::string& chain = "c") {
    return R"({"nftables":[{"metainfo":{"version":"1.0.6"}},{"rule":{"family":"inet","table":"t","chain":")" +
           chain + R"(","handle":2,"expr":[)" + statements + "]}}]}";
}
std::string sets(const std::string& value) {
    return R"({"mangle":{"key":{"meta":{"key":"mark"}},"value":)" + value + "}}";
}
std::string matches(const std::string& left, const std::string& operation, const std::string& right) {
    return R"({"match":{"op":")" + operation + R"(","left":)" + left + R"(,"right":)" + right + "}}";
}
const std::string kMark = R"({"meta":{"key":"mark"}})";

struct Case {
    const char* what;
    std::string text;
    FindingStatus status;
    const char* says;
};

void expect(const Case& one, const RuleFacts& facts, OwnMark own = {}) {
    const auto findings = mark_findings(facts, own);
    ASSERT_EQ(findings.size(), 1U) << one.what;
    EXPECT_EQ(to_string(findings[0].status), to_string(one.status)) << one.what;
    EXPECT_NE(findings[0].text.find(one.says), std::string::npos) << one.what << ": " << findings[0].text;
    EXPECT_EQ(findings[0].mend.empty(), one.status == FindingStatus::pass) << one.what;
}

TEST(Marks, OfNftablesRules) {
    const Case cases[] = {
        {"no rules", R"({"nftables":[]})", FindingStatus::pass, "nobody else uses 0x10/0x10"},
        {"sets our mark", nft(sets("16")), FindingStatus::fail, "nft inet t c marks packets with 0x10/0x10"},
        {"sets one that holds our bit", nft(sets("48")), FindingStatus::fail, "nft inet t c"},
        {"sets another", nft(sets("32")), FindingStatus::pass, ""},
        {"sets our bit beside others", nft(sets(R"({"|":[)" + kMark + ",16]}")), FindingStatus::fail,
         "nft inet t c"},
        {"sets another bit beside others", nft(sets(R"({"|":[)" + kMark + ",16384]}")), FindingStatus::pass,
         ""},
        {"clears other bits and sets ours", nft(sets(R"({"|":[{"&":[)" + kMark + ",4294967040]},16]}")),
         FindingStatus::fail, "nft inet t c"},
        {"flips another bit", nft(sets(R"({"^":[)" + kMark + ",16384]}")), FindingStatus::pass, ""},
        {"clears our bit", nft(sets(R"({"&":[)" + kMark + ",4294967279]}")), FindingStatus::pass, ""},
        {"takes the flow's mark", nft(sets(R"({"ct":{"key":"mark"}})")), FindingStatus::pass, ""},
        {"sets the flow's mark to ours", nft(R"({"mangle":{"key":{"ct":{"key":"mark"}},"value":16}})"),
         FindingStatus::fail, "nft inet t c"},
        {"sets something else", nft(R"({"mangle":{"key":{"meta":{"key":"priority"}},"value":16}})"),
         FindingStatus::pass, ""},
        {"acts on our mark", nft(matches(kMark, "==", "16")), FindingStatus::warn,
         "acts on packets with the mark"},
        {"acts on our bit", nft(matches(R"({"&":[)" + kMark + ",240]}", "==", "16")), FindingStatus::warn,
         "acts on"},
        {"acts on one of a set", nft(matches(kMark, "==", R"({"set":[1,16]})")), FindingStatus::warn,
         "acts on"},
        {"acts on another", nft(matches(kMark, "==", "32")), FindingStatus::pass, ""},
        {"acts on another bit that we don't have",
         nft(matches(R"({"&":[)" + kMark + ",16384]}", "==", "16384")), FindingStatus::pass, ""},
        {"acts on a bit that isn't ours being clear",
         nft(matches(R"({"&":[)" + kMark + ",16384]}", "==", "0")), FindingStatus::pass, ""},
        {"acts on all but one", nft(matches(kMark, "!=", "3")), FindingStatus::pass, ""},
    };
    for (const Case& one : cases) {
        RuleFacts facts;
        EXPECT_TRUE(read_nft(one.text, facts)) << one.what;
        expect(one, facts);
    }
}

TEST(Marks, OfIptables) {
    const Case cases[] = {
        {"sets ours", "*mangle\n-A PREROUTING -j MARK --set-xmark 0x10/0x10\nCOMMIT\n", FindingStatus::fail,
         "iptables mangle PREROUTING marks"},
        {"sets the whole mark to ours", "*mangle\n-A OUTPUT -p udp -j MARK --set-xmark 0x10/0xffffffff\n",
         FindingStatus::fail, "iptables mangle OUTPUT"},
        {"kube-proxy's", "*nat\n-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000\n", FindingStatus::pass,
         ""},
        {"kube-proxy unsets its own", "*nat\n-A X -j MARK --set-xmark 0x4000/0x0\n", FindingStatus::pass, ""},
        {"acts on our bit", "*filter\n-A INPUT -m mark --mark 0x10/0xf0 -j DROP\n", FindingStatus::warn,
         "iptables filter INPUT acts"},
        {"on all others", "*filter\n-A INPUT -m mark ! --mark 0x10/0xf0 -j DROP\n", FindingStatus::pass, ""},
        {"a mark that isn't a number", "*filter\n-A INPUT -m mark --mark many -j DROP\n", FindingStatus::pass,
         ""},
    };
    for (const Case& one : cases) {
        RuleFacts facts;
        EXPECT_TRUE(read_iptables("iptables", one.text, facts)) << one.what;
        expect(one, facts);
    }
}

TEST(Marks, OfRoutingRules) {
    const Case cases[] = {
        {"the usual ones", R"([{"priority":0,"src":"all","table":"local"}])", FindingStatus::pass, ""},
        {"ours", R"([{"priority":7,"src":"all","fwmark":"0x10","fwmask":"0x10","table":"7"}])",
         FindingStatus::warn, "ip rule 7 to table 7 routes packets with the mark"},
        {"wg-quick's", R"([{"priority":9,"not":null,"src":"all","fwmark":"0xca6c","table":"51820"}])",
         FindingStatus::warn, "another VPN carries the tunnel"},
        {"KubeSpan's", R"([{"priority":32500,"src":"all","fwmark":"0x40","fwmask":"0x60","table":"180"}])",
         FindingStatus::pass, ""},
        {"all but ours", R"([{"priority":9,"not":null,"src":"all","fwmark":"0x10","table":"5"}])",
         FindingStatus::pass, ""},
    };
    for (const Case& one : cases) {
        RuleFacts facts;
        EXPECT_TRUE(read_ip_rules("ip", one.text, facts)) << one.what;
        expect(one, facts);
    }
}

TEST(Marks, ADifferentOwnMarkIsHeldAgainst) {
    RuleFacts facts;
    EXPECT_TRUE(read_nft(nft(sets("16")), facts));
    expect({"ours is another", "", FindingStatus::pass, "0x100/0x100"}, facts, {0x100, 0x100});
}

TEST(Marks, TextThatNoSuchProgramPrintsIsRefused) {
    RuleFacts facts;
    for (const char* text : {"", "{", "[]", "{}", R"({"nftables":1})"})
        EXPECT_FALSE(read_nft(text, facts)) << text;
    for (const char* text : {"", "{", "{}"}) EXPECT_FALSE(read_ip_rules("ip", text, facts)) << text;
    EXPECT_FALSE(read_iptables("iptables", "iptables: command failed\n", facts));
    EXPECT_TRUE(facts.marks.empty());
}

std::string chain(const char* hook, const char* policy, const std::string& rule = "") {
    return R"({"nftables":[{"chain":{"family":"inet","table":"filter","name":"f","type":"filter","hook":")" +
           std::string(hook) + R"(","prio":0,"policy":")" + policy + R"("}})" +
           (rule.empty()
                ? ""
                : R"(,{"rule":{"family":"inet","table":"filter","chain":"sub","expr":[)" + rule + "]}}") +
           "]}";
}

TEST(Policy, OfForwardedPacketsConcernsDirectModeAlone) {
    const std::string drop = R"({"drop":null})", reject = R"({"reject":{"type":"icmp"}})";
    const std::string invalid =
        R"({"match":{"op":"in","left":{"ct":{"key":"state"}},"right":"invalid"}},{"drop":null})";
    struct PolicyCase {
        const char* what;
        std::string text;
        bool warns;
    };
    const PolicyCase cases[] = {
        {"nothing", R"({"nftables":[]})", false},
        {"an empty chain", chain("forward", "accept"), false},
        {"drops by default", chain("forward", "drop"), true},
        {"drops in a chain of the table", chain("forward", "accept", drop), true},
        {"rejects", chain("forward", "accept", reject), true},
        {"drops what is invalid alone", chain("forward", "accept", invalid), false},
        {"of incoming packets", chain("input", "drop", drop), false},
    };
    for (const PolicyCase& one : cases) {
        RuleFacts facts;
        ASSERT_TRUE(read_nft(one.text, facts)) << one.what;
        EXPECT_TRUE(policy_findings(facts, false).empty()) << one.what;
        const auto findings = policy_findings(facts, true);
        ASSERT_EQ(findings.size(), 1U) << one.what;
        EXPECT_EQ(findings[0].status == FindingStatus::warn, one.warns) << one.what;
    }
    RuleFacts facts;
    ASSERT_TRUE(read_iptables("iptables", "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n", facts));
    EXPECT_NE(policy_findings(facts, true)[0].text.find("iptables filter FORWARD"), std::string::npos);
    RuleFacts own;
    ASSERT_TRUE(read_iptables("iptables", "*filter\n:FORWARD ACCEPT [0:0]\n-A INPUT -j DROP\nCOMMIT\n", own));
    EXPECT_EQ(policy_findings(own, true)[0].status, FindingStatus::pass);
}

}  // namespace
}  // namespace wglan::ctl
