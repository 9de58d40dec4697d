// SPDX-License-Identifier: Apache-2.0
// The wireguard-go process: who starts it, who outlives whom, and answers that make no sense.
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "agent/wireguard/daemon.h"
#include "agent/wireguard/uapi_socket.h"
#include "tests/netns/wireguard/node.h"

namespace wglan::test {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::SizeIs;

class WireGuardGo : public WithUserspace {};

pid_t listener_of(const Node& node) {
    pid_t pid = 0;
    node.host.inside([&] {
        auto socket = UapiSocket::connect(uapi_socket_path(kDevice));
        ASSERT_TRUE(socket) << socket.error().message();
        pid = socket->listener();
    });
    return pid;
}

ErrorKind kind_of_dump(Node& node) {
    ErrorKind kind = ErrorKind::internal;
    const Result<> done = node.result_of([](WireGuard& wireguard) -> Result<> {
        auto device = wireguard.dump();
        return device ? Result<>{} : tl::make_unexpected(device.error());
    });
    if (!done) kind = done.error().kind();
    return kind;
}

// Until the outcome is there; a bound for broken code only.
template <class Condition>
bool eventually(Condition condition) {
    for (int i = 0; i < 1000; ++i) {
        if (condition()) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
}

std::string process_file(pid_t pid, const char* name) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
}

TEST_F(WireGuardGo, RunsDetachedAndInheritsNothing) {
    Node node("userspace");
    ::setenv("WGLAN_CLUSTER_TOKEN", "a-token-of-the-agent", 1);
    const UniqueFd inherited(::dup(STDIN_FILENO));  // without close-on-exec, on purpose
    node.ensure();
    ::unsetenv("WGLAN_CLUSTER_TOKEN");
    const pid_t pid = listener_of(node);
    ASSERT_GT(pid, 0);
    EXPECT_EQ(::getsid(pid), pid);
    EXPECT_EQ(::getpgid(pid), pid);
    node.host.inside([&] { EXPECT_TRUE(drives_tun(pid, kDevice)); });
    EXPECT_FALSE(shares_network(pid));
    EXPECT_EQ(process_file(pid, "environ").find("token"), std::string::npos);
    struct stat ours{};
    ASSERT_EQ(::fstat(inherited.get(), &ours), 0);
    for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
        struct stat theirs{};
        if (::stat(entry.path().c_str(), &theirs) != 0 || entry.path().filename() == "0") continue;
        EXPECT_FALSE(theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev) << entry.path();
    }
    const auto socket = node.host.run("stat -L -c %a /var/run/wireguard/wg0.sock");
    EXPECT_THAT(socket, AnyOf("700\n", "600\n"));
}

TEST_F(WireGuardGo, OutlivesAKilledAgentAndIsAdopted) {
    Node node("userspace");
    node.host.inside([&] {
        const pid_t agent = ::fork();
        ASSERT_GE(agent, 0);
        if (agent == 0) {
            const bool made = node.backend().ensure_device().value_or(false);
            const Result<> done = node.backend().apply({add_peer(node.key(), "", {})}, node.secrets);
            ::kill(::getpid(), made && done ? SIGKILL : SIGABRT);
        }
        int status = 0;
        ASSERT_EQ(::waitpid(agent, &status, 0), agent);
        ASSERT_TRUE(WIFSIGNALED(status));
        ASSERT_EQ(WTERMSIG(status), SIGKILL);
    });
    EXPECT_FALSE(node.ensure());
    EXPECT_THAT(node.dump().peers, SizeIs(1));
}

TEST_F(WireGuardGo, IsStartedAgainAfterItsDeath) {
    Node node("userspace");
    node.ensure();
    const pid_t first = listener_of(node);
    ASSERT_EQ(::kill(first, SIGKILL), 0);
    EXPECT_TRUE(eventually([&] { return kind_of_dump(node) == ErrorKind::not_found; }));
    // No zombie is left of it.
    EXPECT_TRUE(
        eventually([&] { return kind_of_dump(node) == ErrorKind::not_found && ::kill(first, 0) != 0; }));
    EXPECT_EQ(node.host.try_run("test -S /var/run/wireguard/wg0.sock").exit_code, 0);  // the stale one
    EXPECT_TRUE(node.ensure());
    EXPECT_NE(listener_of(node), first);
    node.configure(51820);
    EXPECT_EQ(node.dump().public_key, node.key());
}

TEST_F(WireGuardGo, IsStartedAgainAfterItsDeviceWasDeleted) {
    Node node("userspace");
    node.ensure();
    node.host.run("ip link set wg0 up && ip link del wg0");
    EXPECT_EQ(kind_of_dump(node), ErrorKind::not_found);
    EXPECT_TRUE(node.ensure());
    EXPECT_EQ(node.host.try_run("wg show wg0").exit_code, 0);
}

TEST_F(WireGuardGo, StartedBySomebodyElseIsAdoptedAndEndedThroughItsSocket) {
    Node node("userspace");
    // It goes to the background, so the process that called listen(2) is gone.
    node.host.run("wireguard-go wg0 >/dev/null 2>&1");
    EXPECT_FALSE(node.ensure());
    EXPECT_TRUE(node.result_of([](WireGuard& wireguard) { return wireguard.remove_device(); }));
    EXPECT_NE(node.host.try_run("ip link show wg0").exit_code, 0);
    EXPECT_TRUE(node.ensure());
}

TEST_F(WireGuardGo, RefusesATunDeviceOfAnotherProgram) {
    Node node("userspace");
    node.host.run("ip tuntap add dev wg0 mode tun");
    for (const bool removing : {false, true}) {
        const Result<> refused = node.result_of([&](WireGuard& wireguard) -> Result<> {
            if (removing) return wireguard.remove_device();
            auto ensured = wireguard.ensure_device();
            return ensured ? Result<>{} : tl::make_unexpected(ensured.error());
        });
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().kind(), ErrorKind::exists);
    }
    node.host.run("ip link del wg0");
}

TEST_F(WireGuardGo, ThatIsNotInstalledOrCannotStartIsAClearError) {
    Node node("userspace");
    node.host.inside([&] {
        const auto missing = make_userspace_wireguard(kDevice, "/nonexistent/wireguard-go")->ensure_device();
        ASSERT_FALSE(missing);
        EXPECT_EQ(missing.error().kind(), ErrorKind::not_found);
        EXPECT_THAT(missing.error().message(), HasSubstr("/nonexistent/wireguard-go"));
        std::ofstream("/run/broken") << "#!/bin/sh\necho no tun today >&2\nexit 1\n";
        std::filesystem::permissions("/run/broken", std::filesystem::perms::owner_all);
        const auto broken = make_userspace_wireguard(kDevice, "/run/broken")->ensure_device();
        ASSERT_FALSE(broken);
        EXPECT_THAT(broken.error().message(), HasSubstr("no tun today"));
        const auto name = make_userspace_wireguard("a-name-too-long-by-far")->ensure_device();
        ASSERT_FALSE(name);
        EXPECT_EQ(name.error().kind(), ErrorKind::invalid);
    });
}

// A process behind wg0's socket that handles each connection as told.
class FakeProcess {
public:
    // serve: called with a connection; runs in a process of its own.
    FakeProcess(const Node& node, void (*serve)(int)) {
        node.host.inside([&] {
            std::filesystem::create_directories("/run/wireguard");
            const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
            sockaddr_un address{};
            address.sun_family = AF_UNIX;
            std::strcpy(address.sun_path, "/run/wireguard/wg0.sock");
            ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
            pid_ = ::fork();
            ASSERT_GE(pid_, 0);
            if (pid_ != 0) return;
            ::signal(SIGPIPE, SIG_IGN);   // a caller may hang up first
            ::listen(listener.get(), 5);  // here, so that the socket names this process
            for (;;) {
                const UniqueFd connection(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
                // The test's own first knock asks for nothing.
                serve(connection.get());
            }
        });
        EXPECT_TRUE(eventually([&] {
            bool there = false;
            node.host.inside([&] { there = UapiSocket::connect(uapi_socket_path(kDevice)).has_value(); });
            return there;
        }));
    }
    FakeProcess(const FakeProcess&) = delete;
    FakeProcess& operator=(const FakeProcess&) = delete;
    ~FakeProcess() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }

private:
    pid_t pid_ = -1;
};

std::string read_request(int fd) {
    std::string text;
    for (char byte = 0; !text.ends_with("\n\n") && ::read(fd, &byte, 1) == 1;) text += byte;
    return text;
}

void answer(int fd, std::string_view text) { static_cast<void>(!::write(fd, text.data(), text.size())); }

// As wireguard-go: refuses at a line, takes nothing more, hangs up. Peer 22... is the one it dislikes.
void dislike_one_peer(int fd) {
    while (true) {
        const std::string request = read_request(fd);
        if (request.empty()) return;
        const bool disliked = request.find("public_key=2222") != std::string::npos;
        std::ofstream("/run/log", std::ios::app) << (disliked ? "refused\n" : request);
        answer(fd, disliked ? "errno=-22\n\n" : "errno=0\n\n");
        if (disliked) return;
    }
}

TEST_F(WireGuardGo, RefusalNamesThePeerAndKeepsWhatWasBefore) {
    Node node("userspace");
    const FakeProcess process(node, dislike_one_peer);
    std::vector<WgPeerChange> changes;
    for (const int byte : {0x11, 0x22, 0x33}) {
        PublicKey key;
        key.bytes.fill(static_cast<std::uint8_t>(byte));
        changes.push_back(update_peer(key));
        changes.back().keepalive_s = 25;
    }
    const Result<> refused =
        node.result_of([&](WireGuard& wireguard) { return wireguard.apply(changes, node.secrets); });
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::invalid);
    EXPECT_THAT(refused.error().message(), HasSubstr(to_string(changes[1].key)));
    const std::string log = node.host.run("cat /run/log");
    EXPECT_THAT(log, HasSubstr("public_key=1111"));
    EXPECT_EQ(log.find("public_key=3333"), std::string::npos);
}

struct Sick {
    void (*serve)(int);
    ErrorKind expected;
};

TEST_F(WireGuardGo, AnswersThatMakeNoSenseAreErrors) {
    const Sick cases[] = {
        {[](int) { std::this_thread::sleep_for(std::chrono::seconds(60)); }, ErrorKind::timeout},
        {[](int fd) { read_request(fd), answer(fd, "listen_port=51820\n"); }, ErrorKind::not_found},
        // Before the request is even read.
        {[](int fd) { answer(fd, "hello\n\n"); }, ErrorKind::protocol},
        {[](int fd) {
             read_request(fd);
             for (const std::string endless(65536, 'x');
                  ::send(fd, endless.data(), endless.size(), MSG_NOSIGNAL) > 0;) {
             }
         },
         ErrorKind::protocol},
        {[](int fd) { read_request(fd), answer(fd, "errno=1\n\n"); }, ErrorKind::permission}};
    for (const Sick& sick : cases) {
        Node node("userspace");
        const FakeProcess process(node, sick.serve);
        EXPECT_EQ(kind_of_dump(node), sick.expected);
    }
}

}  // namespace
}  // namespace wglan::test
