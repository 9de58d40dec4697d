// SPDX-License-Identifier: Apache-2.0
#include "agent/doctor/nat.h"

#include <gtest/gtest.h>

#include "tests/support/samples.h"

namespace wglan {
namespace {

using namespace samples;
using Outcome = KnockResult::Outcome;

OwnPlace at_home() {
    return {{ip("192.168.1.5"), ip("fd00:5::5"), ip("2001:db8:5::5")},
            {net("192.168.1.0/24"), net("2001:db8:5::/64")},
            51820};
}
OwnPlace in_the_open() { return {{ip("203.0.113.5")}, {net("203.0.113.0/24")}, 51820}; }
OwnPlace behind_a_carrier() { return {{ip("100.64.9.9")}, {net("100.64.0.0/16")}, 51820}; }

struct Case {
    const char* what;
    OwnPlace own;
    std::vector<Sighting> sightings;
    NatMapping mapping;
    std::optional<bool> keeps_port;
    FindingStatus status;
    const char* says;
};

const Case kCases[] = {
    {"seen at a public address of its own",
     in_the_open(),
     {{"a", at("198.51.100.1:51820"), at("203.0.113.5:51820")}},
     NatMapping::none,
     std::nullopt,
     FindingStatus::pass,
     "no NAT: a sees this node at 203.0.113.5:51820"},
    {"a neighbour that sees a public address is as good",
     in_the_open(),
     {{"a", at("203.0.113.9:51820"), at("203.0.113.5:51820")}},
     NatMapping::none,
     std::nullopt,
     FindingStatus::pass,
     "no NAT"},
    {"neighbours alone see the private address",
     at_home(),
     {{"a", at("192.168.1.9:51820"), at("192.168.1.5:51820")}},
     NatMapping::unknown,
     std::nullopt,
     FindingStatus::skip,
     "not known: a sees this node without passing a NAT"},
    {"a routed private network",
     at_home(),
     {{"a", at("10.9.0.1:51820"), at("192.168.1.5:51820")}},
     NatMapping::none,
     std::nullopt,
     FindingStatus::pass,
     "no NAT"},
    {"two see the same outside with the same port",
     at_home(),
     {{"a", at("198.51.100.1:51820"), at("203.0.113.77:51820")},
      {"b", at("198.51.100.2:51820"), at("203.0.113.77:51820")}},
     NatMapping::endpoint_independent,
     true,
     FindingStatus::pass,
     "NAT with endpoint-independent mapping, keeping the port: a, b see this node at 203.0.113.77:51820 "
     "(\"cone\" "
     "NAT); hole punching works"},
    {"two see the same outside with another port",
     at_home(),
     {{"a", at("198.51.100.1:51820"), at("203.0.113.77:1024")},
      {"b", at("198.51.100.2:51820"), at("203.0.113.77:1024")}},
     NatMapping::endpoint_independent,
     false,
     FindingStatus::pass,
     "changing the port"},
    {"neighbours don't count beside those outside",
     at_home(),
     {{"a", at("192.168.1.9:51820"), at("192.168.1.5:51820")},
      {"b", at("198.51.100.2:51820"), at("203.0.113.77:1024")},
      {"c", at("198.51.100.3:51820"), at("203.0.113.77:1024")}},
     NatMapping::endpoint_independent,
     false,
     FindingStatus::pass,
     "b, c see this node at 203.0.113.77:1024"},
    {"one view tells nothing of others'",
     at_home(),
     {{"a", at("198.51.100.1:51820"), at("203.0.113.77:1024")}},
     NatMapping::endpoint_independent,
     false,
     FindingStatus::pass,
     "a second peer elsewhere would tell"},
    {"two ports of one address are one view",
     at_home(),
     {{"a", at("198.51.100.1:1"), at("203.0.113.77:1024")},
      {"b", at("198.51.100.1:2"), at("203.0.113.77:1024")}},
     NatMapping::endpoint_independent,
     false,
     FindingStatus::pass,
     "a second peer elsewhere would tell"},
    {"each sees another port",
     at_home(),
     {{"a", at("198.51.100.1:51820"), at("203.0.113.77:1024")},
      {"b", at("198.51.100.2:51820"), at("203.0.113.77:1025")}},
     NatMapping::endpoint_dependent,
     false,
     FindingStatus::warn,
     "address- or port-dependent mapping (\"symmetric\" NAT)"},
    {"another port for each port of one address",
     at_home(),
     {{"a", at("198.51.100.1:1"), at("203.0.113.77:1024")},
      {"b", at("198.51.100.1:2"), at("203.0.113.77:1025")}},
     NatMapping::address_and_port_dependent,
     false,
     FindingStatus::warn,
     "address-and-port-dependent mapping"},
    {"another port for each address alone",
     at_home(),
     {{"a", at("198.51.100.1:1"), at("203.0.113.77:1024")},
      {"b", at("198.51.100.1:2"), at("203.0.113.77:1024")},
      {"c", at("198.51.100.2:1"), at("203.0.113.77:1025")}},
     NatMapping::address_dependent,
     false,
     FindingStatus::warn,
     "with address-dependent mapping"},
    {"two outside addresses",
     at_home(),
     {{"a", at("198.51.100.1:51820"), at("203.0.113.77:51820")},
      {"b", at("198.51.100.2:51820"), at("203.0.113.78:51820")}},
     NatMapping::endpoint_dependent,
     true,
     FindingStatus::warn,
     "203.0.113.77:51820, 203.0.113.78:51820"},
    {"its own address with another port: its own masquerading",
     in_the_open(),
     {{"a", at("198.51.100.1:51820"), at("203.0.113.5:1024")},
      {"b", at("198.51.100.2:51820"), at("203.0.113.5:1024")}},
     NatMapping::endpoint_independent,
     false,
     FindingStatus::pass,
     "changing the port"},
    {"a carrier's NAT",
     behind_a_carrier(),
     {{"a", at("198.51.100.1:51820"), at("203.0.113.77:51820")},
      {"b", at("198.51.100.2:51820"), at("203.0.113.77:51820")}},
     NatMapping::endpoint_independent,
     true,
     FindingStatus::pass,
     "(CGNAT)"},
    {"what is said just now counts, not old records",
     at_home(),
     {{"a", at("198.51.100.1:51820"), at("203.0.113.77:1024")},
      {"b", at("198.51.100.2:51820"), at("203.0.113.77:1024")},
      {"c", at("198.51.100.3:51820"), at("203.0.113.77:9999"), false}},
     NatMapping::endpoint_independent,
     false,
     FindingStatus::pass,
     "a, b see"},
    {"records are better than nothing",
     at_home(),
     {{"a", at("198.51.100.1:51820"), at("203.0.113.77:1024"), false},
      {"b", at("198.51.100.2:51820"), at("203.0.113.77:1024"), false}},
     NatMapping::endpoint_independent,
     false,
     FindingStatus::pass,
     "by their records"},
};

TEST(JudgeNat, KnowsTheKindByWhatOthersSee) {
    for (const Case& one : kCases) {
        const auto verdict = judge_nat(Family::v4, one.sightings, one.own);
        ASSERT_TRUE(verdict) << one.what;
        EXPECT_EQ(to_string(verdict->mapping), to_string(one.mapping)) << one.what;
        EXPECT_EQ(verdict->keeps_port, one.keeps_port) << one.what;
        const auto findings = nat_findings(*verdict, one.own, {});
        ASSERT_EQ(findings.size(), 1U) << one.what;
        EXPECT_EQ(findings[0].check, "nat");
        EXPECT_EQ(findings[0].status, one.status) << one.what;
        EXPECT_NE(findings[0].text.find(one.says), std::string::npos) << one.what << ": " << findings[0].text;
        EXPECT_EQ(findings[0].mend.empty(), one.status != FindingStatus::warn) << one.what;
    }
}

TEST(JudgeNat, FamiliesAreJudgedApart) {
    const std::vector<Sighting> all = {{"a", at("198.51.100.1:51820"), at("203.0.113.77:1024")},
                                       {"b", at("[2001:db8::1]:51820"), at("[2001:db8:5::5]:51820")}};
    EXPECT_EQ(judge_nat(Family::v4, all, at_home())->mapping, NatMapping::endpoint_independent);
    EXPECT_EQ(judge_nat(Family::v6, all, at_home())->mapping, NatMapping::none);
    EXPECT_FALSE(judge_nat(Family::v6, {all[0]}, at_home()));
    EXPECT_FALSE(judge_nat(Family::v4, {}, at_home()));
}

const std::vector<Sighting> kCone = {{"a", at("198.51.100.1:51820"), at("203.0.113.77:1024")},
                                     {"b", at("198.51.100.2:51820"), at("203.0.113.77:1024")}};

KnockResult knock(const char* target, Outcome outcome, bool announced = false) {
    return {"a", at("198.51.100.1:51820"), at(target), announced, outcome};
}

TEST(NatFindings, AKnockTellsHowTheNatFilters) {
    const auto verdict = *judge_nat(Family::v4, kCone, at_home());
    const auto text = [&](std::vector<KnockResult> knocks) {
        return nat_findings(verdict, at_home(), knocks)[0].text;
    };
    EXPECT_NE(text({knock("203.0.113.77:1024", Outcome::lost)}).find("port-restricted cone"),
              std::string::npos);
    EXPECT_NE(text({knock("203.0.113.77:1024", Outcome::lost)}).find("forward UDP port 51820"),
              std::string::npos);
    EXPECT_NE(text({knock("203.0.113.77:1024", Outcome::delivered)}).find("full cone"), std::string::npos);
    EXPECT_NE(text({knock("203.0.113.77:1024", Outcome::filtered)}).find("full cone"), std::string::npos)
        << "the NAT let it in, if not the host";
    EXPECT_EQ(text({knock("203.0.113.77:51820", Outcome::delivered, true)}).find("full cone"),
              std::string::npos)
        << "a forwarded port says nothing of the mapping";
}

struct ReachCase {
    const char* what;
    OwnPlace own;
    std::vector<Sighting> sightings;
    std::vector<KnockResult> knocks;
    FindingStatus status;
    const char* says;
    const char* mend;
};

TEST(ReachFindings, SayWhetherThePortIsReachableAndWhatToDo) {
    const std::vector<Sighting> open = {{"a", at("198.51.100.1:51820"), at("203.0.113.5:51820")}};
    const std::vector<Sighting> symmetric = {{"a", at("198.51.100.1:51820"), at("203.0.113.77:1024")},
                                             {"b", at("198.51.100.2:51820"), at("203.0.113.77:1025")}};
    const ReachCase cases[] = {
        {"reachable",
         in_the_open(),
         open,
         {knock("203.0.113.5:51820", Outcome::delivered)},
         FindingStatus::pass,
         "203.0.113.5:51820 is reachable from ports that this node hasn't sent to: a tried",
         ""},
        {"one that gets through is enough",
         in_the_open(),
         open,
         {knock("203.0.113.5:51820", Outcome::lost), knock("203.0.113.5:51820", Outcome::delivered)},
         FindingStatus::pass,
         "is reachable",
         ""},
        {"a firewall on this host",
         in_the_open(),
         open,
         {knock("203.0.113.5:51820", Outcome::filtered)},
         FindingStatus::fail,
         "a firewall here dropped it",
         "let UDP to port 51820 in"},
        {"a firewall on the way",
         in_the_open(),
         open,
         {knock("203.0.113.5:51820", Outcome::lost)},
         FindingStatus::warn,
         "a firewall on the way drops it",
         "open UDP port 51820"},
        {"a cone NAT",
         at_home(),
         kCone,
         {knock("203.0.113.77:1024", Outcome::lost)},
         FindingStatus::pass,
         "nothing to mend",
         ""},
        {"a symmetric NAT",
         at_home(),
         symmetric,
         {knock("203.0.113.77:1024", Outcome::lost)},
         FindingStatus::warn,
         "not reachable",
         "forward UDP port 51820"},
        {"a NAT of which too little is known",
         at_home(),
         {kCone[0]},
         {knock("203.0.113.77:1024", Outcome::lost)},
         FindingStatus::warn,
         "not reachable",
         "forward UDP port 51820"},
        {"a port-forward that isn't there",
         at_home(),
         kCone,
         {knock("203.0.113.77:51820", Outcome::lost, true)},
         FindingStatus::warn,
         "203.0.113.77:51820, which this node announces, is not reachable",
         "check the port-forward"},
        {"a port-forward that works",
         at_home(),
         symmetric,
         {knock("203.0.113.77:51820", Outcome::delivered, true)},
         FindingStatus::pass,
         "203.0.113.77:51820 is reachable",
         ""},
    };
    for (const ReachCase& one : cases) {
        const std::vector<NatVerdict> verdicts = {*judge_nat(Family::v4, one.sightings, one.own)};
        const auto findings = reach_findings(verdicts, one.own, one.knocks);
        ASSERT_EQ(findings.size(), 1U) << one.what;
        EXPECT_EQ(findings[0].check, "port");
        EXPECT_EQ(findings[0].status, one.status) << one.what;
        EXPECT_NE(findings[0].text.find(one.says), std::string::npos) << one.what << ": " << findings[0].text;
        EXPECT_NE(findings[0].mend.find(one.mend), std::string::npos) << one.what << ": " << findings[0].mend;
        EXPECT_EQ(findings[0].mend.empty(), *one.mend == '\0') << one.what << ": " << findings[0].mend;
    }
}

TEST(ReachFindings, OneForEachEndpoint) {
    const std::vector<KnockResult> knocks = {
        knock("203.0.113.77:1024", Outcome::lost), knock("203.0.113.77:51820", Outcome::delivered, true),
        knock("203.0.113.77:1024", Outcome::lost), knock("203.0.113.77:1024", Outcome::lost, true)};
    const std::vector<NatVerdict> cone = {*judge_nat(Family::v4, kCone, at_home())};
    const auto findings = reach_findings(cone, at_home(), knocks);
    ASSERT_EQ(findings.size(), 2U);
    EXPECT_EQ(findings[0].status, FindingStatus::pass) << "who sees it there counts, not who was told of it";
    EXPECT_TRUE(reach_findings({}, at_home(), {}).empty());
}

TEST(ReachFindings, OneForAllOutsidesOfASymmetricNat) {
    std::vector<Sighting> sightings;
    std::vector<KnockResult> knocks;
    for (int i = 1; i <= 8; ++i) {
        const std::string number = std::to_string(i);
        const Endpoint seen = at("203.0.113.77:" + std::to_string(2000 + i)),
                       from = at("198.51.100." + number + ":1");
        sightings.push_back({"node" + number, from, seen});
        knocks.push_back({"node" + number, from, seen, false, Outcome::lost});
    }
    const auto findings = reach_findings({*judge_nat(Family::v4, sightings, at_home())}, at_home(), knocks);
    ASSERT_EQ(findings.size(), 1U);
    EXPECT_EQ(
        findings[0].text,
        "IPv4: not reachable from ports that this node hasn't sent to (node1, node2, node3, node4 and 4 more "
        "tried)");
}

}  // namespace
}  // namespace wglan
