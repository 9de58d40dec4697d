// SPDX-License-Identifier: Apache-2.0
#include "agent/reach/reach_codec.h"

#include <gtest/gtest.h>

#include "tests/support/samples.h"

namespace wglan {
namespace {

using namespace samples;

ReachNonce nonce(std::uint8_t first) {
    ReachNonce bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(first + i);
    return bytes;
}

ReachAnswer full_answer() {
    ReachAnswer answer;
    answer.nonce = nonce(1);
    answer.seen = at("198.51.100.7:40000");
    answer.time = 1'800'000'000;
    answer.targets = {at("198.51.100.7:40000"), at("[2001:db8::7]:51820"), at("203.0.113.1:1"),
                      at("203.0.113.2:65535")};
    return answer;
}

TEST(ReachCodec, ARequestIsReadBack) {
    const auto bytes = encode_reach_request(nonce(5));
    EXPECT_EQ(decode_reach_request(bytes), nonce(5));
    EXPECT_FALSE(decode_reach_answer(bytes));
}

TEST(ReachCodec, AnAnswerIsReadBack) {
    ReachAnswer empty;
    empty.nonce = nonce(9);
    empty.status = ReachAnswer::Status::too_many;
    ReachAnswer early = empty;
    early.time = -1;
    for (const ReachAnswer& answer : {full_answer(), empty, early}) {
        EXPECT_EQ(decode_reach_answer(encode_reach_answer(answer)), answer);
        EXPECT_FALSE(decode_reach_request(encode_reach_answer(answer)));
    }
}

TEST(ReachCodec, NoMoreTargetsThanThereIsRoomFor) {
    ReachAnswer answer = full_answer();
    answer.targets.push_back(at("203.0.113.3:1"));
    const auto read = decode_reach_answer(encode_reach_answer(answer));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->targets.size(), kMostKnocks);
}

TEST(ReachCodec, AnAnswerIsNoLongerThanItsRequest) {
    EXPECT_LE(encode_reach_answer(full_answer()).size(), encode_reach_request(nonce(1)).size());
}

TEST(ReachCodec, WhatBreaksARuleIsRefused) {
    const auto request = encode_reach_request(nonce(1));
    const auto answer = encode_reach_answer(full_answer());
    for (std::size_t length = 0; length < kReachLength; ++length) {
        EXPECT_FALSE(decode_reach_request(std::span(request).first(length))) << length;
        EXPECT_FALSE(decode_reach_answer(std::span(answer).first(length))) << length;
    }
    std::vector<std::uint8_t> longer(request.begin(), request.end());
    longer.push_back(0);
    EXPECT_FALSE(decode_reach_request(longer));
    struct Case {
        const char* what;
        std::size_t at;
        std::uint8_t value;
    };
    for (const Case& one : {Case{"magic", 0, 'x'}, Case{"version", 4, 2}, Case{"type", 5, 3}}) {
        auto bytes = request;
        bytes[one.at] = one.value;
        EXPECT_FALSE(decode_reach_request(bytes)) << one.what;
    }
    for (const Case& one : {Case{"status", 6, 3}, Case{"count", 7, 5}}) {
        auto bytes = answer;
        bytes[one.at] = one.value;
        EXPECT_FALSE(decode_reach_answer(bytes)) << one.what;
    }
    auto without_port = answer;
    without_port[50 + 16] = without_port[50 + 17] = 0;
    EXPECT_FALSE(decode_reach_answer(without_port));
}

TEST(ReachCodec, AKnockHasTheFormOfADataMessage) {
    const Knock knock{nonce(3), at("198.51.100.7:40000")};
    const auto bytes = encode_knock(knock);
    EXPECT_EQ(decode_knock(bytes), knock);
    EXPECT_EQ(bytes[0], 4);
    EXPECT_EQ(bytes[1] | bytes[2] | bytes[3], 0);
    EXPECT_GE(bytes.size(), 32U);
}

TEST(ReachCodec, OtherPacketsAreNoKnocks) {
    const auto knock = encode_knock({nonce(3), at("198.51.100.7:40000")});
    for (std::size_t length = 0; length < kKnockLength; ++length)
        EXPECT_FALSE(decode_knock(std::span(knock).first(length)));
    for (const std::size_t at : {0U, 1U, 4U, 7U}) {
        auto bytes = knock;
        bytes[at] ^= 1;
        EXPECT_FALSE(decode_knock(bytes)) << at;
    }
}

}  // namespace
}  // namespace wglan
