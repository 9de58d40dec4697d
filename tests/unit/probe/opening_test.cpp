// SPDX-License-Identifier: Apache-2.0
#include "agent/probe/opening.h"

#include <vector>

#include <gtest/gtest.h>

#include "tests/support/samples.h"

namespace wglan {
namespace {

using namespace samples;

TEST(Opening, IsAMessageForNobodyWithACounterThatIsFullAtTheSecondHost) {
    const OpeningBytes bytes = encode_opening(at("198.51.100.2:40001"), 51820, 1);
    const std::vector<std::uint8_t> head(bytes.begin(), bytes.begin() + 36);
    const std::vector<std::uint8_t> ip_header{0x46, 0, 0, 64, 0x77, 0x61, 0,   0,  64,  17,
                                              0,    0, 0, 0,  0,    0,    198, 51, 100, 2};
    const std::vector<std::uint8_t> timestamp{68, 4, 5, 0xe0};  // no room, 14 missed
    const std::vector<std::uint8_t> udp{0xca, 0x6c, 0x9c, 0x41, 0, 40, 0, 0};
    const std::vector<std::uint8_t> message{4, 0, 0, 0};
    std::vector<std::uint8_t> expected;
    for (const auto* part : {&ip_header, &timestamp, &udp, &message})
        expected.insert(expected.end(), part->begin(), part->end());
    EXPECT_EQ(head, expected) << "the kernel adds source and checksum";
    EXPECT_EQ(encode_opening(at("198.51.100.2:40001"), 51820, 3)[23], 0xc0) << "passes two hosts more";
    for (std::size_t i = 36; i < bytes.size(); ++i) EXPECT_EQ(bytes[i], 0) << i << ": for no session";
}

// What a host sends back that refused it: an IP header, ICMP's, and the packet as it came there.
std::vector<std::uint8_t> refusal(const char* from, const OpeningBytes& opening) {
    std::vector<std::uint8_t> packet(28);
    packet[0] = 0x45;
    packet[9] = 1;
    const IpAddress source = ip(from);
    std::copy(source.bytes().begin(), source.bytes().end(), packet.begin() + 12);
    packet[20] = 12;
    packet.insert(packet.end(), opening.begin(), opening.begin() + 32);
    return packet;
}

TEST(Opening, IsKnownByItsRefusal) {
    const Endpoint to = at("198.51.100.2:40001");
    const auto packet = refusal("100.64.0.1", encode_opening(to, 51820, 3));
    EXPECT_EQ(decode_opening_answer(packet), (OpeningAnswer{to, ip("100.64.0.1"), 3}));
    for (std::size_t length = 0; length < packet.size(); ++length)
        EXPECT_FALSE(decode_opening_answer(std::span(packet).first(length))) << length;
    for (const std::size_t at : {0, 9, 20, 28, 32, 37}) {
        auto other = packet;
        other[at] ^= 0xff;
        EXPECT_FALSE(decode_opening_answer(other)) << at;
    }
}

TEST(Opening, GoesOneHostFurtherUntilThePlaceItselfRefuses) {
    const Endpoint to = at("198.51.100.2:40001");
    Openings openings;
    SteadyTime now{std::chrono::hours(1)};
    EXPECT_EQ(openings.begin(to, now), 1U);
    EXPECT_EQ(openings.answered({to, ip("100.64.0.1"), 1}, now), 2U);
    EXPECT_EQ(openings.answered({to, ip("100.64.0.1"), 1}, now), std::nullopt) << "told twice";
    EXPECT_EQ(openings.answered({to, to.address, 2}, now), std::nullopt);
    EXPECT_EQ(openings.answered({to, ip("100.64.0.1"), 2}, now), std::nullopt) << "it is over";
    openings.begin(to, now);
    for (unsigned hosts = 1; hosts < kMostOpened; ++hosts)
        EXPECT_EQ(openings.answered({to, ip("100.64.0.1"), hosts}, now), hosts + 1);
    EXPECT_EQ(openings.answered({to, ip("100.64.0.1"), kMostOpened}, now), std::nullopt);
    openings.begin(to, now);
    EXPECT_EQ(openings.answered({to, ip("100.64.0.1"), 1}, now + Seconds(3)), std::nullopt) << "too late";
    EXPECT_EQ(openings.answered({at("198.51.100.3:1"), ip("100.64.0.1"), 1}, now), std::nullopt)
        << "nobody asked";
}

}  // namespace
}  // namespace wglan
