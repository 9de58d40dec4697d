// SPDX-License-Identifier: Apache-2.0
#include "agent/peers/no_path.h"

#include <gtest/gtest.h>

#include "tests/support/samples.h"

namespace wglan {
namespace {

using namespace samples;
using Seen = std::vector<Endpoint>;

TEST(NoPath, SaysWhatIsKnown) {
    const Seen one{at("198.51.100.1:51820")}, other{at("198.51.100.2:40001")};
    const Seen one_varies{at("198.51.100.1:1"), at("198.51.100.1:2")};
    const Seen other_varies{at("198.51.100.2:1"), at("198.51.100.2:2")};
    const Seen two_uplinks{at("198.51.100.2:1"), at("198.51.100.9:1")};
    const struct {
        const char* what;
        NoPathFacts facts;
        std::string reason;
    } cases[] = {
        {"nothing shows that it lives", {3, {}, {}, false}, "no answer from any of 3 endpoints"},
        {"one endpoint", {1, {}, {}, false}, "no answer from its only endpoint"},
        {"that we are behind a NAT shows nothing", {3, one, {}, false}, "no answer from any of 3 endpoints"},
        {"what members saw may be long ago", {3, one, other, false}, "no answer from any of 3 endpoints"},
        {"both behind NATs",
         {4, one, other, true},
         "no answer from any of 4 endpoints; both nodes are behind NATs or firewalls that keep the other "
         "out: "
         "a relay is needed"},
        {"several addresses are no symmetric NAT",
         {4, one, two_uplinks, true},
         "no answer from any of 4 endpoints; both nodes are behind NATs or firewalls that keep the other "
         "out: "
         "a relay is needed"},
        {"ours is symmetric",
         {4, one_varies, other, true},
         "no answer from any of 4 endpoints; both nodes are behind NATs, and this node's uses another port "
         "for "
         "each destination: a relay is needed"},
        {"its is symmetric",
         {4, one, other_varies, true},
         "no answer from any of 4 endpoints; both nodes are behind NATs, and the peer's uses another port "
         "for "
         "each destination: a relay is needed"},
        {"both are symmetric",
         {4, one_varies, other_varies, true},
         "no answer from any of 4 endpoints; both nodes are behind NATs that use another port for each "
         "destination: a relay is needed"},
        {"one NAT",
         {4, one, {at("198.51.100.1:40000")}, true},
         "no answer from any of 4 endpoints; both nodes are behind one NAT, which leads nothing back inside: "
         "a relay is needed"},
        {"it alone is behind a NAT",
         {2, {}, other, true},
         "no answer from any of 2 endpoints; others reach it at 198.51.100.2:40001, but UDP between it and "
         "this "
         "node seems to be blocked: a relay is needed"},
        {"its agent lives",
         {2, {}, {}, true},
         "no answer from any of 2 endpoints; its agent runs, but UDP between it and this node seems to be "
         "blocked: a relay is needed"},
        {"its agent lives, and we are behind a NAT",
         {2, one, {}, true},
         "no answer from any of 2 endpoints; its agent runs, but UDP between it and this node, which is "
         "behind "
         "a NAT, seems to be blocked: a relay is needed"},
    };
    for (const auto& one_case : cases) {
        const NoPath path = explain_no_path(one_case.facts);
        EXPECT_EQ(path.reason, one_case.reason) << one_case.what;
        EXPECT_EQ(path.needs_relay, path.reason.ends_with("a relay is needed")) << one_case.what;
    }
}

}  // namespace
}  // namespace wglan
