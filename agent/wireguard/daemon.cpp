// SPDX-License-Identifier: Apache-2.0
#include "agent/wireguard/daemon.h"

#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

// glibc 2.36 forgot to say so itself.
extern "C" {
#include <sys/pidfd.h>
}

namespace wglan {
namespace {

constexpr off_t kLogSize = 16384;

// A file in memory that can't grow: whatever a process logs in its life, this is all it takes.
Result<UniqueFd> bounded_log() {
    UniqueFd log(memfd_create("wireguard-go-log", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!log.valid()) return fail_errno("make a log in memory");
    if (ftruncate(log.get(), kLogSize) != 0 ||
        fcntl(log.get(), F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) != 0)
        return fail_errno("bound a log in memory");
    return log;
}

std::vector<std::string> child_environment() {
    std::vector<std::string> result;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        if (text.starts_with("PATH=") || text.starts_with("GO")) result.emplace_back(text);
    }
    result.emplace_back("LOG_LEVEL=error");
    // No second process, no banner; tun and socket are its own to open.
    result.emplace_back("WG_PROCESS_FOREGROUND=1");
    return result;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
    std::vector<char*> result;
    for (std::string& text : strings) result.push_back(text.data());
    result.push_back(nullptr);
    return result;
}

// posix_spawn's two settings, freed on every way out.
struct SpawnSettings {
    posix_spawn_file_actions_t actions{};
    posix_spawnattr_t attributes{};

    SpawnSettings() {
        posix_spawn_file_actions_init(&actions);
        posix_spawnattr_init(&attributes);
    }
    SpawnSettings(const SpawnSettings&) = delete;
    SpawnSettings& operator=(const SpawnSettings&) = delete;
    ~SpawnSettings() {
        posix_spawn_file_actions_destroy(&actions);
        posix_spawnattr_destroy(&attributes);
    }

    int prepare(int log) {
        sigset_t none;
        sigset_t all;
        sigemptyset(&none);
        sigfillset(&all);
        for (const int failed :
             {posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0),
              posix_spawn_file_actions_adddup2(&actions, log, STDOUT_FILENO),
              posix_spawn_file_actions_adddup2(&actions, log, STDERR_FILENO),
              posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1),
              posix_spawn_file_actions_addchdir_np(&actions, "/"),
              posix_spawnattr_setsigmask(&attributes, &none),
              posix_spawnattr_setsigdefault(&attributes, &all),
              posix_spawnattr_setflags(&attributes,
                                       POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)})
            if (failed != 0) return failed;
        return 0;
    }
};

}  // namespace

Result<Process> Process::open(pid_t pid) {
    UniqueFd fd(pidfd_open(pid, 0));
    if (!fd.valid()) return fail_errno("open process " + std::to_string(pid));
    return Process(pid, std::move(fd));
}

bool Process::ended(Milliseconds wait) {
    pollfd entry{fd_.get(), POLLIN, 0};
    int ready = 0;
    do ready = poll(&entry, 1, static_cast<int>(wait.count()));
    while (ready < 0 && errno == EINTR);
    if (ready <= 0) return false;
    siginfo_t ignored{};
    // ECHILD where somebody else is the parent: then it is theirs to reap.
    waitid(P_PIDFD, static_cast<id_t>(fd_.get()), &ignored, WEXITED | WNOHANG);
    return true;
}

Result<> Process::end(Milliseconds patience) {
    for (const int signal : {SIGTERM, SIGKILL}) {
        if (pidfd_send_signal(fd_.get(), signal, nullptr, 0) != 0 && errno != ESRCH)
            return fail_errno("end process " + std::to_string(pid_));
        if (ended(patience)) return {};
    }
    return fail_errno("process " + std::to_string(pid_) + " does not end", ETIMEDOUT);
}

std::string StartedProcess::said() const {
    std::string text(static_cast<std::size_t>(kLogSize), '\0');
    const ssize_t got = pread(log.get(), text.data(), text.size(), 0);
    text.resize(got > 0 ? std::strlen(text.c_str()) : 0);
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
}

Result<StartedProcess> start_wireguard_go(const std::string& program, const std::string& interface) {
    auto log = bounded_log();
    if (!log) return tl::make_unexpected(log.error());
    SpawnSettings settings;
    if (const int failed = settings.prepare(log->get()); failed != 0)
        return fail_errno("prepare to start " + program, failed);
    std::vector<std::string> arguments{program, "-f", interface};
    std::vector<std::string> environment = child_environment();
    pid_t pid = 0;
    const int failed = posix_spawnp(&pid, program.c_str(), &settings.actions, &settings.attributes,
                                    pointers(arguments).data(), pointers(environment).data());
    if (failed == ENOENT)
        return fail(ErrorKind::not_found, "start " + program +
                                              ": there is no such program; install wireguard-go, or load the "
                                              "kernel's WireGuard module");
    if (failed != 0) return fail_errno("start " + program, failed);
    auto process = Process::open(pid);
    if (!process) return fail_with(process, "watch " + program);
    return StartedProcess{std::move(*process), std::move(*log)};
}

bool shares_network(pid_t pid) {
    struct stat ours{};
    struct stat theirs{};
    // Namespaces belong to threads; /proc/self is the main one.
    if (stat("/proc/thread-self/ns/net", &ours) != 0) return true;
    if (stat(("/proc/" + std::to_string(pid) + "/ns/net").c_str(), &theirs) != 0) return true;
    return ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

bool drives_tun(pid_t pid, const std::string& interface) {
    if (!shares_network(pid)) return false;
    // drivers/net/tun.c, tun_chr_show_fdinfo: "iff:\tNAME".
    const std::string wanted = "iff:\t" + interface;
    std::error_code problem;
    const std::filesystem::path folder = "/proc/" + std::to_string(pid) + "/fdinfo";
    for (std::filesystem::directory_iterator entry(folder, problem), end; !problem && entry != end;
         entry.increment(problem)) {
        std::ifstream file(entry->path());
        for (std::string line; std::getline(file, line);)
            if (line == wanted) return true;
    }
    return false;
}

Result<DeviceKind> device_kind(const std::string& interface) {
    if (interface.empty() || interface.size() >= IFNAMSIZ)
        return fail(ErrorKind::invalid, "interface name `" + interface + "` has not 1 to 15 bytes");
    UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!fd.valid()) return fail_errno("make a socket");
    ethtool_drvinfo info{};
    info.cmd = ETHTOOL_GDRVINFO;
    ifreq request{};
    std::memcpy(request.ifr_name, interface.data(), interface.size());
    request.ifr_data = reinterpret_cast<char*>(&info);
    if (ioctl(fd.get(), SIOCETHTOOL, &request) != 0) {
        if (errno == ENODEV) return DeviceKind::none;
        if (errno == EOPNOTSUPP) return DeviceKind::other;
        return fail_errno("ask for the driver of " + interface);
    }
    return std::strncmp(info.driver, "tun", sizeof info.driver) == 0 ? DeviceKind::tun : DeviceKind::other;
}

}  // namespace wglan
