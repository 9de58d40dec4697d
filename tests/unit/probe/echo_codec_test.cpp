// SPDX-License-Identifier: Apache-2.0
#include "agent/probe/echo_codec.h"

#include <vector>

#include <gtest/gtest.h>

#include "tests/support/samples.h"

namespace wglan {
namespace {

using namespace samples;

constexpr EchoKey kKey{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
constexpr std::uint64_t kNumber = 0x0102030405060708;

// What a kernel makes of a request.
std::vector<std::uint8_t> reply_to(const EchoBytes& request) {
    std::vector<std::uint8_t> reply(request.begin(), request.end());
    reply[0] = 129;
    reply[2] = 0xab;  // a checksum
    return reply;
}

TEST(EchoCodec, ARequestIsAnIcmpv6Echo) {
    const EchoBytes bytes = encode_echo_request(kKey, 0xbeef, kNumber, ip("200:1001::2"));
    const std::vector<std::uint8_t> head(bytes.begin(), bytes.begin() + 20);
    EXPECT_EQ(head, (std::vector<std::uint8_t>{128, 0,   0, 0, 0xbe, 0xef, 0x07, 0x08, 'w', 'g',
                                               'l', 'n', 1, 2, 3,    4,    5,    6,    7,   8}));
}

TEST(EchoCodec, AnAnswerBringsTheNumberBack) {
    const auto reply = reply_to(encode_echo_request(kKey, 7, kNumber, ip("200:1001::2")));
    EXPECT_EQ(decode_echo_reply(kKey, reply, ip("200:1001::2")), kNumber);
}

TEST(EchoCodec, NothingElseIsBelieved) {
    const auto good = reply_to(encode_echo_request(kKey, 7, kNumber, ip("200:1001::2")));
    EXPECT_FALSE(decode_echo_reply(kKey, good, ip("200:1001::3"))) << "another peer's";
    EXPECT_FALSE(decode_echo_reply(EchoKey{}, good, ip("200:1001::2"))) << "another process's";
    for (const std::size_t at : {0, 1, 8, 11, 12, 19, 20, 27}) {
        auto bad = good;
        bad[at] ^= 1;
        EXPECT_FALSE(decode_echo_reply(kKey, bad, ip("200:1001::2"))) << at;
    }
    for (std::size_t length = 0; length < good.size(); ++length)
        EXPECT_FALSE(decode_echo_reply(kKey, std::span(good).first(length), ip("200:1001::2"))) << length;
    auto longer = good;
    longer.push_back(0);
    EXPECT_FALSE(decode_echo_reply(kKey, longer, ip("200:1001::2")));
}

TEST(EchoCodec, WhoHearsNothingSaysSo) {
    const EchoBytes deaf = encode_echo_request(kKey, 7, kNumber, ip("200:1001::2"), true);
    const EchoBytes usual = encode_echo_request(kKey, 7, kNumber, ip("200:1001::2"));
    EXPECT_TRUE(is_deaf_request(deaf));
    EXPECT_FALSE(is_deaf_request(usual));
    const auto reply = reply_to(deaf);
    EXPECT_FALSE(is_deaf_request(reply));
    EXPECT_EQ(decode_echo_reply(kKey, reply, ip("200:1001::2")), kNumber) << "it is answered as any other";
    for (std::size_t length = 0; length < deaf.size(); ++length)
        EXPECT_FALSE(is_deaf_request(std::span(deaf).first(length))) << length;
    for (const std::size_t at : {0, 1, 8, 11}) {
        auto other = deaf;
        other[at] ^= 1;
        EXPECT_FALSE(is_deaf_request(other)) << at;
    }
}

}  // namespace
}  // namespace wglan
