// SPDX-License-Identifier: Apache-2.0
#include "tools/wglan-discovery/service/store.h"

#include <gmock/gmock.h>

#include "tests/unit/discovery_service/sample.h"
#include "tools/wglan-discovery/service/rate_limiter.h"

namespace wglan::discovery_service {
namespace {

using Status = PutOutcome::Status;
using test::SampleCluster;
using test::SampleNode;
using testing::HasSubstr;

class StoreTest : public testing::Test {
protected:
    void SetUp() override { ASSERT_TRUE(init_crypto()); }
    PutOutcome put(const NodeEntry& entry) { return store_->put(a_.id, entry, now_); }
    // The events after a revision as "+R" (put), "-R" (tombstone) and "!R" (expired).
    std::vector<std::string> events(std::uint64_t since) {
        std::vector<std::string> out;
        auto found = store_->since(a_.id, since, 1000);
        if (!found) return {"forgotten"};
        for (const auto& event : *found)
            out.push_back((event.type == WatchEvent::Type::put ? "+"
                           : event.expired                     ? "!"
                                                               : "-") +
                          std::to_string(event.revision));
        return out;
    }
    void limits(const StoreLimits& limits) { store_ = std::make_unique<Store>(limits, "epoch"); }

    SampleCluster a_{'a'}, b_{'b', 2};
    SampleNode one_{1}, two_{2}, three_{3};
    SteadyTime now_{};
    std::unique_ptr<Store> store_ = std::make_unique<Store>(StoreLimits{}, "epoch");
};

TEST_F(StoreTest, HigherSequencesStoreAndSameBytesRefresh) {
    EXPECT_EQ(put(one_.entry(a_, 5, "x")).status, Status::stored);
    EXPECT_EQ(put(one_.entry(a_, 5, "x")).status, Status::refreshed);
    EXPECT_EQ(put(one_.entry(a_, 6, "y")).status, Status::stored);
    EXPECT_EQ(events(0), (std::vector<std::string>{"+1", "+2"}));
    EXPECT_EQ(store_->snapshot(a_.id).nodes.size(), 1U);
    EXPECT_THAT(*store_->snapshot(a_.id).nodes[0], HasSubstr("\"sequence\":6"));
    EXPECT_THAT(*store_->snapshot(a_.id).nodes[0], testing::Not(HasSubstr("memberKey")));
}

TEST_F(StoreTest, LowerSequencesAndOtherBytesConflict) {
    put(one_.entry(a_, 5, "x"));
    for (const auto& entry :
         {one_.entry(a_, 4, "x"), one_.entry(a_, 5, "z"), one_.entry(a_, 5, "x", 1'800'000'001),
          one_.entry(a_, 5, "x", 1'800'000'000, 61), one_.entry(a_, 5, "")}) {
        auto outcome = put(entry);
        EXPECT_EQ(outcome.status, Status::conflict);
        EXPECT_EQ(outcome.sequence, 5U);
    }
    EXPECT_EQ(events(0), (std::vector<std::string>{"+1"}));
}

TEST_F(StoreTest, PinsTheMemberKeyAtTheFirstValidWrite) {
    auto without = one_.entry(a_, 1, "x");
    without.envelope.member_key.reset();
    EXPECT_EQ(put(without).status, Status::unknown_member);
    auto forged = one_.entry(a_, 1, "x");
    forged.envelope.member[0] ^= 1;
    EXPECT_EQ(put(forged).status, Status::bad_signature);
    EXPECT_EQ(store_->stats().clusters, 0U) << "an invalid write pins nothing";
    EXPECT_EQ(put(one_.entry(a_, 1, "x")).status, Status::stored);
    without = two_.entry(a_, 1, "x");
    without.envelope.member_key.reset();
    EXPECT_EQ(put(without).status, Status::stored) << "needed once only";
    SampleCluster intruder{'a', 9};
    EXPECT_EQ(put(three_.entry(intruder, 1, "x")).status, Status::bad_signature);
    auto hidden = three_.entry(intruder, 1, "x");
    hidden.envelope.member_key.reset();
    EXPECT_EQ(put(hidden).status, Status::bad_signature);
    EXPECT_EQ(store_->put(b_.id, three_.entry(b_, 1, "x"), now_).status, Status::stored) << "another cluster";
}

TEST_F(StoreTest, RefusesSignaturesThatAreNotTheNodes) {
    auto entry = one_.entry(a_, 1, "x");
    entry.envelope.payload = "y";
    EXPECT_EQ(put(entry).status, Status::bad_signature);
    entry = one_.entry(a_, 1, "x");
    entry.node = two_.key;
    EXPECT_EQ(put(entry).status, Status::bad_signature);
    EXPECT_EQ(store_->put(b_.id, one_.entry(a_, 1, "x"), now_).status, Status::bad_signature)
        << "signed for another cluster";
}

TEST_F(StoreTest, ExpiryTellsWatchersAndRefreshPutsItOff) {
    put(one_.entry(a_, 1, "x"));
    put(two_.entry(a_, 1, "x"));
    now_ += Seconds(40);
    put(one_.entry(a_, 1, "x"));
    EXPECT_EQ(store_->next_expiry(), now_ + Seconds(20));
    now_ += Seconds(20);
    EXPECT_EQ(store_->expire(now_), std::vector<std::string>{a_.id});
    EXPECT_EQ(events(2), (std::vector<std::string>{"!3"}));
    EXPECT_EQ(event_line(store_->since(a_.id, 2, 1)->front(), "epoch-3"),
              "{\"type\":\"delete\",\"revision\":\"epoch-3\",\"expired\":true,\"node\":{\"node\":\"" +
                  to_string(two_.key) + "\"}}\n");
    now_ += Seconds(39);
    EXPECT_TRUE(store_->expire(now_).empty());
    now_ += Seconds(1);
    EXPECT_FALSE(store_->expire(now_).empty());
    EXPECT_EQ(store_->stats().nodes, 0U);
}

TEST_F(StoreTest, TombstonesStayADayAndBlockOlderRecords) {
    put(one_.entry(a_, 5, "x"));
    EXPECT_EQ(put(one_.entry(a_, 6, "")).status, Status::stored);
    EXPECT_EQ(events(1), (std::vector<std::string>{"-2"}));
    EXPECT_THAT(event_line(store_->since(a_.id, 1, 1)->front(), "r"), HasSubstr("\"signature\":"));
    EXPECT_EQ(put(one_.entry(a_, 5, "x")).status, Status::conflict);
    EXPECT_EQ(put(one_.entry(a_, 6, "")).status, Status::refreshed);
    auto snapshot = store_->snapshot(a_.id);
    EXPECT_TRUE(snapshot.nodes.empty());
    EXPECT_EQ(snapshot.tombstones.size(), 1U);
    now_ += Seconds(24 * 3600 - 1);
    store_->expire(now_);
    EXPECT_EQ(store_->stats().tombstones, 1U);
    now_ += Seconds(1);
    EXPECT_TRUE(store_->expire(now_).empty()) << "nobody is told";
    EXPECT_EQ(store_->stats().tombstones, 0U);
    EXPECT_EQ(put(one_.entry(a_, 5, "x")).status, Status::stored);
    EXPECT_EQ(put(one_.entry(a_, 7, "")).status, Status::stored);
    EXPECT_EQ(put(one_.entry(a_, 8, "x")).status, Status::stored) << "a node may come back";
    EXPECT_EQ(store_->stats().tombstones, 0U);
}

TEST_F(StoreTest, LimitsNodesButNotTheirUpdates) {
    StoreLimits small;
    small.nodes = 2;
    limits(small);
    put(one_.entry(a_, 1, "x"));
    put(two_.entry(a_, 1, "x"));
    EXPECT_EQ(put(three_.entry(a_, 1, "x")).status, Status::cluster_full);
    EXPECT_EQ(put(two_.entry(a_, 2, "y")).status, Status::stored);
    EXPECT_EQ(put(one_.entry(a_, 2, "")).status, Status::stored);
    EXPECT_EQ(put(three_.entry(a_, 1, "x")).status, Status::stored);
    EXPECT_EQ(put(one_.entry(a_, 3, "x")).status, Status::cluster_full) << "its tombstone keeps no place";
}

TEST_F(StoreTest, OldestTombstoneMakesWay) {
    StoreLimits small;
    small.nodes = 2;
    limits(small);
    for (const auto* node : {&one_, &two_, &three_}) {
        EXPECT_EQ(put(node->entry(a_, 1, "")).status, Status::stored);
        now_ += Seconds(1);
    }
    auto tombstones = store_->snapshot(a_.id).tombstones;
    ASSERT_EQ(tombstones.size(), 2U);
    for (const auto& entry : tombstones) EXPECT_THAT(*entry, testing::Not(HasSubstr(to_string(one_.key))));
}

TEST_F(StoreTest, EmptyClustersAreDroppedAfterAWhileOrWhenOthersNeedTheRoom) {
    StoreLimits small;
    small.clusters = 1;
    limits(small);
    put(one_.entry(a_, 1, "x"));
    EXPECT_EQ(store_->put(b_.id, one_.entry(b_, 1, "x"), now_).status, Status::service_full);
    now_ += Seconds(60);
    store_->expire(now_);
    SampleCluster intruder{'a', 9};
    EXPECT_EQ(put(two_.entry(intruder, 1, "x")).status, Status::bad_signature) << "the key is still pinned";
    EXPECT_EQ(store_->put(b_.id, one_.entry(b_, 1, "x"), now_).status, Status::stored);
    EXPECT_EQ(store_->stats().clusters, 1U);
    EXPECT_EQ(events(0), std::vector<std::string>{"forgotten"});
    EXPECT_EQ(events(store_->revision()), std::vector<std::string>{});

    limits(StoreLimits{});
    put(one_.entry(a_, 1, "x"));
    now_ += Seconds(60);
    store_->expire(now_);
    now_ = *store_->next_expiry();
    store_->expire(now_);
    EXPECT_EQ(store_->stats().clusters, 0U);
    EXPECT_EQ(store_->stats().bytes, 0U);
}

TEST_F(StoreTest, HistoryIsBounded) {
    StoreLimits small;
    small.history = 3;
    limits(small);
    for (std::uint64_t i = 1; i <= 5; ++i) put(one_.entry(a_, i, "x"));
    EXPECT_EQ(events(1), std::vector<std::string>{"forgotten"});
    EXPECT_EQ(events(2), (std::vector<std::string>{"+3", "+4", "+5"}));
    small.history = 100;
    small.total_history = 3;
    limits(small);
    for (std::uint64_t i = 1; i <= 3; ++i) {
        put(one_.entry(a_, i, "x"));
        store_->put(b_.id, one_.entry(b_, i, "x"), now_);
    }
    EXPECT_EQ(events(2), std::vector<std::string>{"forgotten"});
    EXPECT_EQ(events(3), std::vector<std::string>{"+5"});
}

TEST_F(StoreTest, MemoryIsBoundedHistoryGoesFirst) {
    StoreLimits small;
    small.bytes = 100000;
    limits(small);
    const std::string payload(16000, 'p');
    std::size_t stored = 0;
    for (unsigned i = 0; i < 20; ++i)
        if (put(SampleNode(i).entry(a_, 1, payload)).status == Status::stored) ++stored;
    EXPECT_GE(stored, 2U);
    EXPECT_LT(stored, 5U);
    EXPECT_LE(store_->stats().bytes, small.bytes);
    EXPECT_EQ(events(0), std::vector<std::string>{"forgotten"});
    now_ += Seconds(60);
    store_->expire(now_);
    EXPECT_EQ(put(three_.entry(a_, 9, payload)).status, Status::stored);
}

TEST_F(StoreTest, RefreshKeepsTheNewestObservedAddressWithoutNews) {
    auto entry = one_.entry(a_, 1, "x");
    entry.observed_address = *IpAddress::parse("192.0.2.1");
    put(entry);
    entry.observed_address = *IpAddress::parse("192.0.2.9");
    EXPECT_EQ(put(entry).status, Status::refreshed);
    EXPECT_THAT(*store_->snapshot(a_.id).nodes[0], HasSubstr("192.0.2.9"));
    EXPECT_EQ(store_->revision(), 1U);
}

TEST_F(StoreTest, ReadsItsOwnRevisionsOnly) {
    put(one_.entry(a_, 1, "x"));
    EXPECT_EQ(store_->revision_text(1), "epoch-1");
    EXPECT_EQ(*store_->parse_revision("epoch-1"), 1U);
    EXPECT_EQ(store_->parse_revision("epoch-2").error().kind(), ErrorKind::not_found);
    EXPECT_EQ(store_->parse_revision("other-1").error().kind(), ErrorKind::not_found);
    for (const char* text :
         {"", "1", "epoch", "epoch-", "epoch--1x", "epoch-1x", "epoch-99999999999999999999999"})
        EXPECT_EQ(store_->parse_revision(text).error().kind(), ErrorKind::invalid) << text;
}

TEST(RateLimiter, GivesABurstThenTheRateAndForgetsTheOldest) {
    const auto address = [](const char* text) { return *IpAddress::parse(text); };
    RateLimiter limiter(2, 3, 2);
    SteadyTime now{};
    for (int i = 0; i < 3; ++i) EXPECT_FALSE(limiter.take(address("192.0.2.1"), now));
    EXPECT_EQ(limiter.take(address("192.0.2.1"), now), Seconds(1));
    EXPECT_FALSE(limiter.take(address("192.0.2.2"), now)) << "another client";
    now += Milliseconds(500);
    EXPECT_FALSE(limiter.take(address("192.0.2.1"), now));
    EXPECT_TRUE(limiter.take(address("192.0.2.1"), now));
    limiter.take(address("192.0.2.3"), now);
    EXPECT_EQ(limiter.clients(), 2U);

    RateLimiter six(1, 1);
    EXPECT_FALSE(six.take(address("2001:db8:0:1::1"), now));
    EXPECT_TRUE(six.take(address("2001:db8:0:1::2"), now)) << "the same /64";
    EXPECT_FALSE(six.take(address("2001:db8:0:2::1"), now));
    RateLimiter off(0, 1);
    for (int i = 0; i < 100; ++i) EXPECT_FALSE(off.take(address("192.0.2.1"), now));
}

}  // namespace
}  // namespace wglan::discovery_service
