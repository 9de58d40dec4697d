// SPDX-License-Identifier: Apache-2.0
#include "agent/netlink/reply.h"

#include <linux/rtnetlink.h>

#include <cerrno>

#include <gmock/gmock.h>

#include "tests/unit/netlink/messages.h"

namespace wglan::rtnl {
namespace {

using test::Message;
using testing::HasSubstr;

constexpr std::uint32_t kSequence = 7;

Message of_ours(std::uint16_t type, std::uint16_t flags = 0) { return Message(type, flags, kSequence); }

nlmsgerr acknowledgement(int code) {
    nlmsgerr error{};
    error.error = code;
    error.msg.nlmsg_len = sizeof(nlmsghdr);
    return error;
}

std::vector<std::uint8_t> operator+(std::vector<std::uint8_t> left, const std::vector<std::uint8_t>& right) {
    left.insert(left.end(), right.begin(), right.end());
    return left;
}

struct Reader {
    ReplyReader reader{kSequence};
    int messages = 0;

    Result<bool> feed(const std::vector<std::uint8_t>& datagram) {
        return reader.feed(datagram, [this](Bytes) {
            ++messages;
            return Result<>();
        });
    }
};

TEST(Reply, ADumpEndsWithDone) {
    Reader reader;
    const auto part = of_ours(RTM_NEWLINK, NLM_F_MULTI).bytes();
    EXPECT_EQ(reader.feed(part + part).value(), false);
    EXPECT_EQ(reader.feed(part + of_ours(NLMSG_DONE, NLM_F_MULTI).header(0).bytes()).value(), true);
    EXPECT_EQ(reader.messages, 3);
    EXPECT_FALSE(reader.reader.interrupted());
}

TEST(Reply, AnswersToOtherRequestsAreSkipped) {
    Reader reader;
    const auto stale = Message(NLMSG_ERROR, 0, kSequence - 1).header(acknowledgement(-EPERM)).bytes();
    EXPECT_EQ(reader.feed(stale + Message(RTM_NEWLINK, 0, 0).bytes()).value(), false);
    EXPECT_EQ(reader.feed(of_ours(NLMSG_ERROR).header(acknowledgement(0)).bytes()).value(), true);
    EXPECT_EQ(reader.messages, 0);
}

TEST(Reply, AnInterruptedDumpSaysSo) {
    Reader reader;
    EXPECT_TRUE(reader.feed(of_ours(RTM_NEWLINK, NLM_F_MULTI | NLM_F_DUMP_INTR).bytes()));
    EXPECT_EQ(reader.feed(of_ours(NLMSG_DONE, NLM_F_MULTI).bytes()).value(), true);
    EXPECT_TRUE(reader.reader.interrupted());
    Reader last;
    EXPECT_EQ(last.feed(of_ours(NLMSG_DONE, NLM_F_MULTI | NLM_F_DUMP_INTR).bytes()).value(), true);
    EXPECT_TRUE(last.reader.interrupted());
}

TEST(Reply, ARefusalCarriesErrnoAndTheKernelsWords) {
    Reader plain;
    const auto refused = plain.feed(of_ours(NLMSG_ERROR).header(acknowledgement(-EPERM)).bytes());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::permission);
    EXPECT_EQ(refused.error().code(), EPERM);
    EXPECT_TRUE(plain.reader.complete());

    Reader wordy;
    const auto bytes = of_ours(NLMSG_ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS)
                           .header(acknowledgement(-EINVAL))
                           .text(NLMSGERR_ATTR_MSG, "Invalid prefix length")
                           .bytes();
    EXPECT_THAT(wordy.feed(bytes).error().message(), HasSubstr("Invalid prefix length"));

    // Without NETLINK_CAP_ACK the whole request stands before the words.
    Reader uncapped;
    nlmsgerr error = acknowledgement(-EINVAL);
    error.msg.nlmsg_len = sizeof(nlmsghdr) + 8;
    const auto long_form = of_ours(NLMSG_ERROR, NLM_F_ACK_TLVS)
                               .header(error)
                               .header(std::uint64_t{0})
                               .text(NLMSGERR_ATTR_MSG, "Invalid prefix length")
                               .bytes();
    EXPECT_THAT(uncapped.feed(long_form).error().message(), HasSubstr("Invalid prefix length"));
}

TEST(Reply, ADumpThatFailsHalfWayFails) {
    Reader reader;
    const auto failed = reader.feed(of_ours(NLMSG_DONE, NLM_F_MULTI).header(std::int32_t{-ENOENT}).bytes());
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code(), ENOENT);
}

TEST(Reply, NonsenseIsAProtocolError) {
    nlmsgerr positive = acknowledgement(5);
    nlmsgerr huge = acknowledgement(-2147483647 - 1);
    nlmsgerr liar = acknowledgement(-EINVAL);
    liar.msg.nlmsg_len = 0xffffffff;
    const std::vector<std::vector<std::uint8_t>> bad = {
        {1, 2, 3},
        of_ours(NLMSG_ERROR).bytes(),
        of_ours(NLMSG_ERROR).header(positive).bytes(),
        of_ours(NLMSG_ERROR).header(huge).bytes(),
    };
    for (std::size_t i = 0; i < bad.size(); ++i) {
        Reader reader;
        const auto fed = reader.feed(bad[i]);
        ASSERT_FALSE(fed) << i;
        EXPECT_EQ(fed.error().kind(), ErrorKind::protocol) << i;
    }
    Reader reader;
    EXPECT_EQ(reader.feed(of_ours(NLMSG_ERROR, NLM_F_ACK_TLVS).header(liar).bytes()).error().code(), EINVAL);

    Reader overrun;
    EXPECT_FALSE(overrun.feed(of_ours(NLMSG_OVERRUN).bytes()));
    auto wrong_length = of_ours(RTM_NEWLINK).bytes();
    wrong_length[0] = 200;
    EXPECT_FALSE(Reader().feed(wrong_length));
    wrong_length[0] = 4;
    EXPECT_FALSE(Reader().feed(wrong_length));
}

TEST(UntilConsistent, TriesAgainAndGivesUpAfterFive) {
    int tries = 0;
    EXPECT_TRUE(until_consistent([&] { return Result<bool>(++tries == 5); }));
    EXPECT_EQ(tries, 5);
    tries = 0;
    const auto never = until_consistent([&] {
        ++tries;
        return Result<bool>(false);
    });
    ASSERT_FALSE(never);
    EXPECT_EQ(never.error().kind(), ErrorKind::conflict);
    EXPECT_EQ(tries, 5);
    tries = 0;
    const auto failed = until_consistent([&]() -> Result<bool> {
        ++tries;
        return fail(ErrorKind::io, "x");
    });
    EXPECT_EQ(failed.error().kind(), ErrorKind::io);
    EXPECT_EQ(tries, 1);
}

TEST(Request, WhatDoesNotFitIsReported) {
    Request request(RTM_NEWLINK, 0);
    request.text(1, std::string(100000, 'x'));
    request.u32(2, 1);
    const auto finished = request.finish();
    ASSERT_FALSE(finished);
    EXPECT_EQ(finished.error().kind(), ErrorKind::exhausted);
}

}  // namespace
}  // namespace wglan::rtnl
