// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/live_settings.h"

#include <time.h>

#include <algorithm>

namespace wglan {

namespace {

constexpr std::uint64_t kGrace = 1'000'000'000;  // ns; longer than any run of a program

std::uint64_t now_ns(clockid_t clock) {
    timespec now{};
    ::clock_gettime(clock, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

Result<LiveSettings> LiveSettings::open(int fd) {
    auto memory = MapMemory::open(fd, "wglan_config");
    if (!memory) return Failure(memory.error());
    return LiveSettings(std::move(*memory));
}

void LiveSettings::add_generation() {
    const __u32 next = page().generation + 1;
    publish(page().generation, next == 0 ? __u32{1} : next);
}

void LiveSettings::new_generation() {
    add_generation();
    made_ns_ = now_ns(CLOCK_MONOTONIC);
}

void LiveSettings::heartbeat() {
    const auto now = static_cast<__u64>(now_ns(CLOCK_MONOTONIC));
    publish(page().heartbeat_ns, now);
    if (page().data_cloned_until_ns != 0 && page().data_cloned_until_ns < now)
        publish(page().data_cloned_until_ns, __u64{0});  // spares each packet a look at the clock
    if (made_ns_ == 0 || now < made_ns_ + kGrace) return;
    made_ns_ = 0;
    add_generation();
}

void LiveSettings::report_events(Seconds time) {
    const std::uint64_t until =
        now_ns(CLOCK_BOOTTIME) / 1'000'000'000 + static_cast<std::uint64_t>(time.count());
    publish(page().watched_until_s, time.count() > 0 ? static_cast<__u32>(until) : __u32{0});
}

void LiveSettings::clone_data(Milliseconds time) {
    const std::uint64_t until =
        now_ns(CLOCK_MONOTONIC) + static_cast<std::uint64_t>(std::chrono::nanoseconds(time).count());
    publish(page().data_cloned_until_ns, std::max(page().data_cloned_until_ns, static_cast<__u64>(until)));
}

void LiveSettings::set_reach_ports(const Ports& bits) {
    for (std::size_t i = 0; i < bits.size(); ++i) publish(page().reach_ports[i], static_cast<__u64>(bits[i]));
}

void LiveSettings::keep_in(wglan_config& value) const {
    value.heartbeat_ns = page().heartbeat_ns;
    value.generation = page().generation;
    value.watched_until_s = page().watched_until_s;
    value.data_cloned_until_ns = page().data_cloned_until_ns;
    std::copy(std::begin(page().reach_ports), std::end(page().reach_ports), value.reach_ports);
}

}  // namespace wglan
