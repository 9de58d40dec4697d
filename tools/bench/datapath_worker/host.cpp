// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/datapath_worker/host.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <exception>
#include <thread>

#include "agent/base/unique_fd.h"
#include "tools/bench/datapath_worker/must.h"

namespace wglan::bench {

void inside(const std::string& name, const std::function<void()>& function) {
    if (name.empty()) {
        function();
        return;
    }
    std::exception_ptr problem;
    std::thread([&] {
        try {
            const UniqueFd there(
                must_call(::open(("/run/netns/" + name).c_str(), O_RDONLY | O_CLOEXEC), "open " + name));
            must_call(::setns(there.get(), CLONE_NEWNET), "enter " + name);
            function();
        } catch (...) {
            problem = std::current_exception();
        }
    }).join();
    if (problem) std::rethrow_exception(problem);
}

unsigned ifindex_of(const std::string& device) {
    const unsigned index = ::if_nametoindex(device.c_str());
    if (index == 0) must_call(-1, "find device " + device);
    return index;
}

std::string mac_of(const std::string& device) {
    const UniqueFd socket(must_call(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "make a socket"));
    ifreq request{};
    device.copy(request.ifr_name, IFNAMSIZ - 1);
    must_call(::ioctl(socket.get(), SIOCGIFHWADDR, &request), "ask for the address of " + device);
    return {static_cast<const char*>(request.ifr_hwaddr.sa_data), 6};
}

void pin_to(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<unsigned>(cpu), &set);
    must_call(::sched_setaffinity(0, sizeof set, &set), "run on CPU " + std::to_string(cpu));
}

}  // namespace wglan::bench
