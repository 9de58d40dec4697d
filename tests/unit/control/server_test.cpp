// SPDX-License-Identifier: Apache-2.0
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "agent/control/control_server.h"
#include "agent/control/json.h"
#include "agent/control/metrics_server.h"
#include "agent/http/client.h"
#include "tests/support/control/fake_control.h"
#include "tests/support/event_loop.h"

namespace wglan {
namespace {

class Servers : public testing::Test {
protected:
    void SetUp() override {
        char folder[] = "/tmp/wglan-control-XXXXXX";
        ASSERT_NE(::mkdtemp(folder), nullptr);
        folder_ = folder;
        options_.socket = folder_ / "run" / "agent.sock";
        options_.clock = &clock_;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    void start() {
        fake_.executor = io_.get_executor();
        auto server = make_control_server(io_, options_, fake_);
        ASSERT_TRUE(server) << server.error().message();
        server_ = std::move(*server);
    }

    HttpResponse ask(HttpClient& client, const std::string& target, const std::string& method = "GET") {
        HttpRequest request;
        request.method = method;
        request.target = target;
        auto response = test::run(io_, client.request(request));
        if (!response) ADD_FAILURE() << response.error().message();
        return response ? *response : HttpResponse{};
    }
    HttpResponse ask(const std::string& target, const std::string& method = "GET") {
        return ask(*make_unix_http_client(io_, options_.socket), target, method);
    }
    static std::string error_of(const HttpResponse& response) { return Json::parse(response.body)["error"]; }

    asio::io_context io_;
    test::FixedClock clock_;
    test::FakeControl fake_;
    std::filesystem::path folder_;
    ControlServerOptions options_;
    std::unique_ptr<HttpServer> server_;
};

TEST_F(Servers, SocketIsForItsOwnerOnly) {
    start();
    struct stat info{};
    ASSERT_EQ(::stat(options_.socket.c_str(), &info), 0);
    EXPECT_TRUE(S_ISSOCK(info.st_mode));
    EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(Servers, AnswersWithTheProvidersViews) {
    start();
    EXPECT_EQ(Json::parse(ask("/v1/status").body), to_json(fake_.status_view, test::kNow));
    EXPECT_EQ(Json::parse(ask("/v1/routes").body), to_json(fake_.routes_view));
    EXPECT_EQ(Json::parse(ask("/v1/record").body), to_json(*fake_.record_view));
    EXPECT_EQ(Json::parse(ask("/v1/keys").body), to_json(fake_.keys_view));
    EXPECT_EQ(Json::parse(ask("/v1/peers").body)["peers"].size(), 2U);
    EXPECT_EQ(Json::parse(ask("/v1/doctor").body), to_json(fake_.doctor_view));
    EXPECT_EQ(ask("/v1/doctor", "POST").status, 405U);
}

TEST_F(Servers, PicksOnePeerByNameOrKey) {
    start();
    auto named = Json::parse(ask("/v1/peers?name=node3").body)["peers"];
    ASSERT_EQ(named.size(), 1U);
    EXPECT_EQ(named[0]["name"], "node3");
    auto keyed =
        Json::parse(ask("/v1/peers?name=AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM%3D").body)["peers"];
    EXPECT_EQ(keyed, named);
    auto none = ask("/v1/peers?name=node4");
    EXPECT_EQ(none.status, 404U);
    EXPECT_EQ(error_of(none), "no peer named node4");
}

TEST_F(Servers, ExplainsWithTheQuerysPacket) {
    start();
    auto answer = Json::parse(ask("/v1/explain?dst=10.244.2.7&proto=tcp&dport=80").body);
    EXPECT_EQ(answer["verdict"], "steer");
    ASSERT_TRUE(fake_.asked);
    EXPECT_EQ(fake_.asked->destination_port, 80);
    auto refused = ask("/v1/explain?dst=nonsense");
    EXPECT_EQ(refused.status, 400U);
    EXPECT_EQ(error_of(refused).rfind("dst", 0), 0U);
}

std::unique_ptr<HttpStream> stream_of(asio::io_context& io, const std::string& socket, std::string target) {
    auto client = make_unix_http_client(io, socket);
    HttpRequest request;
    request.target = std::move(target);
    auto stream = test::run(io, client->stream(std::move(request)));
    return stream ? std::move(*stream) : nullptr;
}

TEST_F(Servers, MonitorStreamsWhatMatches) {
    start();
    auto stream = stream_of(io_, options_.socket, "/v1/monitor?drops=1&peer=node3");
    ASSERT_TRUE(stream);
    EXPECT_EQ(stream->status(), 200U);
    const auto next = [&] {
        auto line = test::run(io_, stream->read_line(std::chrono::seconds(20)));
        return line ? Json::parse(*line) : Json();
    };
    EXPECT_EQ(next()["type"], "start");
    ASSERT_TRUE(fake_.watched);
    EXPECT_TRUE(fake_.watched->drops);
    MonitorEvent flow = test::sample_drop();
    flow.packet.kind = PacketEvent::Kind::flow;
    fake_.hub.publish(flow);
    fake_.hub.publish(test::sample_drop());
    EXPECT_EQ(next(), to_json(test::sample_drop()));
    // Others are served meanwhile, and a reader that leaves is forgotten.
    EXPECT_EQ(ask("/v1/status").status, 200U);
    EXPECT_TRUE(fake_.hub.watched());
    stream->close();
    test::turn_until(io_, [&] { return !fake_.hub.watched(); });
}

TEST_F(Servers, MonitorOfAnUnknownPeerIsRefused) {
    start();
    auto refused = ask("/v1/monitor?peer=node9");
    EXPECT_EQ(refused.status, 404U);
    EXPECT_EQ(error_of(refused), "no peer named node9");
    EXPECT_EQ(ask("/v1/monitor", "POST").status, 405U);
    EXPECT_FALSE(fake_.hub.watched());
}

TEST_F(Servers, ATooManiethMonitorIsRefused) {
    start();
    std::vector<std::unique_ptr<HttpStream>> streams;
    for (std::size_t i = 0; i < MonitorHub::kMostFeeds; ++i)
        streams.push_back(stream_of(io_, options_.socket, "/v1/monitor"));
    auto refused = ask("/v1/monitor");
    EXPECT_EQ(refused.status, 503U);
    EXPECT_EQ(error_of(refused), "16 monitors are open already");
}

// Who hangs fills its own queue; all others go on, and it learns how much it has missed.
TEST_F(Servers, AMonitorThatHangsStallsNobody) {
    start();
    auto hangs = stream_of(io_, options_.socket, "/v1/monitor");
    auto reads = stream_of(io_, options_.socket, "/v1/monitor");
    ASSERT_TRUE(hangs && reads);
    constexpr std::uint64_t kEvents = 20000;
    const auto type_of = [&](HttpStream& stream, Json& event) {
        auto line = test::run(io_, stream.read_line(std::chrono::seconds(20)));
        event = line ? Json::parse(*line) : Json{{"type", "ended"}};
        return event["type"].get<std::string>();
    };
    Json event;
    EXPECT_EQ(type_of(*reads, event), "start");
    for (std::uint64_t i = 0; i < kEvents; ++i) {
        fake_.hub.publish(test::sample_drop());
        if (i % 100 != 99) continue;
        for (int j = 0; j < 100; ++j) ASSERT_EQ(type_of(*reads, event), "drop");
    }
    EXPECT_EQ(ask("/v1/status").status, 200U);
    EXPECT_EQ(type_of(*hangs, event), "start");
    std::uint64_t seen = 0;
    while (type_of(*hangs, event) == "drop") ++seen;
    ASSERT_EQ(event["type"], "lost");
    EXPECT_EQ(event["reason"], "reader");
    EXPECT_GT(seen, 1000U);
    EXPECT_EQ(seen + event["events"].get<std::uint64_t>(), kEvents);
    fake_.hub.publish(test::sample_drop());
    EXPECT_EQ(type_of(*hangs, event), "drop");
}

TEST_F(Servers, RecordIsNotFoundBeforeTheFirst) {
    fake_.record_view = fail(ErrorKind::not_found, "no record has been made yet");
    start();
    auto answer = ask("/v1/record");
    EXPECT_EQ(answer.status, 404U);
    EXPECT_EQ(error_of(answer), "no record has been made yet");
}

TEST_F(Servers, ReloadIsAPostThatTellsOfTheRefusal) {
    start();
    EXPECT_EQ(ask("/v1/reload", "POST").status, 200U);
    EXPECT_EQ(fake_.reloads, 1);
    auto wrong = ask("/v1/reload");
    EXPECT_EQ(wrong.status, 405U);
    EXPECT_EQ(wrong.headers["allow"], "POST");
    EXPECT_EQ(fake_.reloads, 1);
    fake_.reload_result = fail(ErrorKind::invalid, "config.yaml:3: peers.whenDown: accepted: drop, bypass");
    auto refused = ask("/v1/reload", "POST");
    EXPECT_EQ(refused.status, 400U);
    EXPECT_EQ(error_of(refused), "config.yaml:3: peers.whenDown: accepted: drop, bypass");
}

TEST_F(Servers, UnknownCallsAndMethodsAreRefused) {
    start();
    EXPECT_EQ(ask("/v1/nonsense").status, 404U);
    EXPECT_EQ(ask("/").status, 404U);
    EXPECT_EQ(ask("/v1/status/").status, 404U);
    EXPECT_EQ(ask("/v1/status", "DELETE").status, 405U);
}

TEST_F(Servers, StaleSocketIsReplaced) {
    std::filesystem::create_directory(folder_ / "run");
    // Bound and closed: the file stays, nobody accepts.
    int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    options_.socket.copy(where.sun_path, sizeof where.sun_path - 1);
    ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&where), sizeof where), 0);
    ::close(fd);
    start();
    EXPECT_EQ(ask("/v1/status").status, 200U);
}

TEST_F(Servers, LiveSocketMeansAnotherAgent) {
    start();
    auto second = make_control_server(io_, options_, fake_);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind(), ErrorKind::exists);
    EXPECT_NE(second.error().message().find("another agent runs here"), std::string::npos)
        << second.error().message();
    EXPECT_EQ(ask("/v1/status").status, 200U);
}

TEST_F(Servers, MetricsHealthAndReadiness) {
    auto server = make_metrics_server(io_, Endpoint{test::address("127.0.0.1"), 0}, fake_);
    ASSERT_TRUE(server) << server.error().message();
    auto url = Url::parse("http://" + (*server)->local().to_string());
    ASSERT_TRUE(url);
    auto client = make_http_client(io_, *url, {});
    ASSERT_TRUE(client);
    auto metrics = ask(**client, "/metrics");
    EXPECT_EQ(metrics.status, 200U);
    EXPECT_EQ(metrics.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    EXPECT_EQ(metrics.body, metrics_text(fake_.metrics_view));
    EXPECT_EQ(ask(**client, "/healthz").status, 200U);
    EXPECT_EQ(ask(**client, "/readyz").status, 200U);
    fake_.readiness = {false, "source service:x is connecting"};
    auto unready = ask(**client, "/readyz");
    EXPECT_EQ(unready.status, 503U);
    EXPECT_EQ(unready.body, "not ready: source service:x is connecting\n");
    EXPECT_EQ(ask(**client, "/healthz").status, 200U);
    EXPECT_EQ(ask(**client, "/nonsense").status, 404U);
    EXPECT_EQ(ask(**client, "/metrics", "POST").status, 405U);
}

TEST_F(Servers, MetricsAddressInUseIsNamed) {
    auto first = make_metrics_server(io_, Endpoint{test::address("127.0.0.1"), 0}, fake_);
    ASSERT_TRUE(first);
    auto second = make_metrics_server(io_, (*first)->local(), fake_);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().message().rfind("metrics.listen 127.0.0.1:", 0), 0U) << second.error().message();
}

}  // namespace
}  // namespace wglan
