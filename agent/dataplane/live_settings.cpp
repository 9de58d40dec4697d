// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/live_settings.h"

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <utility>

namespace wglan {

namespace {

std::uint64_t now_ns(clockid_t clock) {
    timespec now{};
    ::clock_gettime(clock, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

// Seen by a program after all that was written to any map before it.
template <class Number>
void publish(Number& number, Number value) {
    std::atomic_ref(number).store(value, std::memory_order_release);
}

std::size_t page_size() { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }

}  // namespace

void LiveSettings::Unmap::operator()(wglan_config* page) const noexcept { ::munmap(page, page_size()); }

Result<LiveSettings> LiveSettings::open(int fd) {
    void* const page = ::mmap(nullptr, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) return fail_errno("map BPF map wglan_config into memory");  // NOLINT: its cast
    LiveSettings settings;
    settings.page_.reset(static_cast<wglan_config*>(page));
    return settings;
}

void LiveSettings::add_generation() {
    const __u32 next = page_->generation + 1;
    publish(page_->generation, next == 0 ? __u32{1} : next);
}

void LiveSettings::new_generation() {
    add_generation();
    due_ = true;
}

void LiveSettings::heartbeat() {
    const auto now = static_cast<__u64>(now_ns(CLOCK_MONOTONIC));
    publish(page_->heartbeat_ns, now);
    if (page_->data_cloned_until_ns != 0 && page_->data_cloned_until_ns < now)
        publish(page_->data_cloned_until_ns, __u64{0});  // spares each packet a look at the clock
    if (std::exchange(due_, false)) add_generation();
}

void LiveSettings::report_events(Seconds time) {
    const std::uint64_t until =
        now_ns(CLOCK_BOOTTIME) / 1'000'000'000 + static_cast<std::uint64_t>(time.count());
    publish(page_->watched_until_s, time.count() > 0 ? static_cast<__u32>(until) : __u32{0});
}

void LiveSettings::clone_data(Milliseconds time) {
    const std::uint64_t until =
        now_ns(CLOCK_MONOTONIC) + static_cast<std::uint64_t>(std::chrono::nanoseconds(time).count());
    publish(page_->data_cloned_until_ns, std::max(page_->data_cloned_until_ns, static_cast<__u64>(until)));
}

void LiveSettings::set_reach_ports(const Ports& bits) {
    for (std::size_t i = 0; i < bits.size(); ++i) publish(page_->reach_ports[i], static_cast<__u64>(bits[i]));
}

void LiveSettings::keep_in(wglan_config& value) const {
    value.heartbeat_ns = page_->heartbeat_ns;
    value.generation = page_->generation;
    value.watched_until_s = page_->watched_until_s;
    value.data_cloned_until_ns = page_->data_cloned_until_ns;
    std::copy(std::begin(page_->reach_ports), std::end(page_->reach_ports), value.reach_ports);
}

}  // namespace wglan
