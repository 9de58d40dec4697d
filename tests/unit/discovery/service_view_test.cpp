// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/service_view.h"

#include <gmock/gmock.h>

#include "fixture.h"

namespace wglan::testing {
namespace {

using Kind = SourceUpdate::Kind;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<Kind> kinds(const std::vector<SourceUpdate>& updates) {
    std::vector<Kind> out;
    for (const auto& update : updates) out.push_back(update.kind);
    return out;
}

class ServiceViewTest : public ::testing::Test {
protected:
    std::vector<SourceUpdate> list(const NodeList& content) {
        view_.begin_list();
        for (const auto& entry : content.nodes) view_.add_listed(entry);
        return view_.end_list(content, own_);
    }
    std::vector<SourceUpdate> nodes(std::vector<NodeEntry> entries) {
        NodeList content;
        content.nodes = std::move(entries);
        return list(content);
    }
    std::vector<SourceUpdate> put(const NodeEntry& entry) {
        return view_.apply({WatchEvent::Type::put, "e-1", false, entry}, own_);
    }
    std::vector<SourceUpdate> remove(const NodeEntry& entry, bool expired = false) {
        return view_.apply({WatchEvent::Type::remove, "e-1", expired, entry}, own_);
    }
    // What is refused, and why.
    void expect_refused(const NodeEntry& entry, std::string_view reason) {
        auto updates = put(entry);
        ASSERT_THAT(kinds(updates), ElementsAre(Kind::refused)) << reason;
        EXPECT_THAT(updates[0].refused_reason, HasSubstr(reason));
        EXPECT_EQ(updates[0].refused_peer, to_string(entry.node));
    }

    asio::io_context io_;
    FakeClock clock_;
    Node self_{1}, two_{2}, three_{3};
    SourceContext context_ = context_for(io_, clock_, self_);
    const ClusterKeys& keys_ = *context_.keys;
    ServiceView view_{context_, "service:test:1"};
    OwnSight own_;
};

TEST_F(ServiceViewTest, AListIsACompleteSnapshotWithoutOurselves) {
    auto entry = two_.entry(keys_, 4);
    entry.observed_address = must(IpAddress::parse("203.0.113.7"));
    auto updates = nodes({entry, self_.entry(keys_, 9), three_.entry(keys_, 1)});
    ASSERT_THAT(kinds(updates), ElementsAre(Kind::snapshot));
    ASSERT_EQ(updates[0].records.size(), 2U);
    EXPECT_EQ(updates[0].records[0].record.name, "node2");
    EXPECT_EQ(updates[0].records[0].observed_address, entry.observed_address);
    EXPECT_EQ(updates[0].records[0].source, "service:test:1");
    EXPECT_EQ(view_.size(), 2U);
    ASSERT_TRUE(own_.known && own_.envelope);
    EXPECT_EQ(own_.envelope->sequence, 9U);
}

TEST_F(ServiceViewTest, AnEmptyListSaysThatOurRecordIsNotThere) {
    nodes({});
    EXPECT_TRUE(own_.known);
    EXPECT_FALSE(own_.envelope);
}

TEST_F(ServiceViewTest, AForgedEntryOfOursIsNotBelieved) {
    auto forged = self_.entry(keys_, kMaxSequence);
    forged.envelope.signature[5] ^= 1;
    EXPECT_THAT(kinds(nodes({forged})), ElementsAre(Kind::refused, Kind::snapshot));
    EXPECT_FALSE(own_.envelope);
}

TEST_F(ServiceViewTest, TheSameRecordAgainIsNoNews) {
    const auto entry = two_.entry(keys_, 4);
    EXPECT_THAT(kinds(put(entry)), ElementsAre(Kind::put));
    EXPECT_TRUE(put(entry).empty());
    auto elsewhere = entry;
    elsewhere.observed_address = must(IpAddress::parse("203.0.113.8"));
    EXPECT_THAT(kinds(put(elsewhere)), ElementsAre(Kind::put));
    EXPECT_THAT(kinds(put(two_.entry(keys_, 5))), ElementsAre(Kind::put));
}

TEST_F(ServiceViewTest, RefusesForgedReplayedStaleAndWronglySealedRecords) {
    auto forged = two_.entry(keys_, 4);
    forged.envelope.payload[50] ^= 1;
    expect_refused(forged, "signature");
    clock_.steady += Seconds{61};

    auto moved = two_.entry(keys_, 4);  // one node's envelope under another's name
    moved.node = three_.identity;
    expect_refused(moved, "signature");

    expect_refused(two_.entry(keys_, 4, kNow - 90000), "stale");
    clock_.steady += Seconds{61};
    expect_refused(two_.entry(keys_, 4, kNow + 700), "future");
    clock_.steady += Seconds{61};
    expect_refused(two_.entry_of(keys_, 4, "{}"), "\"version\"");
    clock_.steady += Seconds{61};

    const auto others = must(ClusterKeys::derive(as_bytes("another token of enough bytes"), keys_.cluster()));
    expect_refused(two_.entry(others, 4), "member");
    clock_.steady += Seconds{61};

    auto payload = others.seal_record(two_.identity, 4, must(encode_record(two_.record)));
    expect_refused(
        {two_.identity, keys_.sign_envelope(two_.seed.bytes(), two_.identity, 4, kNow, 120, payload), {}},
        "wrongly sealed");
    EXPECT_EQ(view_.size(), 0U);
}

TEST_F(ServiceViewTest, RefusesARollBackAndKeepsWhatItHas) {
    put(two_.entry(keys_, 6));
    expect_refused(two_.entry(keys_, 5), "rolled back");
    EXPECT_EQ(view_.size(), 1U);
}

TEST_F(ServiceViewTest, TheGuardIsSharedWithOtherSources) {
    EXPECT_TRUE(context_.guard->admit(two_.entry(keys_, 9)));
    expect_refused(two_.entry(keys_, 8), "rolled back");
}

TEST_F(ServiceViewTest, AnUnsynchronisedClockAcceptsOldRecords) {
    context_.clock_synchronised = [] { return false; };
    ServiceView view(context_, "service:test:2");
    OwnSight own;
    EXPECT_THAT(
        kinds(view.apply({WatchEvent::Type::put, "e-1", false, two_.entry(keys_, 4, kNow - 90000)}, own)),
        ElementsAre(Kind::put));
}

TEST_F(ServiceViewTest, ATombstoneIsTellingAndAnExpiryIsAbsence) {
    nodes({two_.entry(keys_, 4), three_.entry(keys_, 4)});
    auto updates = remove(two_.tombstone(keys_, 5));
    ASSERT_THAT(kinds(updates), ElementsAre(Kind::tombstone));
    EXPECT_EQ(updates[0].tombstone, (Tombstone{two_.identity, 5, kNow}));
    NodeEntry only_id;
    only_id.node = three_.identity;
    updates = remove(only_id, true);
    ASSERT_THAT(kinds(updates), ElementsAre(Kind::gone));
    EXPECT_EQ(updates[0].identity, three_.identity);
    EXPECT_TRUE(remove(only_id, true).empty());
    EXPECT_EQ(view_.size(), 0U);
}

TEST_F(ServiceViewTest, RefusesForgedAndOvertakenTombstones) {
    put(two_.entry(keys_, 6));
    auto forged = two_.tombstone(keys_, 7);
    forged.envelope.signature[0] ^= 1;
    EXPECT_THAT(kinds(remove(forged)), ElementsAre(Kind::refused));
    clock_.steady += Seconds{61};
    EXPECT_THAT(kinds(remove(two_.tombstone(keys_, 5))), ElementsAre(Kind::refused));
    EXPECT_EQ(view_.size(), 1U);
}

TEST_F(ServiceViewTest, AWithdrawnRecordCannotBeReplayed) {
    const auto record = two_.entry(keys_, 4);
    put(record);
    remove(two_.tombstone(keys_, 5));
    expect_refused(record, "rolled back");
}

TEST_F(ServiceViewTest, AListCarriesTombstones) {
    NodeList content;
    content.nodes = {three_.entry(keys_, 1)};
    content.tombstones = {two_.tombstone(keys_, 5)};
    auto updates = list(content);
    ASSERT_THAT(kinds(updates), ElementsAre(Kind::snapshot));
    ASSERT_EQ(updates[0].tombstones.size(), 1U);
    EXPECT_EQ(updates[0].tombstones[0].identity, two_.identity);
}

TEST_F(ServiceViewTest, RefusalsOfOnePeerAreToldOncePerMinute) {
    auto forged = two_.entry(keys_, 4);
    forged.envelope.signature[0] ^= 1;
    EXPECT_EQ(put(forged).size(), 1U);
    EXPECT_EQ(put(forged).size(), 0U);
    clock_.steady += Seconds{61};
    EXPECT_EQ(put(forged).size(), 1U);
}

TEST_F(ServiceViewTest, WhoSaysBetterIsForgiven) {
    const auto forged = [&](std::uint64_t sequence) {
        auto entry = two_.entry(keys_, sequence);
        entry.envelope.signature[0] ^= 1;
        return entry;
    };
    const auto sound = two_.entry(keys_, 4);
    EXPECT_THAT(kinds(put(forged(4))), ElementsAre(Kind::refused));
    auto updates = put(sound);
    ASSERT_THAT(kinds(updates), ElementsAre(Kind::forgiven, Kind::put));
    EXPECT_EQ(updates[0].refused_peer, to_string(two_.identity));
    EXPECT_EQ(updates[0].source, "service:test:1");
    EXPECT_THAT(kinds(put(forged(5))), ElementsAre(Kind::refused));
    EXPECT_THAT(kinds(put(sound)), ElementsAre(Kind::forgiven)) << "what is known already";
    EXPECT_THAT(put(sound), IsEmpty());
    EXPECT_THAT(kinds(put(forged(5))), ElementsAre(Kind::refused));
    EXPECT_THAT(kinds(remove(sound, true)), ElementsAre(Kind::forgiven, Kind::gone));
    EXPECT_THAT(kinds(put(forged(6))), ElementsAre(Kind::refused));
    EXPECT_THAT(kinds(remove(two_.tombstone(keys_, 6))), ElementsAre(Kind::forgiven, Kind::tombstone));
    // Back and forth for ever fills no log.
    EXPECT_THAT(put(forged(7)), IsEmpty());
    clock_.steady += Seconds{61};
    EXPECT_THAT(kinds(put(forged(7))), ElementsAre(Kind::refused));
}

TEST_F(ServiceViewTest, AListForgivesWhoIsSoundThroughout) {
    auto forged = three_.tombstone(keys_, 9);
    forged.envelope.signature[0] ^= 1;
    NodeList bad;
    bad.nodes = {two_.entry(keys_, 1), two_.entry(keys_, 1), three_.entry(keys_, 1)};
    bad.tombstones = {forged};
    bad.bad = {"not a JSON object"};
    EXPECT_THAT(kinds(list(bad)), ElementsAre(Kind::refused, Kind::refused, Kind::refused, Kind::snapshot));
    EXPECT_THAT(kinds(list(bad)), ElementsAre(Kind::snapshot)) << "told once, and it stands";
    bad.nodes.erase(bad.nodes.begin());
    auto updates = list(bad);
    ASSERT_THAT(kinds(updates), ElementsAre(Kind::forgiven, Kind::snapshot));
    EXPECT_EQ(updates[0].refused_peer, to_string(two_.identity));
    EXPECT_THAT(kinds(nodes({three_.entry(keys_, 1)})),
                ElementsAre(Kind::forgiven, Kind::forgiven, Kind::snapshot));
}

TEST_F(ServiceViewTest, AFloodOfDifferentNonsenseIsBounded) {
    const auto flood = [&] {
        unsigned stand = 0, told = 0;
        for (std::uint32_t i = 0; i < 2000; ++i) {
            NodeEntry entry = two_.entry(keys_, 4, kNow - 90000);
            std::memcpy(entry.node.bytes.data(), &i, sizeof i);
            for (const auto& update : put(entry)) {
                ++told;
                stand += update.kind == Kind::refused ? 1 : -1;
            }
        }
        return std::pair{stand, told};
    };
    EXPECT_EQ(flood(), std::pair(256U, 256U));
    EXPECT_EQ(flood(), std::pair(0U, 0U)) << "within the minute";
    clock_.steady += Seconds{61};
    EXPECT_EQ(flood(), std::pair(0U, 512U)) << "as many are forgiven as come";
}

TEST_F(ServiceViewTest, AListWithOneBadEntryKeepsTheOthers) {
    NodeList content;
    auto forged = two_.entry(keys_, 4);
    forged.envelope.signature[0] ^= 1;
    content.nodes = {forged, three_.entry(keys_, 1), three_.entry(keys_, 1)};
    content.bad = {"\"sequence\": missing"};
    auto updates = list(content);
    ASSERT_THAT(kinds(updates), ElementsAre(Kind::refused, Kind::refused, Kind::refused, Kind::snapshot));
    EXPECT_EQ(updates.back().records.size(), 1U);
}

}  // namespace
}  // namespace wglan::testing
