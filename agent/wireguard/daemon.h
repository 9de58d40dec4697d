// SPDX-License-Identifier: Apache-2.0
// The wireguard-go process of one interface: starting it, knowing it again, ending it.
#pragma once

#include <sys/types.h>

#include <string>

#include "agent/base/clock.h"
#include "agent/base/result.h"
#include "agent/base/unique_fd.h"

namespace wglan {

// A process by pidfd, so that its number can't come to mean another one.
class Process {
public:
    static Result<Process> open(pid_t pid);  // not_found

    pid_t pid() const { return pid_; }
    // Waits for its end, at most so long. True = it has ended (and left no zombie if it was our child).
    bool ended(Milliseconds wait);
    // SIGTERM, SIGKILL after `patience`; returns when it has ended.
    Result<> end(Milliseconds patience);

private:
    Process(pid_t pid, UniqueFd fd) : pid_(pid), fd_(std::move(fd)) {}
    pid_t pid_;
    UniqueFd fd_;
};

// What a started process said on stdout and stderr: kept in memory, its first 16 KiB alone.
struct StartedProcess {
    Process process;
    UniqueFd log;
    std::string said() const;
};

// Starts `program -f interface` in the calling thread's namespaces, in a session of its own, with no
// file descriptor but 0, 1 and 2 and nothing of our environment but PATH and GO*. It outlives the agent.
// program: a path, or a name to be found in PATH.
Result<StartedProcess> start_wireguard_go(const std::string& program, const std::string& interface);

// True if this process holds the tun device `interface` open, in the calling thread's network namespace.
bool drives_tun(pid_t pid, const std::string& interface);
// True unless the process is known to live in another network namespace than the calling thread.
bool shares_network(pid_t pid);

// What sits under an interface name here.
enum class DeviceKind { none, tun, other };
Result<DeviceKind> device_kind(const std::string& interface);

}  // namespace wglan
