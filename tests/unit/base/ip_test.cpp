// SPDX-License-Identifier: Apache-2.0
#include "agent/base/ip.h"

#include <unordered_set>
#include <vector>

#include <gmock/gmock.h>

namespace wglan {
namespace {

using testing::HasSubstr;

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }
Prefix net(std::string_view text) { return Prefix::parse(text).value(); }

TEST(IpAddress, PrintsCanonicalForm) {
    const std::vector<std::pair<std::string, std::string>> table = {
        {"192.0.2.1", "192.0.2.1"},
        {"0.0.0.0", "0.0.0.0"},
        {"255.255.255.255", "255.255.255.255"},
        {"::", "::"},
        {"::1", "::1"},
        {"2001:0DB8:0:0:0:0:0:1", "2001:db8::1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},  // RFC 5952 4.2.2: one zero group stays
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},           // 4.2.3: the longest run
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},     // 4.2.3: the first of equals
        {"fe80::ABCD", "fe80::abcd"},
    };
    for (const auto& [text, expected] : table) EXPECT_EQ(ip(text).to_string(), expected) << text;
}

TEST(IpAddress, RefusesWhatIsNotOne) {
    for (const std::string text : {"",
                                   " ",
                                   "1",
                                   "1.2.3",
                                   "1.2.3.4.5",
                                   "256.1.1.1",
                                   "01.2.3.4",
                                   "1.2.3.04",
                                   "+1.2.3.4",
                                   "1.2.3.4 ",
                                   " 1.2.3.4",
                                   "0x7f.0.0.1",
                                   "1.2.3.4/32",
                                   "::1/128",
                                   "fe80::1%eth0",
                                   "[::1]",
                                   "::ffff:1.2.3.4",
                                   "::ffff:102:304",
                                   "1::2::3",
                                   "12345::",
                                   "g::",
                                   ":",
                                   "1:2:3:4:5:6:7",
                                   "1:2:3:4:5:6:7:8:9",
                                   "host.example"})
        EXPECT_FALSE(IpAddress::parse(text)) << text;
    EXPECT_FALSE(IpAddress::parse(std::string_view("1.2.3.4\0", 8)));
    EXPECT_FALSE(IpAddress::parse(std::string(1000, '1')));
}

TEST(IpAddress, ErrorQuotesInputHarmlessly) {
    const auto error = IpAddress::parse("1.2\n\x1b[31m").error();
    EXPECT_EQ(error.kind(), ErrorKind::invalid);
    EXPECT_EQ(error.message(), R"("1.2\n\x1b[31m" is not an IP address)");
}

TEST(IpAddress, FromBytesTakesFourOrSixteen) {
    const std::vector<std::uint8_t> bytes(17, 9);
    const std::span all(bytes);
    EXPECT_EQ(IpAddress::from_bytes(all.first(4))->to_string(), "9.9.9.9");
    EXPECT_TRUE(IpAddress::from_bytes(all.first(16))->is_v6());
    for (const std::size_t size : {0U, 3U, 5U, 15U, 17U})
        EXPECT_FALSE(IpAddress::from_bytes(all.first(size)));
}

TEST(IpAddress, MapsIpv4) {
    const std::array<std::uint8_t, 16> expected = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1};
    EXPECT_EQ(ip("192.0.2.1").mapped(), expected);
    EXPECT_EQ(ip("::1").mapped()[15], 1);
    EXPECT_EQ(ip("192.0.2.1").bytes().size(), 4U);
    EXPECT_EQ(ip("::").bytes().size(), 16U);
}

TEST(IpAddress, Classifies) {
    struct Row {
        const char* text;
        bool unspecified, loopback, link_local, multicast, broadcast, is_private, global;
    };
    const std::vector<Row> table = {
        {"0.0.0.0", true, false, false, false, false, false, false},
        {"::", true, false, false, false, false, false, false},
        {"127.0.0.1", false, true, false, false, false, false, false},
        {"127.255.0.9", false, true, false, false, false, false, false},
        {"::1", false, true, false, false, false, false, false},
        {"1::1", false, false, false, false, false, false, true},
        {"169.254.1.1", false, false, true, false, false, false, false},
        {"169.253.1.1", false, false, false, false, false, false, true},
        {"fe80::1", false, false, true, false, false, false, false},
        {"febf::1", false, false, true, false, false, false, false},
        {"fec0::1", false, false, false, false, false, false, true},
        {"224.0.0.1", false, false, false, true, false, false, false},
        {"239.255.255.255", false, false, false, true, false, false, false},
        {"ff02::1", false, false, false, true, false, false, false},
        {"255.255.255.255", false, false, false, false, true, false, false},
        {"10.255.0.1", false, false, false, false, false, true, true},
        {"172.15.0.1", false, false, false, false, false, false, true},
        {"172.16.0.1", false, false, false, false, false, true, true},
        {"172.31.0.1", false, false, false, false, false, true, true},
        {"172.32.0.1", false, false, false, false, false, false, true},
        {"192.168.1.1", false, false, false, false, false, true, true},
        {"100.64.0.1", false, false, false, false, false, true, true},
        {"100.128.0.1", false, false, false, false, false, false, true},
        {"fd00::1", false, false, false, false, false, true, true},
        {"fc00::1", false, false, false, false, false, true, true},
        {"2001:db8::1", false, false, false, false, false, false, true},
    };
    for (const Row& row : table) {
        const IpAddress address = ip(row.text);
        EXPECT_EQ(address.is_unspecified(), row.unspecified) << row.text;
        EXPECT_EQ(address.is_loopback(), row.loopback) << row.text;
        EXPECT_EQ(address.is_link_local(), row.link_local) << row.text;
        EXPECT_EQ(address.is_multicast(), row.multicast) << row.text;
        EXPECT_EQ(address.is_broadcast(), row.broadcast) << row.text;
        EXPECT_EQ(address.is_private(), row.is_private) << row.text;
        EXPECT_EQ(address.is_global_unicast(), row.global) << row.text;
    }
}

TEST(IpAddress, OrdersFamiliesThenBytes) {
    EXPECT_LT(ip("255.255.255.255"), ip("::"));
    EXPECT_LT(ip("10.0.0.9"), ip("10.0.0.10"));
    EXPECT_NE(ip("0.0.0.0"), ip("::"));
}

TEST(Prefix, ParsesAndPrints) {
    const std::vector<std::pair<std::string, std::string>> table = {
        {"10.0.0.0/8", "10.0.0.0/8"},         {"10.1.2.3", "10.1.2.3/32"},
        {"0.0.0.0/0", "0.0.0.0/0"},           {"::/0", "::/0"},
        {"2001:db8::/33", "2001:db8::/33"},   {"2001:db8::1", "2001:db8::1/128"},
        {"192.0.2.128/25", "192.0.2.128/25"},
    };
    for (const auto& [text, expected] : table) EXPECT_EQ(net(text).to_string(), expected);
}

TEST(Prefix, RefusesBadLengths) {
    for (const std::string text : {"10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/-1", "10.0.0.0/+8",
                                   "10.0.0.0/8 ", "10.0.0.0/8/8", "::/129", "::/4294967296", "/8", ""})
        EXPECT_FALSE(Prefix::parse(text)) << text;
}

TEST(Prefix, HostBitsNameTheNetworkMeant) {
    EXPECT_THAT(Prefix::parse("10.1.2.3/16").error().message(), HasSubstr("the network is 10.1.0.0/16"));
    EXPECT_THAT(Prefix::parse("2001:db8::1/64").error().message(), HasSubstr("2001:db8::/64"));
}

TEST(Prefix, MakeClearsHostBitsAtEveryLength) {
    for (unsigned length = 0; length <= 32; ++length) {
        const auto prefix = Prefix::make(ip("255.255.255.255"), length).value();
        std::uint32_t value = 0;
        for (const auto byte : prefix.address().bytes()) value = value << 8 | byte;
        EXPECT_EQ(value, length == 0 ? 0U : ~0U << (32 - length));
        EXPECT_EQ(prefix.is_host(), length == 32);
        EXPECT_EQ(prefix.is_default(), length == 0);
    }
    EXPECT_FALSE(Prefix::make(ip("1.2.3.4"), 33));
    EXPECT_FALSE(Prefix::make(ip("::"), 129));
}

TEST(Prefix, ContainsAndOverlaps) {
    EXPECT_TRUE(net("10.0.0.0/9").contains(ip("10.127.255.255")));
    EXPECT_FALSE(net("10.0.0.0/9").contains(ip("10.128.0.0")));
    EXPECT_TRUE(net("0.0.0.0/0").contains(ip("1.2.3.4")));
    EXPECT_FALSE(net("0.0.0.0/0").contains(ip("::1")));
    EXPECT_FALSE(net("::/0").contains(net("0.0.0.0/0")));
    EXPECT_TRUE(net("10.0.0.0/8").contains(net("10.0.0.0/8")));
    EXPECT_TRUE(net("10.0.0.0/8").contains(net("10.1.0.0/16")));
    EXPECT_FALSE(net("10.1.0.0/16").contains(net("10.0.0.0/8")));
    EXPECT_TRUE(net("10.1.0.0/16").overlaps(net("10.0.0.0/8")));
    EXPECT_FALSE(net("10.1.0.0/16").overlaps(net("10.2.0.0/16")));
    EXPECT_TRUE(net("2001:db8::/127").contains(ip("2001:db8::1")));
    EXPECT_FALSE(net("2001:db8::/127").contains(ip("2001:db8::2")));
}

TEST(Prefix, HashesByValue) {
    const std::unordered_set<Prefix> set = {net("10.0.0.0/8"), net("10.0.0.0/9"), net("::/0"),
                                            net("0.0.0.0/0")};
    EXPECT_EQ(set.size(), 4U);
    EXPECT_TRUE(set.contains(net("10.0.0.0/8")));
    const std::unordered_set<Endpoint> ends = {{ip("10.0.0.1"), 1}, {ip("10.0.0.1"), 2}, {ip("10.0.0.1"), 1}};
    EXPECT_EQ(ends.size(), 2U);
}

TEST(Endpoint, RoundTrips) {
    for (const std::string text : {"192.0.2.1:51820", "[2001:db8::1]:1", "1.1.1.1:65535"})
        EXPECT_EQ(Endpoint::parse(text).value().to_string(), text);
}

TEST(Endpoint, RefusesWhatIsNotOne) {
    for (const std::string text : {"",
                                   ":",
                                   ":1",
                                   "1.2.3.4",
                                   "1.2.3.4:",
                                   "1.2.3.4:0",
                                   "1.2.3.4:65536",
                                   "1.2.3.4:01",
                                   "1.2.3.4:+1",
                                   "1.2.3.4:1 ",
                                   "1.2.3.4:99999999999",
                                   "2001:db8::1:51820",
                                   "[2001:db8::1]",
                                   "[2001:db8::1]:",
                                   "[2001:db8::1",
                                   "[1.2.3.4]:5",
                                   "[]:5",
                                   "host:5",
                                   "[2001:db8::1]x:5",
                                   "[fe80::1%eth0]:5"})
        EXPECT_FALSE(Endpoint::parse(text)) << text;
    EXPECT_THAT(Endpoint::parse("2001:db8::1:51820").error().message(), HasSubstr("[2001:db8::1]:51820"));
}

TEST(HostPort, TakesAddressesAndNames) {
    const std::vector<std::pair<std::string, std::string>> table = {
        {"192.0.2.1:51820", "192.0.2.1:51820"},         {"[2001:DB8:0::1]:51820", "[2001:db8::1]:51820"},
        {"VPN.Example.org:443", "vpn.example.org:443"}, {"a:1", "a:1"},
        {"3com.example:1", "3com.example:1"},           {"1-2.x--y:1", "1-2.x--y:1"},
    };
    for (const auto& [text, expected] : table) {
        const auto parsed = HostPort::parse(text);
        ASSERT_TRUE(parsed) << text;
        EXPECT_EQ(parsed->to_string(), expected);
    }
    EXPECT_TRUE(HostPort::parse("[::1]:5")->is_address());
    EXPECT_EQ(HostPort::parse("[::1]:5")->endpoint()->to_string(), "[::1]:5");
    EXPECT_FALSE(HostPort::parse("a.b:5")->is_address());
    EXPECT_EQ(HostPort::parse("a.b:5")->endpoint().error().kind(), ErrorKind::not_found);
}

TEST(HostPort, RefusesBadNames) {
    const std::string label63(63, 'a');
    const std::string name253 = label63 + '.' + label63 + '.' + label63 + '.' + std::string(61, 'a');
    ASSERT_EQ(name253.size(), 253U);
    EXPECT_TRUE(HostPort::parse(name253 + ":1"));
    EXPECT_FALSE(HostPort::parse(name253 + "a:1"));
    EXPECT_FALSE(HostPort::parse(label63 + "a:1"));
    for (const std::string text :
         {"-a:1", "a-:1", "a..b:1", ".a:1", "a.:1", "a_b:1", "a b:1", "1.2.3:1", "300.1.1.1:1", "a.1:1",
          "[a.b]:1", "[1.2.3.4]:1", "\xc3\xa9.example:1", "a:0", "a", "", "http://a:1", "a\n:1"})
        EXPECT_FALSE(HostPort::parse(text)) << text;
}

}  // namespace
}  // namespace wglan
