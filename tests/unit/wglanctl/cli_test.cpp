// SPDX-License-Identifier: Apache-2.0
// The real program against a control server with made-up values.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <future>
#include <set>
#include <sstream>
#include <thread>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include "agent/control/control_server.h"
#include "agent/control/json.h"
#include "tests/support/control/fake_control.h"

namespace wglan {
namespace {

struct Outcome {
    int exit = -1;
    std::string out, err;
};

class Wglanctl : public testing::Test {
protected:
    void SetUp() override {
        char folder[] = "/tmp/wglanctl-test-XXXXXX";
        ASSERT_NE(::mkdtemp(folder), nullptr);
        folder_ = folder;
        socket_ = folder_ / "agent.sock";
        loop_ = std::thread([this] { io_.run(); });
    }
    void TearDown() override {
        on_loop([this] { server_.reset(); });
        work_.reset();
        loop_.join();
        std::filesystem::remove_all(folder_);
    }

    // The provider belongs to the loop's thread.
    void on_loop(std::function<void()> action) {
        std::promise<void> done;
        asio::post(io_, [&] {
            action();
            done.set_value();
        });
        done.get_future().wait();
    }
    void start_agent() {
        on_loop([this] {
            ControlServerOptions options;
            options.socket = socket_;
            options.clock = &clock_;
            fake_.executor = io_.get_executor();
            auto server = make_control_server(io_, options, fake_);
            ASSERT_TRUE(server) << server.error().message();
            server_ = std::move(*server);
        });
    }

    pid_t spawn(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), {WGLANCTL, "--socket", socket_});
        std::vector<char*> argv;
        for (auto& argument : arguments) argv.push_back(argument.data());
        argv.push_back(nullptr);
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC;
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_addopen(&actions, 1, (folder_ / "out").c_str(), kFlags, 0600);
        posix_spawn_file_actions_addopen(&actions, 2, (folder_ / "err").c_str(), kFlags, 0600);
        pid_t child = -1;
        EXPECT_EQ(::posix_spawn(&child, WGLANCTL, &actions, nullptr, argv.data(), environ), 0);
        posix_spawn_file_actions_destroy(&actions);
        return child;
    }
    Outcome outcome_of(pid_t child) {
        int status = 0;
        EXPECT_EQ(::waitpid(child, &status, 0), child);
        return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), text_of("out"),
                text_of("err")};
    }
    Outcome run(std::vector<std::string> arguments) { return outcome_of(spawn(std::move(arguments))); }

    std::string text_of(const char* name) {
        std::ifstream file(folder_ / name);
        return {std::istreambuf_iterator<char>(file), {}};
    }

    std::filesystem::path folder_, socket_;
    asio::io_context io_;
    asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
    std::thread loop_;
    test::FixedClock clock_;
    test::FakeControl fake_;
    std::unique_ptr<HttpServer> server_;
};

TEST_F(Wglanctl, JsonGoesToStandardOutputAlone) {
    start_agent();
    auto status = run({"status", "-o", "json"});
    EXPECT_EQ(status.exit, 0);
    EXPECT_EQ(status.err, "");
    EXPECT_EQ(Json::parse(status.out), to_json(test::sample_status(), test::kNow));
    EXPECT_EQ(Json::parse(run({"peers", "-o", "json"}).out)["peers"].size(), 2U);
    EXPECT_EQ(Json::parse(run({"peers", "node3", "-o", "json"}).out)["name"], "node3");
    EXPECT_EQ(Json::parse(run({"routes", "-o", "json"}).out), to_json(test::sample_routes()));
    EXPECT_EQ(Json::parse(run({"record", "-o", "json"}).out)["sequence"], 7);
    EXPECT_EQ(Json::parse(run({"keys", "show", "-o", "json"}).out)["keyFile"], "/var/lib/wglan/private.key");
    EXPECT_EQ(Json::parse(run({"explain", "10.244.2.7", "-o", "json"}).out)["verdict"], "steer");
}

TEST_F(Wglanctl, YamlHoldsTheSame) {
    start_agent();
    auto yaml = YAML::Load(run({"status", "-o", "yaml"}).out);
    EXPECT_EQ(yaml["peers"][0]["rxBytes"].as<std::uint64_t>(), 1'258'291U);
    EXPECT_TRUE(yaml["peers"][1]["rttMs"].IsNull());
}

TEST_F(Wglanctl, TablesHaveNoColoursInAPipe) {
    start_agent();
    for (const auto& arguments : std::vector<std::vector<std::string>>{{"status"},
                                                                       {"peers"},
                                                                       {"peers", "node2"},
                                                                       {"routes"},
                                                                       {"record"},
                                                                       {"keys", "show"},
                                                                       {"explain", "10.244.2.7"}}) {
        auto table = run(arguments);
        EXPECT_EQ(table.exit, 0) << arguments[0];
        EXPECT_EQ(table.err, "") << arguments[0];
        EXPECT_EQ(table.out.find('\x1b'), std::string::npos) << table.out;
        EXPECT_FALSE(table.out.empty()) << arguments[0];
    }
}

TEST_F(Wglanctl, ExplainSendsTheWholePacket) {
    start_agent();
    auto outcome = run({"explain", "10.244.2.7", "--src", "10.244.1.5", "--proto", "tcp", "--sport", "4000",
                        "--dport", "80", "--mark", "0x10"});
    EXPECT_EQ(outcome.exit, 0);
    EXPECT_NE(outcome.out.find("\nverdict: pass via eth0"), std::string::npos) << outcome.out;
    on_loop([this] {
        ASSERT_TRUE(fake_.asked);
        EXPECT_EQ(fake_.asked->source, test::address("10.244.1.5"));
        EXPECT_EQ(fake_.asked->protocol, 6);
        EXPECT_EQ(fake_.asked->source_port, 4000);
        EXPECT_EQ(fake_.asked->destination_port, 80);
        EXPECT_EQ(fake_.asked->mark, 0x10U);
    });
}

TEST_F(Wglanctl, RefusalsOfTheAgentAreTold) {
    start_agent();
    auto unknown = run({"peers", "no such & peer"});
    EXPECT_EQ(unknown.exit, 1);
    EXPECT_EQ(unknown.out, "");
    EXPECT_EQ(unknown.err, "wglanctl: no peer named no such & peer\n");
    auto usage = run({"explain", "10.0.0.1", "--proto", "tpc"});
    EXPECT_EQ(usage.exit, 2);
    EXPECT_EQ(usage.err.rfind("wglanctl: proto \"tpc\"", 0), 0U) << usage.err;
}

TEST_F(Wglanctl, NoAgentIsExit3) {
    for (const auto& arguments : std::vector<std::vector<std::string>>{{"status"},
                                                                       {"peers"},
                                                                       {"routes", "-o", "json"},
                                                                       {"record"},
                                                                       {"keys", "show"},
                                                                       {"explain", "10.0.0.1"}}) {
        auto outcome = run(arguments);
        EXPECT_EQ(outcome.exit, 3) << arguments[0];
        EXPECT_EQ(outcome.out, "") << arguments[0];
        EXPECT_NE(outcome.err.find("no agent answers at " + socket_.string()), std::string::npos)
            << outcome.err;
    }
    start_agent();
    on_loop([this] { server_.reset(); });
    int stale = ::open(socket_.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);  // a file that isn't a socket
    ::close(stale);
    EXPECT_EQ(run({"status"}).exit, 3);
}

TEST_F(Wglanctl, WrongUsageIsExit2) {
    for (const auto& arguments :
         std::vector<std::vector<std::string>>{{},
                                               {"nonsense"},
                                               {"status", "extra"},
                                               {"status", "-o", "xml"},
                                               {"status", "--nonsense"},
                                               {"status", "--peers", "2"},
                                               {"status", "--wait-ready", "--timeout", "soon"},
                                               {"status", "--wait-ready", "--timeout", "0"},
                                               {"status", "--wait-ready", "--peers", "-1"},
                                               {"status", "--wait-ready", "--watch"},
                                               {"explain"},
                                               {"explain", "node2"},
                                               {"explain", "10.0.0.1", "--src", "x"},
                                               {"explain", "10.0.0.1", "--dport", "80"},
                                               {"monitor", "node2"},
                                               {"monitor", "--peer"},
                                               {"keys"},
                                               {"token"}}) {
        auto outcome = run(arguments);
        EXPECT_EQ(outcome.exit, 2) << testing::PrintToString(arguments);
        EXPECT_EQ(outcome.out, "");
        EXPECT_EQ(outcome.err.rfind("wglanctl: ", 0), 0U) << outcome.err;
    }
}

TEST_F(Wglanctl, LaterCommandsSayThatTheyAreNotAvailable) {
    for (const auto& arguments :
         std::vector<std::vector<std::string>>{{"policy", "check", "FILE"},
                                               {"policy", "show"},
                                               {"policy", "test"},
                                               {"peer", "revoke", "node2"},
                                               {"peer", "quarantine", "node2"},
                                               {"peer", "restore", "node2"},
                                               {"client", "add", "phone", "--prefixes", "10.0.0.0/8", "--qr"},
                                               {"client", "list", "-o", "json"},
                                               {"client", "remove", "phone"},
                                               {"keys", "rotate"}}) {
        auto outcome = run(arguments);
        EXPECT_EQ(outcome.exit, 2) << arguments[0];
        EXPECT_NE(outcome.err.find("not available in this version"), std::string::npos) << outcome.err;
        EXPECT_EQ(outcome.out, "");
    }
    auto help = run({"--help"});
    EXPECT_EQ(help.exit, 0);
    EXPECT_NE(help.out.find("(not available in this version)"), std::string::npos);
}

TEST_F(Wglanctl, DoctorTellsWhatTheAgentFoundAndFailsWithIt) {
    start_agent();
    const auto outcome = run({"doctor", "-o", "json"});
    EXPECT_EQ(outcome.exit, 1);
    EXPECT_EQ(outcome.err, "");
    const Json answer = Json::parse(outcome.out);
    const Json agents = to_json(test::sample_doctor());
    for (std::size_t i = 0; i < agents["checks"].size(); ++i)
        EXPECT_EQ(answer["checks"][i], agents["checks"][i]);
    EXPECT_GT(answer["checks"].size(), agents["checks"].size()) << "others' rules are looked at from here";
    EXPECT_EQ(answer["reachability"], agents["reachability"]);
    EXPECT_EQ(answer["summary"]["fail"], 1);
    EXPECT_NE(run({"doctor"}).out.find("\nfail  port "), std::string::npos);
}

TEST_F(Wglanctl, DoctorLooksAtTheHostWhereNoAgentAnswers) {
    const auto outcome = run({"doctor", "-o", "json"});
    EXPECT_EQ(outcome.exit, 1);
    EXPECT_EQ(outcome.err, "");
    const Json answer = Json::parse(outcome.out);
    EXPECT_EQ(answer["checks"][0]["check"], "agent");
    EXPECT_EQ(answer["checks"][0]["status"], "fail");
    std::set<std::string> checks;
    for (const Json& check : answer["checks"]) checks.insert(check["check"]);
    for (const char* check :
         {"kernel", "permissions", "interface", "rp_filter", "clock", "nat", "port", "marks"})
        EXPECT_TRUE(checks.contains(check)) << check;
}

TEST_F(Wglanctl, TokensAreFreshAndNeedNoAgent) {
    std::set<std::string> tokens;
    for (int i = 0; i < 3; ++i) {
        auto outcome = run({"token", "new"});
        EXPECT_EQ(outcome.exit, 0);
        ASSERT_EQ(outcome.out.size(), 44U);
        EXPECT_EQ(base64url_decode(std::string_view(outcome.out).substr(0, 43))->size(), 32U);
        tokens.insert(outcome.out);
    }
    EXPECT_EQ(tokens.size(), 3U);
}

TEST_F(Wglanctl, CompletionKnowsEveryCommand) {
    auto outcome = run({"completion", "bash"});
    EXPECT_EQ(outcome.exit, 0);
    EXPECT_NE(outcome.out.find("\"wglanctl keys\") words=\"show rotate"), std::string::npos) << outcome.out;
    EXPECT_NE(outcome.out.find("--wait-ready"), std::string::npos);
}

TEST_F(Wglanctl, WaitReadyNamesWhatIsMissing) {
    start_agent();
    auto outcome = run({"status", "--wait-ready", "--timeout", "300ms"});
    EXPECT_EQ(outcome.exit, 1);
    EXPECT_EQ(outcome.out, "");
    EXPECT_NE(outcome.err.find("source service:discovery:51821 is degraded (connection refused)"),
              std::string::npos)
        << outcome.err;
    EXPECT_NE(outcome.err.find("1 of 2 peers up (node3 is down)"), std::string::npos) << outcome.err;
    on_loop([this] { fake_.status_view.sources[1].state = SourceState::synced; });
    EXPECT_EQ(run({"status", "--wait-ready", "--peers", "1", "--timeout", "20s"}).exit, 0);
}

TEST_F(Wglanctl, WaitReadyWaitsForAnAgentAndItsPeers) {
    pid_t waiting = spawn({"status", "--wait-ready", "--timeout", "60s", "-o", "json"});
    start_agent();
    int status = 0;
    EXPECT_EQ(::waitpid(waiting, &status, WNOHANG), 0);
    on_loop([this] {
        fake_.status_view.sources[1].state = SourceState::synced;
        fake_.status_view.peers[1].state = PeerState::up;
    });
    auto outcome = outcome_of(waiting);
    EXPECT_EQ(outcome.exit, 0) << outcome.err;
    EXPECT_EQ(Json::parse(outcome.out)["peers"][1]["state"], "up");
}

TEST_F(Wglanctl, WaitReadyWithoutAnAgentTimesOut) {
    auto outcome = run({"status", "--wait-ready", "--timeout", "300ms"});
    EXPECT_EQ(outcome.exit, 1);
    EXPECT_NE(outcome.err.find("no agent answers at"), std::string::npos) << outcome.err;
}

TEST_F(Wglanctl, WatchGoesOnUntilItIsInterrupted) {
    start_agent();
    pid_t watching = spawn({"status", "--watch"});
    auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    auto screens = [&] {
        std::string out = text_of("out");
        std::size_t count = 0;
        for (std::size_t at = 0; (at = out.find("Node        node1", at)) != std::string::npos; ++at) ++count;
        return count;
    };
    while (screens() < 2 && std::chrono::steady_clock::now() < until)
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_GE(screens(), 2U);
    ::kill(watching, SIGINT);
    EXPECT_EQ(outcome_of(watching).exit, 0);
}

TEST_F(Wglanctl, MonitorPrintsEventsUntilItIsInterrupted) {
    start_agent();
    const auto lines = [&](const std::vector<std::string>& arguments, std::size_t least) {
        pid_t child = spawn(arguments);
        auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        std::string out;
        const auto count = [&] {
            out = text_of("out");
            return static_cast<std::size_t>(std::count(out.begin(), out.end(), '\n'));
        };
        while (count() == 0 && std::chrono::steady_clock::now() < until)
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        on_loop([this] {
            MonitorEvent flow = test::sample_drop();
            flow.packet.kind = PacketEvent::Kind::flow;
            fake_.hub.publish(flow);
            fake_.hub.publish(test::sample_drop());
        });
        while (count() < least && std::chrono::steady_clock::now() < until)
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        ::kill(child, SIGINT);
        auto outcome = outcome_of(child);
        EXPECT_EQ(outcome.exit, 0) << outcome.err;
        EXPECT_EQ(outcome.err, "");
        return out;
    };
    std::istringstream json(lines({"monitor", "-o", "json"}, 3));
    std::vector<Json> events;
    for (std::string line; std::getline(json, line);) events.push_back(Json::parse(line));
    ASSERT_EQ(events.size(), 3U);
    EXPECT_EQ(events[0]["type"], "start");
    EXPECT_EQ(events[1]["type"], "flow");
    EXPECT_EQ(events[2], to_json(test::sample_drop()));

    const std::string table = lines({"monitor", "--drops", "--peer", "node3"}, 2);
    EXPECT_EQ(table.find("flow"), std::string::npos) << table;
    EXPECT_NE(table.find("10.244.1.5:40000 -> 10.244.3.7:80"), std::string::npos) << table;
    on_loop([this] {
        ASSERT_TRUE(fake_.watched);
        EXPECT_TRUE(fake_.watched->drops);
        EXPECT_EQ(fake_.watched->peer, "node3");
    });
    auto yaml = YAML::LoadAll(lines({"monitor", "--drops", "-o", "yaml"}, 14));
    ASSERT_EQ(yaml.size(), 2U);
    EXPECT_EQ(yaml[1]["reason"].as<std::string>(), "peer_down");
}

TEST_F(Wglanctl, MonitorSaysThatTheAgentHasGone) {
    start_agent();
    auto unknown = run({"monitor", "--peer", "node9"});
    EXPECT_EQ(unknown.exit, 1);
    EXPECT_EQ(unknown.err, "wglanctl: no peer named node9\n");
    pid_t child = spawn({"monitor", "-o", "json"});
    auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (text_of("out").empty() && std::chrono::steady_clock::now() < until)
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    on_loop([this] { server_.reset(); });
    auto outcome = outcome_of(child);
    EXPECT_EQ(outcome.exit, 1);
    EXPECT_NE(outcome.err.find("has ended the stream"), std::string::npos) << outcome.err;
    EXPECT_EQ(run({"monitor"}).exit, 3);
}

TEST_F(Wglanctl, AFullDeviceIsAFailure) {
    start_agent();
    std::string command = std::string(WGLANCTL) + " --socket " + socket_.string() +
                          " status > /dev/full 2> " + (folder_ / "err").string();
    int status = std::system(command.c_str());
    EXPECT_EQ(WEXITSTATUS(status), 1);
    EXPECT_EQ(text_of("err"), "wglanctl: can't write to standard output\n");
}

}  // namespace
}  // namespace wglan
