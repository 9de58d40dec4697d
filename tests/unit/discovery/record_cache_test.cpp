// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/record_cache.h"

#include <sys/stat.h>

#include <fstream>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "agent/base/file.h"
#include "agent/discovery/snapshot_source.h"
#include "fixture.h"

namespace wglan::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class RecordCacheTest : public ::testing::Test {
protected:
    RecordCacheTest() {
        std::string name = ::testing::TempDir() + "/wglan-cache-XXXXXX";
        folder_ = mkdtemp(name.data());
        path_ = folder_ / "peers.json";
    }
    ~RecordCacheTest() override { std::filesystem::remove_all(folder_); }

    // Two records, one withdrawal, endpoints and extra state.
    CacheState state() const {
        SequenceGuard guard;
        EXPECT_TRUE(guard.admit(one_.entry(*keys_, 5)));
        EXPECT_TRUE(guard.admit(two_.entry(*keys_, 6)));
        EXPECT_TRUE(guard.admit(three_.tombstone(*keys_, 7)));
        CacheState out;
        out.seen = guard.all();
        out.endpoints[one_.record.public_key] = {must(Endpoint::parse("192.0.2.1:51820"))};
        out.extra = R"({"owners":{"a":1}})";
        return out;
    }
    std::string text() const { return must(encode_cache(*keys_, state())); }
    Result<CacheContent> decode(const std::string& content, UnixTime now = kNow,
                                bool synchronised = true) const {
        return decode_cache(*keys_, content, now, synchronised);
    }
    RecordCache cache() {
        return RecordCache(io_, path_, keys_, {.delay = Milliseconds{1}, .interval = Milliseconds{1}});
    }
    void write(std::string_view content) const { EXPECT_TRUE(write_file_atomic(path_, content, 0600)); }

    asio::io_context io_;
    std::shared_ptr<const ClusterKeys> keys_ = std::make_shared<const ClusterKeys>(cluster_keys());
    Node one_{1}, two_{2}, three_{3};
    std::filesystem::path folder_, path_;
};

TEST_F(RecordCacheTest, RoundTrips) {
    auto content = must(decode(text()));
    EXPECT_TRUE(content.warnings.empty());
    ASSERT_EQ(content.records.size(), 2U);
    for (const auto& record : content.records) {
        EXPECT_EQ(record.kind, SourceKind::cache);
        EXPECT_EQ(record.source, "cache");
    }
    EXPECT_EQ(content.state.seen.size(), 3U);
    EXPECT_TRUE(content.state.seen.at(three_.identity).withdrawn);
    EXPECT_EQ(content.state.seen.at(two_.identity).sequence, 6U);
    EXPECT_EQ(content.state.endpoints, state().endpoints);
    EXPECT_EQ(json::parse(content.state.extra), json::parse(state().extra));
    EXPECT_EQ(must(encode_cache(*keys_, content.state)).size(), text().size());
}

TEST_F(RecordCacheTest, AnotherTokensCacheIsRefused) {
    auto others = must(ClusterKeys::derive(as_bytes("another token of enough bytes"), keys_->cluster()));
    EXPECT_THAT(message(decode_cache(others, text(), kNow, true)), HasSubstr("another cluster token"));
}

TEST_F(RecordCacheTest, AChangedRecordIsLeftOutAndTheRestKept) {
    for (const char* field : {"payload", "signature", "member"}) {
        auto root = json::parse(text());
        auto bytes = must(base64_decode(root["records"][0][field].get<std::string>()));
        bytes[40] = static_cast<char>(bytes[40] ^ 1);
        root["records"][0][field] = base64_encode(as_bytes(bytes));
        auto content = must(decode(root.dump()));
        EXPECT_EQ(content.records.size(), 1U) << field;
        EXPECT_EQ(content.warnings.size(), 1U) << field;
    }
}

TEST_F(RecordCacheTest, ARecordThatIsNotTheNewestIsLeftOut) {
    auto root = json::parse(text());
    root["identities"][to_string(one_.identity)]["sequence"] = 50;
    root["identities"][to_string(two_.identity)]["withdrawn"] = true;
    root["records"].push_back(5);
    auto content = must(decode(root.dump()));
    EXPECT_TRUE(content.records.empty());
    EXPECT_EQ(content.warnings.size(), 3U);
}

TEST_F(RecordCacheTest, AgeCountsInDaysAndNotWithAnUnsynchronisedClock) {
    EXPECT_EQ(must(decode(text(), kNow + 6 * 86400)).records.size(), 2U);
    EXPECT_EQ(must(decode(text(), kNow + 8 * 86400)).records.size(), 0U);
    EXPECT_EQ(must(decode(text(), kNow + 8 * 86400, false)).records.size(), 2U);
}

TEST_F(RecordCacheTest, BrokenContentIsAnErrorWithoutCrash) {
    const auto good = text();
    for (std::size_t size = 0; size + 1 < good.size(); size += 97)
        EXPECT_FALSE(decode(good.substr(0, size))) << size;
    for (const char* field : {"version", "cluster", "memberKey", "identities"}) {
        auto root = json::parse(good);
        root[field] = json::array({1});
        EXPECT_FALSE(decode(root.dump())) << field;
        root.erase(field);
        EXPECT_FALSE(decode(root.dump())) << field;
    }
    for (const char* field : {"records", "endpoints", "extra"}) {
        auto root = json::parse(good);
        root[field] = "text";
        EXPECT_FALSE(decode(root.dump())) << field;
    }
}

TEST_F(RecordCacheTest, AMissingFileIsEmpty) {
    auto content = must(cache().load(kNow, true));
    EXPECT_TRUE(content.records.empty() && content.warnings.empty());
}

TEST_F(RecordCacheTest, ABadFileIsPutAsideWithAWarning) {
    for (std::string bad :
         {std::string("{\"version\":1,"), std::string("\0\xff\0", 3), std::string(), text() + "x"}) {
        write(bad);
        auto content = must(cache().load(kNow, true));
        EXPECT_TRUE(content.records.empty());
        ASSERT_EQ(content.warnings.size(), 1U);
        EXPECT_THAT(content.warnings[0], HasSubstr(path_.string() + ".bad"));
        EXPECT_FALSE(std::filesystem::exists(path_));
        EXPECT_EQ(must(read_file(path_.string() + ".bad")), bad);
    }
}

TEST_F(RecordCacheTest, AnOversizedFileIsPutAside) {
    std::ofstream(path_).close();
    std::filesystem::resize_file(path_, kMaxCacheFile + 1);
    auto content = must(cache().load(kNow, true));
    EXPECT_EQ(content.warnings.size(), 1U);
    EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(RecordCacheTest, FlushWritesAPrivateFileThatLoads) {
    {
        auto writer = cache();
        writer.provide([this] { return state(); });
        ASSERT_TRUE(writer.flush());
    }
    struct stat info{};
    ASSERT_EQ(stat(path_.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0600U);
    EXPECT_EQ(must(cache().load(kNow, true)).records.size(), 2U);
}

TEST_F(RecordCacheTest, ManyChangesAreWrittenOnceAndTheSameContentNotAgain) {
    auto writer = cache();
    int asked = 0;
    const auto fixed = state();
    writer.provide([&] {
        ++asked;
        return fixed;
    });
    for (int i = 0; i < 100; ++i) writer.changed();
    const auto deadline = std::chrono::steady_clock::now() + Seconds{20};
    while (!std::filesystem::exists(path_) && std::chrono::steady_clock::now() < deadline)
        io_.run_for(Milliseconds{5}), io_.restart();
    ASSERT_TRUE(std::filesystem::exists(path_));
    EXPECT_EQ(asked, 1);
    std::filesystem::remove(path_);
    writer.changed();
    while (asked < 2 && std::chrono::steady_clock::now() < deadline)
        io_.run_for(Milliseconds{5}), io_.restart();
    EXPECT_EQ(asked, 2);
    EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(RecordCacheTest, AFolderThatIsGoneIsAnErrorAndNoCrash) {
    auto writer = RecordCache(io_, folder_ / "none" / "peers.json", keys_, {});
    writer.provide([this] { return state(); });
    EXPECT_FALSE(writer.flush());
}

TEST(SnapshotSource, TellsEverythingOnceAndAfterStart) {
    asio::io_context io;
    SourcedRecord peer;
    peer.record = Node(1).record;
    auto source = make_static_source(io, {peer});
    std::vector<SourceUpdate> updates;
    source->start([&](SourceUpdate update) { updates.push_back(std::move(update)); });
    EXPECT_TRUE(updates.empty());
    EXPECT_EQ(source->status().state, SourceState::connecting);
    io.run();
    ASSERT_EQ(updates.size(), 1U);
    EXPECT_EQ(updates[0].kind, SourceUpdate::Kind::snapshot);
    EXPECT_EQ(updates[0].source, "static");
    ASSERT_EQ(updates[0].records.size(), 1U);
    EXPECT_EQ(updates[0].records[0].source, "static");
    EXPECT_EQ(updates[0].records[0].kind, SourceKind::static_entry);
    EXPECT_EQ(source->status().state, SourceState::synced);
    EXPECT_FALSE(source->publishes());
}

TEST(SnapshotSource, SaysNothingAfterStop) {
    asio::io_context io;
    auto source = make_cache_source(io, {}, {});
    bool told = false;
    source->start([&](SourceUpdate) { told = true; });
    source->stop();
    source.reset();
    io.run();
    EXPECT_FALSE(told);
}

}  // namespace
}  // namespace wglan::testing
