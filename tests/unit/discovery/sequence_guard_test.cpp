// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/sequence_guard.h"

#include <gmock/gmock.h>

#include "fixture.h"

namespace wglan::testing {
namespace {

using ::testing::HasSubstr;

NodeEntry statement(std::uint32_t node, std::uint64_t sequence, std::string payload, UnixTime issued = kNow) {
    NodeEntry entry;
    std::memcpy(entry.node.bytes.data(), &node, sizeof node);
    entry.envelope.sequence = sequence;
    entry.envelope.issued = issued;
    entry.envelope.payload = std::move(payload);
    return entry;
}

TEST(SequenceGuard, RefusesALowerSequence) {
    SequenceGuard guard;
    EXPECT_TRUE(guard.admit(statement(1, 5, "a")));
    EXPECT_TRUE(guard.admit(statement(1, 5, "a")));
    EXPECT_TRUE(guard.admit(statement(1, 7, "b")));
    auto refused = guard.admit(statement(1, 6, "c"));
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message(), HasSubstr("rolled back: sequence 6, but 7"));
    EXPECT_TRUE(guard.admit(statement(2, 1, "other node")));
}

TEST(SequenceGuard, ATombstoneEndsWhatWasSaidBefore) {
    SequenceGuard guard;
    EXPECT_TRUE(guard.admit(statement(1, 5, "a")));
    EXPECT_TRUE(guard.admit(statement(1, 6, "")));
    EXPECT_FALSE(guard.admit(statement(1, 5, "a")));
    EXPECT_THAT(message(guard.admit(statement(1, 6, "b"))), HasSubstr("withdrawn"));
    EXPECT_TRUE(guard.admit(statement(1, 6, "")));
    ASSERT_EQ(guard.tombstones().size(), 1U);
    EXPECT_EQ(guard.tombstones()[0].sequence, 6U);
    EXPECT_TRUE(guard.admit(statement(1, 7, "back again")));
    EXPECT_TRUE(guard.tombstones().empty());
}

TEST(SequenceGuard, ALateTombstoneDoesNotUndoANewerRecord) {
    SequenceGuard guard;
    EXPECT_TRUE(guard.admit(statement(1, 7, "a")));
    EXPECT_FALSE(guard.admit(statement(1, 6, "")));
    EXPECT_TRUE(guard.tombstones().empty());
}

TEST(SequenceGuard, KnowsExactlyTheBytesItAdmitted) {
    SequenceGuard guard;
    const auto entry = statement(1, 5, "a");
    EXPECT_FALSE(guard.knows(entry));
    EXPECT_TRUE(guard.admit(entry));
    EXPECT_TRUE(guard.knows(entry));
    auto other = entry;
    other.envelope.member[0] = 1;
    EXPECT_FALSE(guard.knows(other));
    guard.forget(entry.node);
    EXPECT_FALSE(guard.knows(entry));
    EXPECT_FALSE(guard.check(entry.node, 4, EnvelopeKind::put));
}

TEST(SequenceGuard, RestoreKeepsTheHigherSequence) {
    SequenceGuard guard;
    const auto entry = statement(1, 5, "a");
    EXPECT_TRUE(guard.admit(entry));
    guard.restore(entry.node, {.sequence = 3, .issued = kNow, .withdrawn = true, .entry = nullptr});
    EXPECT_TRUE(guard.check(entry.node, 5, EnvelopeKind::put));
    guard.restore(entry.node, {.sequence = 9, .issued = kNow, .withdrawn = true, .entry = nullptr});
    EXPECT_FALSE(guard.check(entry.node, 9, EnvelopeKind::put));
}

TEST(SequenceGuard, StaysBoundedAndDropsTheOldest) {
    SequenceGuard guard;
    for (std::uint32_t i = 0; i <= SequenceGuard::kMaxIdentities; ++i)
        EXPECT_TRUE(guard.admit(statement(i, 5, "", kNow + i)));
    EXPECT_LE(guard.all().size(), SequenceGuard::kMaxIdentities);
    EXPECT_FALSE(guard.all().contains(statement(0, 1, "").node));
    EXPECT_TRUE(guard.all().contains(statement(SequenceGuard::kMaxIdentities, 1, "").node));
}

}  // namespace
}  // namespace wglan::testing
