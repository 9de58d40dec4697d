// SPDX-License-Identifier: Apache-2.0
#include "tests/support/netns.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <stdexcept>
#include <thread>

namespace wglan::test {
namespace {

[[noreturn]] void give_up(const std::string& what) {
    throw std::runtime_error(what + ": " + std::strerror(errno));
}

// In the forked child: system calls only. nullptr, or what failed.
const char* enter_new_namespaces() {
    if (::unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) return "unshare";
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return "make mounts private";
    // wireguard-go's sockets live below it.
    if (::mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") != 0) return "mount /run";
    // /sys/class/net shows the network namespace that /sys was mounted in.
    if (::mount("sysfs", "/sys", "sysfs", 0, nullptr) != 0) return "mount /sys";
    return nullptr;
}

// Forks a child that holds new namespaces until it is killed, or dies with this thread's process.
pid_t start_holder() {
    std::array<int, 2> ready{};
    if (::pipe2(ready.data(), O_CLOEXEC) != 0) give_up("pipe");
    UniqueFd reader(ready[0]);
    UniqueFd writer(ready[1]);
    const pid_t pid = ::fork();
    if (pid < 0) give_up("fork");
    if (pid == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        const int failed = enter_new_namespaces() == nullptr ? 0 : errno;
        static_cast<void>(!::write(writer.get(), &failed, sizeof failed));
        for (;;) ::pause();
    }
    int failed = EIO;
    const bool told = ::read(reader.get(), &failed, sizeof failed) == static_cast<ssize_t>(sizeof failed);
    if (told && failed == 0) return pid;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    errno = failed;
    give_up("make a network and mount namespace");
}

void end_processes_in(int network) {
    struct stat wanted{};
    if (::fstat(network, &wanted) != 0) return;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
        const std::string name = entry.path().filename();
        if (std::isdigit(static_cast<unsigned char>(name.front())) == 0) continue;
        struct stat found{};
        if (::stat((entry.path() / "ns/net").c_str(), &found) != 0) continue;
        if (found.st_ino == wanted.st_ino && found.st_dev == wanted.st_dev) ::kill(std::stoi(name), SIGKILL);
    }
}

}  // namespace

const char* no_hosts_reason() {
    static const std::string reason = [] {
        try {
            const Host host;
            return std::string();
        } catch (const std::exception& problem) {
            return std::string(problem.what());
        }
    }();
    return reason.empty() ? nullptr : reason.c_str();
}

Host::Host() : holder_(start_holder()) {
    const std::string folder = "/proc/" + std::to_string(holder_) + "/ns/";
    network_.reset(::open((folder + "net").c_str(), O_RDONLY | O_CLOEXEC));
    mounts_.reset(::open((folder + "mnt").c_str(), O_RDONLY | O_CLOEXEC));
    if (!network_.valid() || !mounts_.valid()) give_up("open " + folder);
    run("ip link set lo up");
}

Host::~Host() {
    // The holder is one of them.
    end_processes_in(network_.get());
    ::waitpid(holder_, nullptr, 0);
}

void Host::inside(const std::function<void()>& function) const {
    std::exception_ptr problem;
    std::thread([&] {
        try {
            // A thread that shares its working directory with others can't change its mounts.
            if (::unshare(CLONE_FS) != 0) give_up("unshare the working directory");
            if (::setns(mounts_.get(), CLONE_NEWNS) != 0) give_up("enter a mount namespace");
            if (::setns(network_.get(), CLONE_NEWNET) != 0) give_up("enter a network namespace");
            function();
        } catch (...) {
            problem = std::current_exception();
        }
    }).join();
    if (problem) std::rethrow_exception(problem);
}

Host::Output Host::try_run(const std::string& command) const {
    Output output;
    inside([&] {
        FILE* const pipe = ::popen(("exec 2>&1; " + command).c_str(), "r");
        if (pipe == nullptr) give_up(command);
        std::array<char, 4096> buffer{};
        while (const std::size_t size = std::fread(buffer.data(), 1, buffer.size(), pipe))
            output.text.append(buffer.data(), size);
        const int status = ::pclose(pipe);
        output.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    });
    return output;
}

std::string Host::run(const std::string& command) const {
    Output output = try_run(command);
    if (output.exit_code != 0)
        throw std::runtime_error(command + ": exit code " + std::to_string(output.exit_code) + "\n" +
                                 output.text);
    return std::move(output.text);
}

void connect_hosts(const Host& one, const std::string& one_address, const Host& other,
                   const std::string& other_address, const std::string& name) {
    one.run("ip link add " + name + " type veth peer name " + name + " netns " + std::to_string(other.pid()));
    for (const auto& [host, address] : {std::pair{&one, one_address}, std::pair{&other, other_address}}) {
        if (!address.empty()) host->run("ip address add " + address + " dev " + name + " nodad");
        host->run("ip link set " + name + " up");
    }
}

}  // namespace wglan::test
