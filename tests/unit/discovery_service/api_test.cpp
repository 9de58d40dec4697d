// SPDX-License-Identifier: Apache-2.0
// HTTP API v1 over a loopback server with the real client.
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "agent/http/client.h"
#include "tests/support/event_loop.h"
#include "tests/unit/discovery_service/sample.h"
#include "tools/wglan-discovery/service/service.h"

namespace wglan::discovery_service {
namespace {

using test::run;
using test::SampleCluster;
using test::SampleNode;
using testing::HasSubstr;

class ApiTest : public testing::Test {
protected:
    void SetUp() override {
        ASSERT_TRUE(init_crypto());
        options_.bookmark_every = Milliseconds(50);
        options_.rate = 0;
    }
    ~ApiTest() override {
        if (service_) service_->stop();
    }
    void serve(const std::string& epoch = "e1") {
        service_ = make_service(io_, options_, clock_, [this] { return synchronised_; }, epoch);
        HttpServerOptions http;
        http.write_timeout = Milliseconds(500);
        auto server = listen_tcp(io_, {*IpAddress::parse("127.0.0.1"), 0}, http, service_->handler());
        ASSERT_TRUE(server) << server.error().message();
        server_ = std::move(*server);
        Url url;
        url.host = "127.0.0.1";
        url.port = server_->local().port;
        client_ = std::move(*make_http_client(io_, url, {}));
    }
    HttpResponse send(const std::string& method, const std::string& target, const std::string& body = {}) {
        HttpRequest request;
        request.method = method;
        request.target = target;
        request.body = body;
        auto response = run(io_, client_->request(request));
        EXPECT_TRUE(response) << response.error().message();
        return response ? *response : HttpResponse{0, {}, {}};
    }
    HttpResponse put(const NodeEntry& entry) {
        const bool gone = entry.envelope.payload.empty();
        return send(gone ? "DELETE" : "PUT", node_path(a_.id, entry.node), envelope_json(entry.envelope));
    }
    NodeList list() { return *parse_node_list(send("GET", nodes_path(a_.id)).body); }
    std::unique_ptr<HttpStream> watch(const std::string& query) {
        HttpRequest request;
        request.target = nodes_path(a_.id) + "?watch=true" + query;
        auto stream = run(io_, client_->stream(request));
        EXPECT_TRUE(stream) << stream.error().message();
        return std::move(*stream);
    }
    WatchEvent next(HttpStream& stream) {
        auto line = run(io_, stream.read_line(Milliseconds(10000)));
        EXPECT_TRUE(line) << line.error().message();
        auto event = parse_watch_event(line ? *line : "");
        EXPECT_TRUE(event) << event.error().message() << ": " << *line;
        return event ? *event : WatchEvent{};
    }
    WatchEvent next_news(HttpStream& stream) {
        auto event = next(stream);
        while (event.type == WatchEvent::Type::bookmark && !HasFailure()) event = next(stream);
        return event;
    }
    static std::string error(const HttpResponse& response) {
        auto body = nlohmann::json::parse(response.body, nullptr, false);
        return body.is_object() ? body.value("error", "") : "not JSON: " + response.body;
    }
    bool metric(const std::string& line) {
        return send("GET", "/metrics").body.find(line) != std::string::npos;
    }

    asio::io_context io_;
    test::ManualClock clock_;
    bool synchronised_ = true;
    ServiceOptions options_;
    std::shared_ptr<Service> service_;
    std::unique_ptr<HttpServer> server_;
    std::unique_ptr<HttpClient> client_;
    SampleCluster a_{'a'};
    SampleNode one_{1}, two_{2};
};

TEST_F(ApiTest, PutListAndDelete) {
    serve();
    auto stored = put(one_.entry(a_, 1, "payload"));
    EXPECT_EQ(stored.status, 200U) << stored.body;
    auto answer = parse_put_answer(stored.body);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->revision, "e1-1");
    EXPECT_EQ(answer->observed_address->to_string(), "127.0.0.1");

    auto listed = list();
    EXPECT_EQ(listed.revision, "e1-1");
    ASSERT_EQ(listed.nodes.size(), 1U);
    EXPECT_EQ(listed.nodes[0].node, one_.key);
    EXPECT_EQ(listed.nodes[0].envelope.payload, "payload");
    EXPECT_TRUE(verify_envelope(a_.id, one_.key, listed.nodes[0].envelope, a_.member_key()));

    auto withdrawal = one_.entry(a_, 2, "").envelope;
    auto body = nlohmann::json::parse(envelope_json(withdrawal));
    body.erase("payload");
    EXPECT_EQ(send("DELETE", node_path(a_.id, one_.key), body.dump()).status, 200U)
        << "a payload may be left out";
    listed = list();
    EXPECT_TRUE(listed.nodes.empty());
    ASSERT_EQ(listed.tombstones.size(), 1U);
    EXPECT_TRUE(verify_envelope(a_.id, one_.key, listed.tombstones[0].envelope, a_.member_key()));
    EXPECT_EQ(send("GET", nodes_path(std::string(64, 'f'))).body, "{\"revision\":\"e1-2\",\"nodes\":[]}\n");
}

TEST_F(ApiTest, BigListsAreStreamedWhole) {
    options_.watch_batch = 1000;
    serve();
    for (unsigned i = 0; i < 20; ++i) put(SampleNode(i).entry(a_, 1, std::string(500, 'p')));
    for (unsigned i = 20; i < 23; ++i) put(SampleNode(i).entry(a_, 1, ""));
    auto listed = list();
    EXPECT_EQ(listed.nodes.size(), 20U);
    EXPECT_EQ(listed.tombstones.size(), 3U);
    EXPECT_TRUE(listed.bad.empty());
    auto stream = watch("");
    std::size_t puts = 0, removes = 0;
    for (auto event = next(*stream); event.type != WatchEvent::Type::bookmark; event = next(*stream))
        (event.type == WatchEvent::Type::put ? puts : removes) += 1;
    EXPECT_EQ(puts, 20U);
    EXPECT_EQ(removes, 3U);
}

TEST_F(ApiTest, ConflictsTellTheStoredSequence) {
    serve();
    put(one_.entry(a_, 5, "x"));
    EXPECT_EQ(put(one_.entry(a_, 5, "x")).status, 200U);
    for (const auto& entry : {one_.entry(a_, 4, "x"), one_.entry(a_, 5, "y"), one_.entry(a_, 5, "")}) {
        auto response = put(entry);
        EXPECT_EQ(response.status, 409U);
        EXPECT_EQ(*parse_conflict(response.body), 5U);
        EXPECT_NE(error(response), "");
    }
}

TEST_F(ApiTest, RefusesEachBadRequestWithAStatusOfItsOwn) {
    serve();
    const auto good = one_.entry(a_, 1, "x");
    const std::string path = node_path(a_.id, one_.key);
    const std::string json = envelope_json(good.envelope);
    auto edited = [&](const char* field, const nlohmann::json& value) {
        auto body = nlohmann::json::parse(json);
        body[field] = value;
        return body.dump();
    };
    const std::string big = base64_encode(as_bytes(std::string(kMaxPayload + 1, 'x')));
    struct Row {
        const char* name;
        std::string method, target, body;
        unsigned status;
    };
    const Row rows[] = {
        {"no JSON", "PUT", path, "{", 400},
        {"array", "PUT", path, "[]", 400},
        {"nothing", "PUT", path, "", 400},
        {"sequence of text", "PUT", path, edited("sequence", "1"), 400},
        {"sequence 0", "PUT", path, edited("sequence", 0), 400},
        {"TTL too short", "PUT", path, envelope_json(one_.entry(a_, 1, "x", 1'800'000'000, 29).envelope),
         400},
        {"TTL too long", "PUT", path, envelope_json(one_.entry(a_, 1, "x", 1'800'000'000, 3601).envelope),
         400},
        {"no base64", "PUT", path, edited("payload", "*"), 400},
        {"payload in a DELETE", "DELETE", path, json, 400},
        {"no payload in a PUT", "PUT", path, envelope_json(one_.entry(a_, 1, "").envelope), 400},
        {"payload too long", "PUT", path, edited("payload", big), 413},
        {"body too long", "PUT", path, std::string(40000, ' '), 413},
        {"body far too long", "PUT", path, std::string(200000, ' '), 413},
        {"stale", "PUT", path, envelope_json(one_.entry(a_, 1, "x", 1'800'000'000 - 86401).envelope), 400},
        {"ahead", "PUT", path, envelope_json(one_.entry(a_, 1, "x", 1'800'000'000 + 601).envelope), 400},
        {"other signature", "PUT", path, edited("signature", base64_encode(std::array<std::uint8_t, 64>{})),
         403},
        {"another's path", "PUT", node_path(a_.id, two_.key), json, 403},
        {"short cluster", "PUT", "/v1/clusters/abc/nodes/" + to_string(one_.key), json, 400},
        {"upper-case cluster", "GET", nodes_path(std::string(64, 'A')), "", 400},
        {"short node", "PUT", nodes_path(a_.id) + "/abc", json, 400},
        {"empty node", "PUT", nodes_path(a_.id) + "/", json, 400},
        {"nodes of nothing", "GET", "/v1/clusters//nodes", "", 400},
        {"unknown path", "GET", "/v2/clusters", "", 404},
        {"root", "GET", "/", "", 404},
        {"unknown resource", "GET", "/v1/clusters/" + a_.id + "/peers", "", 404},
        {"POST", "POST", nodes_path(a_.id), "{}", 405},
        {"GET of one", "GET", path, "", 405},
        {"PUT of health", "PUT", "/healthz", "", 405},
        {"no revision", "GET", nodes_path(a_.id) + "?watch=true&since=5", "", 400},
        {"other epoch", "GET", nodes_path(a_.id) + "?watch=true&since=e0-1", "", 410},
        {"future", "GET", nodes_path(a_.id) + "?watch=true&since=e1-1", "", 410},
    };
    for (const auto& row : rows) {
        auto response = send(row.method, row.target, row.body);
        EXPECT_EQ(response.status, row.status) << row.name << ": " << response.body;
        EXPECT_NE(error(response), "") << row.name;
        EXPECT_EQ(response.headers.contains("allow"), row.status == 405) << row.name;
    }
    EXPECT_TRUE(list().nodes.empty());
    EXPECT_EQ(put(one_.entry(a_, 1, std::string(kMaxPayload, 'x'))).status, 200U) << "just at the limit";
    EXPECT_EQ(send("PATCH", path).headers.at("allow"), "PUT, DELETE");
    EXPECT_TRUE(metric("wglan_discovery_rejected_total{reason=\"stale\"} 2"));
}

TEST_F(ApiTest, PinsTheFirstMemberKey) {
    serve();
    auto first = one_.entry(a_, 1, "x");
    first.envelope.member_key.reset();
    EXPECT_EQ(put(first).status, 400U);
    EXPECT_EQ(put(one_.entry(a_, 1, "x")).status, 200U);
    SampleCluster intruder('a', 9);
    auto response = put(two_.entry(intruder, 1, "x"));
    EXPECT_EQ(response.status, 403U);
    EXPECT_THAT(error(response), HasSubstr("token"));
}

TEST_F(ApiTest, AnUnsynchronisedClockJudgesNoAge) {
    serve();
    synchronised_ = false;
    EXPECT_EQ(put(one_.entry(a_, 1, "x", 1'700'000'000)).status, 200U);
    synchronised_ = true;
    EXPECT_EQ(put(one_.entry(a_, 2, "x", 1'700'000'000)).status, 400U);
}

TEST_F(ApiTest, WatchersSeeNewsButNoRefreshes) {
    serve();
    put(one_.entry(a_, 1, "x"));
    auto stream = watch("&since=e1-0");
    EXPECT_EQ(next(*stream).revision, "e1-1");
    EXPECT_EQ(next(*stream).type, WatchEvent::Type::bookmark) << "one at once, when all is told";
    put(one_.entry(a_, 1, "x"));  // a refresh
    put(two_.entry(a_, 1, "y"));
    auto event = next_news(*stream);
    EXPECT_EQ(event.type, WatchEvent::Type::put);
    EXPECT_EQ(event.revision, "e1-2");
    EXPECT_EQ(event.entry.node, two_.key);
    EXPECT_EQ(event.entry.envelope.payload, "y");
    put(one_.entry(a_, 2, ""));
    event = next_news(*stream);
    EXPECT_EQ(event.type, WatchEvent::Type::remove);
    EXPECT_FALSE(event.expired);
    EXPECT_TRUE(verify_envelope(a_.id, one_.key, event.entry.envelope, a_.member_key()));
    clock_.pass(Seconds(61));
    service_->run_expiry();
    event = next_news(*stream);
    EXPECT_EQ(event.type, WatchEvent::Type::remove);
    EXPECT_TRUE(event.expired);
    EXPECT_EQ(event.entry.node, two_.key);
    EXPECT_TRUE(metric("wglan_discovery_expired_total 1"));
    EXPECT_TRUE(metric("wglan_discovery_watchers 1"));
    stream->close();
    test::turn_until(io_, [&] { return metric("wglan_discovery_watchers 0"); });
}

TEST_F(ApiTest, BookmarksGoOnAndCarryTheNewestRevisionOfAnyCluster) {
    serve();
    auto stream = watch("");
    EXPECT_EQ(next(*stream).revision, "e1-0");
    SampleCluster b('b', 2);
    send("PUT", node_path(b.id, one_.key), envelope_json(one_.entry(b, 1, "x").envelope));
    auto event = next(*stream);
    while (event.revision == "e1-0" && !HasFailure()) event = next(*stream);
    EXPECT_EQ(event.type, WatchEvent::Type::bookmark);
    EXPECT_EQ(event.revision, "e1-1");
    auto resumed = watch("&since=e1-1");
    EXPECT_EQ(next(*resumed).type, WatchEvent::Type::bookmark);
}

TEST_F(ApiTest, AWatcherThatTheHistoryHasLeftBehindGets410) {
    options_.store.history = 2;
    serve();
    for (std::uint64_t i = 1; i <= 4; ++i) put(one_.entry(a_, i, "x"));
    EXPECT_EQ(send("GET", nodes_path(a_.id) + "?watch=true&since=e1-1").status, 410U);
    auto stream = watch("&since=e1-2");
    EXPECT_EQ(next(*stream).revision, "e1-3");
}

TEST_F(ApiTest, ASlowWatcherIsCutOff) {
    options_.store.history = 4;
    options_.bookmark_every = Milliseconds(10000);
    serve();
    auto stream = watch("");
    next(*stream);
    const std::string payload(kMaxPayload, 'p');
    // Nobody reads: the socket's buffers fill, then the write's time runs out or the history moves on.
    std::uint64_t sequence = 0;
    while (!metric("wglan_discovery_watchers 0") && sequence < 5000) {
        ASSERT_EQ(put(one_.entry(a_, ++sequence, payload)).status, 200U);
    }
    EXPECT_TRUE(metric("wglan_discovery_watchers_cut_total 1"));
}

TEST_F(ApiTest, LimitsAnswer429) {
    options_.store.nodes = 1;
    options_.store.clusters = 1;
    serve();
    put(one_.entry(a_, 1, "x"));
    auto full = put(two_.entry(a_, 1, "x"));
    EXPECT_EQ(full.status, 429U);
    EXPECT_TRUE(full.headers.contains("retry-after"));
    SampleCluster b('b', 2);
    EXPECT_EQ(send("PUT", node_path(b.id, one_.key), envelope_json(one_.entry(b, 1, "x").envelope)).status,
              429U);
}

TEST_F(ApiTest, RateOfAnAddressIsLimitedButNotItsHealthChecks) {
    options_.rate = 1;
    options_.burst = 2;
    serve();
    EXPECT_EQ(put(one_.entry(a_, 1, "x")).status, 200U);
    EXPECT_EQ(send("GET", nodes_path(a_.id)).status, 200U);
    auto limited = send("GET", nodes_path(a_.id));
    EXPECT_EQ(limited.status, 429U);
    EXPECT_EQ(limited.headers.at("retry-after"), "1");
    EXPECT_EQ(send("GET", "/healthz").status, 200U);
    clock_.pass(Seconds(1));
    EXPECT_EQ(send("GET", nodes_path(a_.id)).status, 200U);
}

TEST_F(ApiTest, HealthAndMetrics) {
    serve();
    EXPECT_EQ(send("GET", "/healthz").body, "ok\n");
    EXPECT_EQ(send("GET", "/readyz").status, 200U);
    EXPECT_EQ(send("HEAD", "/readyz").status, 200U);
    put(one_.entry(a_, 1, "x"));
    put(one_.entry(a_, 1, "x"));
    put(two_.entry(a_, 1, ""));
    auto metrics = send("GET", "/metrics");
    EXPECT_THAT(metrics.headers.at("content-type"), HasSubstr("text/plain"));
    for (const char* line :
         {"wglan_discovery_requests_total{code=\"200\",method=\"PUT\"} 2", "wglan_discovery_nodes 1",
          "wglan_discovery_clusters 1", "wglan_discovery_tombstones 1", "wglan_discovery_watchers 0",
          "wglan_discovery_puts_total{result=\"stored\"} 1",
          "wglan_discovery_puts_total{result=\"refreshed\"} 1", "wglan_discovery_tombstones_stored_total 1",
          "wglan_discovery_build_info{version=\""})
        EXPECT_THAT(metrics.body, HasSubstr(line));
}

TEST_F(ApiTest, MayBeStoppedWithWatchersAttached) {
    serve();
    auto stream = watch("");
    next(*stream);
    service_->stop();
    server_.reset();
    service_.reset();
    auto line = run(io_, stream->read_line(Milliseconds(10000)));
    while (line) line = run(io_, stream->read_line(Milliseconds(10000)));
    EXPECT_NE(line.error().kind(), ErrorKind::timeout);
}

}  // namespace
}  // namespace wglan::discovery_service
