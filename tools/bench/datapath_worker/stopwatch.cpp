// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/datapath_worker/stopwatch.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>

#include "tools/bench/datapath_worker/must.h"

namespace wglan::bench {

namespace {

namespace fs = std::filesystem;

std::string find_ksoftirqd(int cpu) {
    const std::string wanted = "ksoftirqd/" + std::to_string(cpu);
    for (const auto& entry : fs::directory_iterator("/proc")) {
        std::string name;
        if (std::getline(std::ifstream(entry.path() / "comm"), name) && name == wanted)
            return (entry.path() / "schedstat").string();
    }
    return {};
}

struct Schedule {
    unsigned long long ran = 0, waited = 0;
};

Schedule read_schedule(int fd) {
    char text[128] = {};
    if (::pread(fd, text, sizeof text - 1, 0) <= 0) must_call(-1, "read schedstat");
    Schedule schedule;
    if (std::sscanf(text, "%llu %llu", &schedule.ran, &schedule.waited) != 2)  // NOLINT(cert-err34-c)
        throw std::runtime_error("schedstat reads \"" + std::string(text) + "\"");
    return schedule;
}

}  // namespace

Stopwatch::Stopwatch(int cpu)
    : own_(must_call(::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC), "open schedstat")) {
    // A container may see no kernel threads; their share is then missing, and the medians show it.
    if (const auto path = find_ksoftirqd(cpu); !path.empty())
        ksoftirqd_.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

Stopwatch::Reading Stopwatch::read() const {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    Reading reading;
    reading.wall =
        static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
    reading.waited = read_schedule(own_.get()).waited;
    if (ksoftirqd_.valid()) reading.softirqs = read_schedule(ksoftirqd_.get()).ran;
    return reading;
}

void Stopwatch::start() { start_ = read(); }

std::uint64_t Stopwatch::stop(std::optional<std::uint64_t> own_ns) const {
    const Reading now = read();
    const std::uint64_t wall = now.wall - start_.wall, waited = now.waited - start_.waited;
    return own_ns.value_or(wall - std::min(wall, waited)) + now.softirqs - start_.softirqs;
}

}  // namespace wglan::bench
