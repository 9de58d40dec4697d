// SPDX-License-Identifier: Apache-2.0
#include "agent/control/explain_query.h"

#include <netinet/in.h>

#include <gtest/gtest.h>

#include "tests/support/control/fake_control.h"

namespace wglan {
namespace {

Result<ExplainRequest> parse(const std::string& query) {
    HttpRequest http;
    http.target = "/v1/explain" + query;
    return parse_explain_query(http);
}

TEST(ExplainQuery, ReadsEveryParameter) {
    auto request = parse("?dst=10.0.0.1&src=10.0.0.2&proto=tcp&sport=4000&dport=80&mark=0x10");
    ASSERT_TRUE(request) << request.error().message();
    EXPECT_EQ(request->destination, test::address("10.0.0.1"));
    EXPECT_EQ(request->source, test::address("10.0.0.2"));
    EXPECT_EQ(request->protocol, IPPROTO_TCP);
    EXPECT_EQ(request->source_port, 4000);
    EXPECT_EQ(request->destination_port, 80);
    EXPECT_EQ(request->mark, 0x10U);
}

TEST(ExplainQuery, NeedsTheDestinationAlone) {
    auto request = parse("?dst=2001:db8::1");
    ASSERT_TRUE(request);
    EXPECT_FALSE(request->source || request->protocol || request->source_port || request->destination_port);
    EXPECT_EQ(request->mark, 0U);
}

TEST(ExplainQuery, TakesProtocolNumbers) {
    EXPECT_EQ(parse("?dst=10.0.0.1&proto=47")->protocol, 47);
    EXPECT_EQ(parse("?dst=10.0.0.1&proto=icmpv6")->protocol, IPPROTO_ICMPV6);
    EXPECT_EQ(parse("?dst=10.0.0.1&proto=TCP")->protocol, IPPROTO_TCP);
}

TEST(ExplainQuery, RefusesWhatMakesNoSense) {
    const std::pair<const char*, const char*> kRows[] = {
        {"", "dst"},
        {"?dst=", "dst"},
        {"?dst=node2", "dst"},
        {"?dst=10.0.0.0/8", "dst"},
        {"?dst=10.0.0.1&src=x", "src"},
        {"?dst=10.0.0.1&src=2001:db8::1", "families"},
        {"?dst=10.0.0.1&src=0.0.0.0", "the unspecified address"},
        {"?dst=10.0.0.1&src=127.0.0.1", "a loopback address"},
        {"?dst=10.0.0.1&src=224.0.0.1", "a multicast address"},
        {"?dst=10.0.0.1&src=255.255.255.255", "the broadcast address"},
        {"?dst=2001:db8::1&src=::", "the unspecified address"},
        {"?dst=2001:db8::1&src=::1", "a loopback address"},
        {"?dst=2001:db8::1&src=ff02::1", "a multicast address"},
        {"?dst=10.0.0.1&proto=tpc", "proto \"tpc\""},
        {"?dst=10.0.0.1&proto=256", "proto \"256\""},
        {"?dst=10.0.0.1&proto=", "proto"},
        {"?dst=10.0.0.1&dport=80", "dport needs proto"},
        {"?dst=10.0.0.1&proto=icmp&dport=80", "dport needs proto"},
        {"?dst=10.0.0.1&proto=udp&dport=0", "dport \"0\""},
        {"?dst=10.0.0.1&proto=udp&sport=65536", "sport \"65536\""},
        {"?dst=10.0.0.1&proto=udp&dport=80x", "dport \"80x\""},
        {"?dst=10.0.0.1&proto=udp&dport=-1", "dport \"-1\""},
        {"?dst=10.0.0.1&mark=0x100000000", "mark"},
        {"?dst=10.0.0.1&mark=0x", "mark"},
    };
    for (const auto& [query, word] : kRows) {
        auto request = parse(query);
        ASSERT_FALSE(request) << query;
        EXPECT_EQ(request.error().kind(), ErrorKind::invalid) << query;
        EXPECT_NE(request.error().message().find(word), std::string::npos) << request.error().message();
    }
}

}  // namespace
}  // namespace wglan
