// SPDX-License-Identifier: Apache-2.0
// Hosts for tests that need more than one: each a network and mount namespace with an empty /run.
// Needs root. A failed step of the set-up throws std::runtime_error, which fails the test.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "agent/base/unique_fd.h"

namespace wglan::test {

// nullptr, or why such hosts can't be made here ("unshare: Operation not permitted").
const char* no_hosts_reason();

class Host {
public:
    Host();  // `lo` is up
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;
    // Ends every process that is still in the network namespace; both namespaces go.
    ~Host();

    // Runs the function in a thread inside the namespaces and waits. Sockets it opens and processes it
    // starts belong there for good; exceptions come back to the caller.
    void inside(const std::function<void()>& function) const;

    struct Output {
        int exit_code = -1;  // 128 + signal if it was killed
        std::string text;    // stdout and stderr
    };
    // Runs a shell command inside and waits for it.
    Output try_run(const std::string& command) const;
    // The same; throws if it fails. Gives back what it printed.
    std::string run(const std::string& command) const;

    // A process whose namespaces these are, for `ip link set X netns PID`.
    pid_t pid() const { return holder_; }

private:
    pid_t holder_ = -1;
    UniqueFd network_;
    UniqueFd mounts_;
};

// A veth pair between two hosts, `name` on both, with these addresses ("192.0.2.1/24", "" = none).
void connect_hosts(const Host& one, const std::string& one_address, const Host& other,
                   const std::string& other_address, const std::string& name);

}  // namespace wglan::test
