// SPDX-License-Identifier: Apache-2.0
#include "agent/control/monitor.h"

#include <sstream>

#include <gtest/gtest.h>

#include "tests/support/control/fake_control.h"
#include "tests/support/event_loop.h"

namespace wglan {
namespace {

MonitorEvent with(PacketEvent::Kind kind, std::uint32_t value, std::uint32_t before = 0) {
    MonitorEvent event = test::sample_drop();
    event.packet.kind = kind;
    event.packet.reason = "";
    event.packet.value = value;
    event.packet.before = before;
    return event;
}

std::vector<Json> lines_of(const std::string& text) {
    std::vector<Json> out;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) out.push_back(Json::parse(line));
    return out;
}

TEST(MonitorJson, HasTheShapeThatIsPromised) {
    EXPECT_EQ(to_json(test::sample_drop()), Json::parse(R"({
        "time":"2027-01-15T08:00:00.250000Z","type":"drop","reason":"peer_down","protocol":"tcp",
        "source":"10.244.1.5","sourcePort":40000,"destination":"10.244.3.7","destinationPort":80,
        "length":60,"peer":"node3","interface":"eth0"})"));
    const Json big = to_json(with(PacketEvent::Kind::too_big, 1420));
    EXPECT_EQ(big["type"], "too_big");
    EXPECT_EQ(big["mtu"], 1420);
    EXPECT_FALSE(big.contains("reason"));
    const Json clamp = to_json(with(PacketEvent::Kind::mss_clamp, 1380, 1460));
    EXPECT_EQ(clamp["type"], "mss_clamp");
    EXPECT_EQ(clamp["mss"], 1380);
    EXPECT_EQ(clamp["mssBefore"], 1460);
    const Json flow = to_json(with(PacketEvent::Kind::flow, 12));
    EXPECT_EQ(flow["type"], "flow");
    EXPECT_EQ(flow["packets"], 12);
    MonitorEvent guard = test::sample_drop();
    guard.packet.kind = PacketEvent::Kind::guard;
    guard.packet.reason = "guard_rate";
    guard.packet.source_port = 0;
    guard.packet.protocol = 47;
    guard.peer.clear();
    const Json hit = to_json(guard);
    EXPECT_EQ(hit["type"], "guard");
    EXPECT_EQ(hit["reason"], "guard_rate");
    EXPECT_EQ(hit["protocol"], "47");
    EXPECT_TRUE(hit["sourcePort"].is_null());
    EXPECT_EQ(hit["peer"], "");
    EXPECT_EQ(
        loss_json(3, MonitorLoss::rate, 1'000'001),
        Json::parse(R"({"time":"1970-01-01T00:00:01.000001Z","type":"lost","events":3,"reason":"rate"})"));
    EXPECT_EQ(loss_json(3, MonitorLoss::reader, 1'000'000)["reason"], "reader");
}

TEST(MonitorFilter, TakesDropsOrAPeersOwn) {
    const MonitorEvent drop = test::sample_drop(), flow = with(PacketEvent::Kind::flow, 1);
    MonitorEvent guard = with(PacketEvent::Kind::guard, 0);
    guard.peer_key.reset();
    EXPECT_TRUE(matches({}, flow));
    EXPECT_TRUE(matches({}, guard));
    EXPECT_TRUE(matches({true, {}}, drop));
    EXPECT_TRUE(matches({true, {}}, guard));
    for (auto kind : {PacketEvent::Kind::flow, PacketEvent::Kind::too_big, PacketEvent::Kind::mss_clamp})
        EXPECT_FALSE(matches({true, {}}, with(kind, 1))) << to_string(kind);
    EXPECT_TRUE(matches({false, test::test_key(3)}, drop));
    EXPECT_FALSE(matches({false, test::test_key(2)}, drop));
    EXPECT_FALSE(matches({false, test::test_key(3)}, guard));  // whose it is isn't known
    EXPECT_FALSE(matches({true, test::test_key(3)}, flow));
}

TEST(MonitorHub, GivesEachReaderItsOwn) {
    asio::io_context io;
    MonitorHub hub;
    EXPECT_FALSE(hub.watched());
    auto all = hub.open(io.get_executor(), {}).value();
    auto drops = hub.open(io.get_executor(), {true, {}}).value();
    EXPECT_TRUE(hub.watched());
    hub.publish(test::sample_drop());
    hub.publish(with(PacketEvent::Kind::flow, 1));
    hub.publish_loss(5, 0);
    EXPECT_EQ(lines_of(all->take(0)).size(), 3U);
    const auto taken = lines_of(drops->take(0));
    ASSERT_EQ(taken.size(), 2U);
    EXPECT_EQ(taken[0]["type"], "drop");
    EXPECT_EQ(taken[1]["events"], 5);
    EXPECT_EQ(drops->take(0), "");
    all.reset();
    EXPECT_TRUE(hub.watched());
    drops.reset();
    EXPECT_FALSE(hub.watched());
}

TEST(MonitorHub, ChangesOfPeersGoToWhoAsksForThem) {
    asio::io_context io;
    MonitorHub hub;
    auto all = hub.open(io.get_executor(), {}).value();
    auto drops = hub.open(io.get_executor(), {true, {}}).value();
    auto its_own = hub.open(io.get_executor(), {false, test::test_key(2)}).value();
    auto others = hub.open(io.get_executor(), {false, test::test_key(3)}).value();
    hub.publish(PeerEvent{"node2", test::test_key(2), "up", "down", "no answer to 13 probes", "state"},
                1'000'001);
    const auto taken = lines_of(all->take(0));
    ASSERT_EQ(taken.size(), 1U);
    EXPECT_EQ(taken[0], Json::parse(R"({"time":"1970-01-01T00:00:01.000001Z","type":"state","peer":"node2",
        "before":"up","after":"down","reason":"no answer to 13 probes"})"));
    EXPECT_EQ(lines_of(its_own->take(0)).size(), 1U);
    EXPECT_EQ(drops->take(0), "");
    EXPECT_EQ(others->take(0), "");
}

TEST(MonitorHub, HasRoomForSoManyReaders) {
    asio::io_context io;
    MonitorHub hub;
    std::vector<std::shared_ptr<MonitorFeed>> feeds;
    for (std::size_t i = 0; i < MonitorHub::kMostFeeds; ++i)
        feeds.push_back(hub.open(io.get_executor(), {}).value());
    auto refused = hub.open(io.get_executor(), {});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::exhausted);
    feeds.pop_back();
    EXPECT_TRUE(hub.open(io.get_executor(), {}));
}

TEST(MonitorFeed, WhoIsSlowLosesEventsAndIsToldHowMany) {
    asio::io_context io;
    MonitorFeed feed(io.get_executor(), {});
    const std::string line(1023, 'x');
    const std::size_t room = MonitorFeed::kMostBytes / 1024;
    for (std::size_t i = 0; i < room + 100; ++i) feed.push(line + "\n");
    feed.push("\n");  // small enough, but there is a gap before it
    std::string taken = feed.take(1'000'000);
    EXPECT_EQ(std::count(taken.begin(), taken.end(), '\n'), static_cast<std::ptrdiff_t>(room) + 1);
    const Json told = Json::parse(taken.substr(room * 1024));
    EXPECT_EQ(told["type"], "lost");
    EXPECT_EQ(told["reason"], "reader");
    EXPECT_EQ(told["events"], 101);
    feed.push("next\n");
    EXPECT_EQ(feed.take(0), "next\n");
}

TEST(MonitorFeed, WaitsForNews) {
    asio::io_context io;
    MonitorFeed feed(io.get_executor(), {});
    bool woken = false;
    asio::co_spawn(io, feed.wait(), [&](const std::exception_ptr&) { woken = true; });
    io.poll();
    EXPECT_FALSE(woken);
    feed.push("line\n");
    io.restart();
    io.poll();
    EXPECT_TRUE(woken);
    test::run(io, feed.wait());  // there still is something
}

}  // namespace
}  // namespace wglan
