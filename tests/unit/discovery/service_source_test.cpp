// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/service_source.h"

#include <gmock/gmock.h>

#include "fake_service.h"

namespace wglan::testing {
namespace {

using Kind = SourceUpdate::Kind;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ServiceSourceTest : public ::testing::Test {
protected:
    ServiceSourceTest() { make(); }
    ~ServiceSourceTest() override {
        source_.reset();
        service_.go_down();
        io_.restart();
        io_.poll();
    }

    void make(Milliseconds silence = Seconds{30}, Milliseconds refresh = Seconds{60},
              Milliseconds backoff_most = Milliseconds{40}, Milliseconds backoff_first = Milliseconds{10}) {
        ServiceOptions options;
        options.url = service_.url();
        options.backoff_first = backoff_first;
        options.backoff_most = backoff_most;
        options.silence = silence;
        options.refresh = refresh;
        source_ = must(make_service_source(context_, options));
    }
    void start() {
        source_->start([this](SourceUpdate update) {
            if (update.kind == Kind::own_sequence && reissue_) publish(update.sequence + 1);
            updates_.push_back(std::move(update));
        });
    }
    void publish(std::uint64_t sequence) {
        auto record = self_.record;
        record.sequence = sequence;
        source_->publish({record});
    }
    // Runs the loop until it holds; the limit is only for a broken program.
    template <class Condition>
    ::testing::AssertionResult until(Condition condition) {
        const auto deadline = std::chrono::steady_clock::now() + Seconds{20};
        while (!condition()) {
            if (std::chrono::steady_clock::now() > deadline)
                return ::testing::AssertionFailure() << "not in 20 s";
            io_.restart();
            io_.run_one_for(Milliseconds{50});
        }
        return ::testing::AssertionSuccess();
    }
    std::size_t count(Kind kind) const {
        return static_cast<std::size_t>(
            std::ranges::count_if(updates_, [&](const SourceUpdate& update) { return update.kind == kind; }));
    }
    const SourceUpdate& last(Kind kind) const {
        return *std::find_if(updates_.rbegin(), updates_.rend(),
                             [&](const auto& u) { return u.kind == kind; });
    }
    bool synced() const { return source_->status().state == SourceState::synced; }
    FakeService::State& server() { return *service_.state; }
    bool stored(std::uint64_t sequence) {
        const auto it = server().nodes.find(self_.identity);
        return it != server().nodes.end() && it->second.envelope.sequence == sequence;
    }

    asio::io_context io_;
    FixedDate clock_;
    Node self_{1}, two_{2}, three_{3};
    SourceContext context_ = context_for(io_, clock_, self_);
    const ClusterKeys& keys_ = *context_.keys;
    FakeService service_{io_};
    std::unique_ptr<Source> source_;
    std::vector<SourceUpdate> updates_;
    bool reissue_ = false;
};

TEST_F(ServiceSourceTest, ListsThenWatches) {
    server().put(two_.entry(keys_, 3));
    EXPECT_THAT(source_->status().name, StartsWith("service:127.0.0.1:"));
    EXPECT_EQ(source_->status().state, SourceState::connecting);
    start();
    ASSERT_TRUE(until([&] { return count(Kind::snapshot) == 1 && synced(); }));
    EXPECT_EQ(updates_[0].records[0].record.name, "node2");
    server().put(three_.entry(keys_, 1));
    ASSERT_TRUE(until([&] { return count(Kind::put) == 1; }));
    EXPECT_EQ(last(Kind::put).records[0].record.name, "node3");
    EXPECT_EQ(source_->status().records, 2U);
    server().tombstone(three_.tombstone(keys_, 2));
    ASSERT_TRUE(until([&] { return count(Kind::tombstone) == 1; }));
    server().expire(two_.identity);
    ASSERT_TRUE(until([&] { return count(Kind::gone) == 1; }));
    EXPECT_EQ(source_->status().last_sync, kNow);
}

TEST_F(ServiceSourceTest, GoesOnByANewConnectionWhenTheNetworkChanged) {
    server().put(two_.entry(keys_, 3));
    start();
    ASSERT_TRUE(until([&] { return synced() && server().count("WATCH") == 1; }));
    server().silent_watch = true;  // the old connection is dead, and nobody knows
    source_->network_changed();
    server().put(three_.entry(keys_, 1));
    server().silent_watch = false;
    ASSERT_TRUE(until([&] { return count(Kind::put) == 1; }));
    EXPECT_EQ(server().count("WATCH"), 2U);
    EXPECT_EQ(count(Kind::snapshot), 1U) << "from where it was";
    EXPECT_TRUE(synced());
}

TEST_F(ServiceSourceTest, TriesAtOnceWhenTheNetworkChanged) {
    make(Seconds{30}, Seconds{60}, Seconds{60}, Seconds{60});
    const auto said = [&](const char* text) {
        return source_->status().last_error.find(text) != std::string::npos;
    };
    server().list_status = {500};
    start();
    ASSERT_TRUE(until([&] { return said("list"); }));
    source_->network_changed();
    ASSERT_TRUE(until([&] { return synced(); })) << "not after a minute";
    server().put_status = {500};
    publish(5);
    ASSERT_TRUE(until([&] { return said("publish our record"); }));
    source_->network_changed();
    ASSERT_TRUE(until([&] { return stored(5); }));
}

TEST_F(ServiceSourceTest, PublishesAndRefreshesTheSameBytes) {
    make(Seconds{30}, Milliseconds{20});
    start();
    publish(5);
    ASSERT_TRUE(until([&] { return stored(5); }));
    const auto envelope = server().nodes.at(self_.identity).envelope;
    ASSERT_TRUE(until([&] { return server().count("PUT 5") >= 4; }));
    EXPECT_EQ(server().nodes.at(self_.identity).envelope, envelope);
    EXPECT_EQ(server().events.size(), 1U);
    publish(6);
    ASSERT_TRUE(until([&] { return stored(6); }));
    EXPECT_EQ(count(Kind::put), 0U) << "our own record is no peer";
}

TEST_F(ServiceSourceTest, TakesAStoredSequenceFromAConflictAndGoesAboveIt) {
    server().put(self_.entry(keys_, 40));
    reissue_ = true;
    start();
    publish(3);
    ASSERT_TRUE(until([&] { return stored(41); }));
    EXPECT_EQ(last(Kind::own_sequence).sequence, 40U);
    ASSERT_TRUE(until([&] { return synced(); }));
}

TEST_F(ServiceSourceTest, ACopyOfThisNodeIsAnsweredEverMoreSlowlyAndNamed) {
    make(Seconds{30}, Seconds{60}, Seconds{30});
    reissue_ = true;
    start();
    publish(1);
    ASSERT_TRUE(until([&] { return stored(1); }));
    const auto begin = std::chrono::steady_clock::now();
    constexpr unsigned kTimes = 6;
    for (unsigned i = 1; i <= kTimes; ++i) {
        server().put(self_.entry(keys_, 100ULL * i));
        ASSERT_TRUE(until([&] { return stored(100ULL * i + 1); }));
    }
    // The first at once, then at least half of 10, 20, 40 ... ms.
    EXPECT_GE(std::chrono::steady_clock::now() - begin, Milliseconds{5 * ((1 << (kTimes - 1)) - 1)});
    ASSERT_TRUE(until([&] { return source_->status().state == SourceState::degraded; }));
    EXPECT_THAT(source_->status().last_error, HasSubstr("this node's identity"));
}

TEST_F(ServiceSourceTest, DoesNotBelieveAnAbsurdConflict) {
    server().put_status = {409};
    server().conflict_sequence = kMaxSequence;
    start();
    publish(3);
    ASSERT_TRUE(until([&] { return stored(3) && synced(); }));
    EXPECT_EQ(count(Kind::own_sequence), 0U);
}

TEST_F(ServiceSourceTest, ARestartWithoutOurMemoryIsAnsweredAtOnce) {
    start();
    publish(5);
    ASSERT_TRUE(until([&] { return stored(5) && synced(); }));
    server().restart_empty();
    ASSERT_TRUE(until([&] { return stored(5); }));
    EXPECT_GE(server().count("LIST"), 2U);
    ASSERT_TRUE(until([&] { return synced(); }));
}

TEST_F(ServiceSourceTest, OurRecordThatExpiresIsPutAgain) {
    start();
    publish(5);
    ASSERT_TRUE(until([&] { return stored(5) && synced(); }));
    server().expire(self_.identity);
    ASSERT_TRUE(until([&] { return stored(5); }));
}

TEST_F(ServiceSourceTest, AnotherClustersMemberKeyIsAClearError) {
    server().pinned = MemberKey{};
    start();
    publish(5);
    ASSERT_TRUE(until([&] { return source_->status().state == SourceState::degraded; }));
    EXPECT_THAT(source_->status().last_error, HasSubstr("another cluster's member key is pinned"));
    server().pinned.reset();
    ASSERT_TRUE(until([&] { return stored(5) && synced(); }));
}

TEST_F(ServiceSourceTest, RetriesAfterServerErrors) {
    server().list_status = {500, 503};
    server().watch_status = {500};
    server().put_status = {500, 429, 502};
    server().put(two_.entry(keys_, 3));
    start();
    publish(5);
    ASSERT_TRUE(until([&] { return synced() && stored(5); }));
    EXPECT_EQ(count(Kind::snapshot), 1U);
}

TEST_F(ServiceSourceTest, AServiceThatIsAwayIsDownAndItsRecordsStay) {
    server().put(two_.entry(keys_, 3));
    start();
    publish(5);
    ASSERT_TRUE(until([&] { return synced() && stored(5); }));
    service_.go_down();
    ASSERT_TRUE(until([&] { return source_->status().state == SourceState::down; }));
    EXPECT_NE(source_->status().last_error, "");
    EXPECT_EQ(source_->status().records, 1U);
    EXPECT_EQ(count(Kind::gone), 0U);
    publish(6);
    service_.come_back();
    ASSERT_TRUE(until([&] { return synced() && stored(6); }));
    EXPECT_EQ(count(Kind::snapshot), 1U) << "the watch goes on where it was";
}

TEST_F(ServiceSourceTest, AForgottenRevisionMeansAnotherList) {
    start();
    ASSERT_TRUE(until([&] { return synced(); }));
    server().put(two_.entry(keys_, 3));
    ASSERT_TRUE(until([&] { return count(Kind::put) == 1; }));
    server().watch_status = {410};
    server().close_watches = true;
    ASSERT_TRUE(until([&] { return count(Kind::snapshot) == 2; }));
    EXPECT_EQ(last(Kind::snapshot).records.size(), 1U);
}

TEST_F(ServiceSourceTest, ASilentWatchIsOpenedAgain) {
    server().silent_watch = true;
    make(Milliseconds{30});
    start();
    ASSERT_TRUE(until([&] { return server().count("WATCH") >= 3; }));
    EXPECT_EQ(server().count("LIST"), 1U);
}

TEST_F(ServiceSourceTest, GarbageOnTheWatchDegradesAndIsSurvived) {
    for (std::string line : {std::string("garbage"), std::string("{\"type\":\"put\"}"),
                             std::string(200000, 'x'), std::string("\xff\xfe\x00", 3), std::string()}) {
        make();
        updates_.clear();
        server().log.clear();
        server().put(two_.entry(keys_, 3));
        start();
        ASSERT_TRUE(until([&] { return synced(); }));
        server().raw_line(line);
        ASSERT_TRUE(until([&] { return count(Kind::snapshot) >= 2 && synced(); })) << line.substr(0, 20);
        EXPECT_EQ(last(Kind::snapshot).records.size(), 1U);
        EXPECT_EQ(count(Kind::gone), 0U);
        source_->stop();
    }
}

TEST_F(ServiceSourceTest, GarbageForAListDegradesAndIsSurvived) {
    server().list_body = {"",
                          "not json",
                          "[]",
                          R"({"revision":"a-0"})",
                          R"({"revision":5,"nodes":[]})",
                          std::string(100000, '[')};
    server().cut_list = false;
    start();
    ASSERT_TRUE(until([&] { return source_->status().state == SourceState::degraded; }));
    ASSERT_TRUE(until([&] { return synced(); }));
    EXPECT_EQ(count(Kind::snapshot), 1U);
}

TEST_F(ServiceSourceTest, AListCutShortIsAskedForAgain) {
    for (int i = 2; i < 40; ++i) server().put(Node(static_cast<std::uint8_t>(i)).entry(keys_, 1));
    server().cut_list = true;
    start();
    ASSERT_TRUE(until([&] { return count(Kind::snapshot) == 1; }));
    EXPECT_EQ(updates_[0].records.size(), 38U);
    EXPECT_EQ(server().count("LIST"), 2U);
}

TEST_F(ServiceSourceTest, BadRecordsOnTheWatchAreRefusedAndTheWatchGoesOn) {
    start();
    ASSERT_TRUE(until([&] { return synced(); }));
    auto forged = two_.entry(keys_, 4);
    forged.envelope.signature[0] ^= 1;
    server().put(forged);
    server().put(three_.entry(keys_, 9));
    ASSERT_TRUE(until([&] { return count(Kind::put) == 1 && count(Kind::refused) == 1; }));
    EXPECT_EQ(last(Kind::refused).refused_peer, to_string(two_.identity));
    server().put(three_.entry(keys_, 8));
    ASSERT_TRUE(until([&] { return count(Kind::refused) == 2; }));
    EXPECT_THAT(last(Kind::refused).refused_reason, HasSubstr("rolled back"));
    EXPECT_EQ(server().count("WATCH"), 1U);
    EXPECT_TRUE(synced());
}

TEST_F(ServiceSourceTest, WithdrawSendsASignedTombstone) {
    start();
    publish(5);
    ASSERT_TRUE(until([&] { return stored(5); }));
    std::optional<Result<>> done;
    asio::co_spawn(io_, source_->withdraw(6, Seconds{10}),
                   [&](std::exception_ptr, Result<> result) { done = std::move(result); });
    ASSERT_TRUE(until([&] { return done.has_value(); }));
    EXPECT_TRUE(*done) << message(*done);
    EXPECT_TRUE(server().nodes.empty());
    EXPECT_EQ(server().count("DELETE 6"), 1U);
}

TEST_F(ServiceSourceTest, WithdrawEndsInTimeAtAServiceThatHangs) {
    server().hang = true;
    std::optional<Result<>> done;
    asio::co_spawn(io_, source_->withdraw(6, Milliseconds{50}),
                   [&](std::exception_ptr, Result<> result) { done = std::move(result); });
    ASSERT_TRUE(until([&] { return done.has_value(); }));
    ASSERT_FALSE(*done);
    EXPECT_EQ(done->error().kind(), ErrorKind::timeout);
}

TEST_F(ServiceSourceTest, ARecordTooLargeIsAClearError) {
    start();
    ASSERT_TRUE(until([&] { return synced(); }));
    auto record = self_.record;
    for (unsigned i = 0; i < 1024; ++i)
        record.prefixes.push_back(must(Prefix::parse("2001:db8:1234:" + std::to_string(i) + "::/64")));
    source_->publish({record});
    EXPECT_EQ(source_->status().state, SourceState::degraded);
    EXPECT_THAT(source_->status().last_error, HasSubstr("fit"));
}

TEST_F(ServiceSourceTest, CanBeStoppedAtAnyMoment) {
    for (int i = 2; i < 100; ++i) server().put(Node(static_cast<std::uint8_t>(i)).entry(keys_, 1));
    for (int steps = 0; steps < 120; ++steps) {
        make();
        updates_.clear();
        start();
        publish(5);
        for (int i = 0; i < steps; ++i) {
            io_.restart();
            io_.poll_one();
        }
        source_->stop();
        const auto told = updates_.size();
        if (steps % 2 == 0) source_.reset();
        io_.restart();
        io_.poll();
        EXPECT_EQ(updates_.size(), told) << "no callback after stop";
    }
}

TEST_F(ServiceSourceTest, CanBeStoppedAndDestroyedFromItsOwnCallback) {
    server().put(two_.entry(keys_, 3));
    bool told = false;
    source_->start([&](SourceUpdate) {
        told = true;
        source_.reset();
    });
    ASSERT_TRUE(until([&] { return told; }));
    io_.restart();
    io_.poll();
    EXPECT_FALSE(source_);
}

TEST_F(ServiceSourceTest, AHangingServiceDoesNotHoldUpStop) {
    server().hang = true;
    start();
    publish(5);
    io_.restart();
    io_.run_for(Milliseconds{30});
    source_->stop();
    source_.reset();
    EXPECT_TRUE(updates_.empty());
}

TEST(ServiceSource, RefusesABadUrlOrCaFile) {
    asio::io_context io;
    FixedDate clock;
    Node self(1);
    const auto context = context_for(io, clock, self);
    ServiceOptions options;
    options.url = "ftp://x";
    EXPECT_FALSE(make_service_source(context, options));
    options.url = "https://x:1";
    options.ca_file = "/nonexistent/ca.pem";
    EXPECT_FALSE(make_service_source(context, options));
}

}  // namespace
}  // namespace wglan::testing
