// SPDX-License-Identifier: Apache-2.0
#include "tools/wglanctl/run_program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string_view>

#include "agent/base/unique_fd.h"

extern char** environ;

namespace wglan::ctl {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostOutput = 64U << 20;

// A user's $PATH often lacks the folders of the system's tools.
std::string find_program(const std::string& name) {
    const char* path = std::getenv("PATH");
    std::string all =
        (path == nullptr ? std::string() : std::string(path)) + ":/usr/sbin:/sbin:/usr/bin:/bin";
    std::string_view rest = all;
    while (!rest.empty()) {
        const auto end = std::min(rest.find(':'), rest.size());
        const std::string file = std::string(rest.substr(0, end)) + "/" + name;
        if (end > 0 && ::access(file.c_str(), X_OK) == 0) return file;
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return {};
}

class Child {
public:
    explicit Child(pid_t pid) : pid_(pid) {}
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        (void)wait();
    }
    int wait() {
        int status = -1;
        while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
        }
        pid_ = -1;
        return status;
    }

private:
    pid_t pid_;
};

Result<> read_all(int fd, Clock::time_point deadline, std::string& out) {
    std::array<char, 65536> buffer{};
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
        pollfd ready{fd, POLLIN, 0};
        const int polled = left <= 0 ? 0 : ::poll(&ready, 1, static_cast<int>(left));
        if (polled < 0 && errno == EINTR) continue;
        if (polled < 0) return fail_errno("wait for its output");
        if (polled == 0) return fail(ErrorKind::timeout, "it takes too long");
        const ssize_t got = ::read(fd, buffer.data(), buffer.size());
        if (got < 0) return fail_errno("read its output");
        if (got == 0) return {};
        out.append(buffer.data(), static_cast<std::size_t>(got));
        if (out.size() > kMostOutput) return fail(ErrorKind::exhausted, "it prints too much");
    }
}

}  // namespace

Result<std::string> output_of(const std::vector<std::string>& command, std::chrono::milliseconds limit) {
    const std::string& name = command.front();
    const std::string file = find_program(name);
    if (file.empty()) return fail(ErrorKind::not_found, name + " is not installed");
    std::array<int, 2> ends{-1, -1};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("make a pipe");
    const UniqueFd reading(ends[0]);
    UniqueFd writing(ends[1]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, writing.get(), STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    std::vector<std::string> words = command;
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    pid_t pid = -1;
    const int error = ::posix_spawn(&pid, file.c_str(), &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) return fail_errno("run " + name, error);
    Child child(pid);
    writing.reset();
    std::string out;
    if (auto read = read_all(reading.get(), Clock::now() + limit, out); !read) return fail_with(read, name);
    const int status = child.wait();
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return fail(
            ErrorKind::io,
            name + " failed" +
                (WIFEXITED(status) ? " with status " + std::to_string(WEXITSTATUS(status)) : std::string()));
    return out;
}

}  // namespace wglan::ctl
