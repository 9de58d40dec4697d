// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/events.h"

#include <time.h>

#include <cstring>

#include <bpf/libbpf.h>

#include "maps/convert.h"
#include "maps/names.h"

namespace wglan {

static_assert(static_cast<int>(PacketEvent::Kind::drop) == WGLAN_EVENT_DROP);
static_assert(static_cast<int>(PacketEvent::Kind::too_big) == WGLAN_EVENT_TOO_BIG);
static_assert(static_cast<int>(PacketEvent::Kind::mss_clamp) == WGLAN_EVENT_MSS_CLAMP);
static_assert(static_cast<int>(PacketEvent::Kind::guard) == WGLAN_EVENT_GUARD);
static_assert(static_cast<int>(PacketEvent::Kind::flow) == WGLAN_EVENT_FLOW);

namespace {

std::int64_t microseconds(clockid_t clock) {
    timespec now{};
    ::clock_gettime(clock, &now);
    return static_cast<std::int64_t>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
}

}  // namespace

bool decode_event(const wglan_event& event, std::int64_t boot_us, PacketEvent& to) {
    if (event.kind < WGLAN_EVENT_DROP || event.kind > WGLAN_EVENT_FLOW) return false;
    to.kind = static_cast<PacketEvent::Kind>(event.kind);
    to.time_us = boot_us + static_cast<std::int64_t>(event.time_ns / 1000);
    to.ifindex = static_cast<int>(event.ifindex);
    to.peer = event.peer;
    const bool dropped = to.kind == PacketEvent::Kind::drop || to.kind == PacketEvent::Kind::guard;
    to.reason = dropped ? drop_reason_name(event.reason) : std::string_view{};
    to.protocol = event.protocol;
    to.source = to_address(event.source);
    to.destination = to_address(event.destination);
    to.source_port = event.source_port;
    to.destination_port = event.destination_port;
    to.length = event.length;
    to.value = event.value;
    to.before = event.before;
    return true;
}

struct EventReader::Batch {
    std::int64_t boot_us = 0;
    std::vector<PacketEvent> events;
};

void EventReader::Free::operator()(ring_buffer* ring) const noexcept { ring_buffer__free(ring); }
EventReader::EventReader() : batch_(std::make_unique<Batch>()) {}
EventReader::EventReader(EventReader&&) noexcept = default;
EventReader& EventReader::operator=(EventReader&&) noexcept = default;
EventReader::~EventReader() = default;

int EventReader::take(void* batch, void* data, std::size_t size) {
    wglan_event event{};
    PacketEvent decoded;
    if (size != sizeof event) return 0;
    std::memcpy(&event, data, sizeof event);
    auto* into = static_cast<Batch*>(batch);
    if (decode_event(event, into->boot_us, decoded)) into->events.push_back(decoded);
    return 0;
}

Result<EventReader> EventReader::open(int map_fd) {
    EventReader reader;
    reader.ring_.reset(ring_buffer__new(map_fd, take, reader.batch_.get(), nullptr));
    if (!reader.ring_) return fail_errno("open the events' ring buffer");
    return reader;
}

int EventReader::fd() const { return ring_buffer__epoll_fd(ring_.get()); }

std::vector<PacketEvent> EventReader::read() {
    batch_->boot_us = microseconds(CLOCK_REALTIME) - microseconds(CLOCK_BOOTTIME);
    ring_buffer__consume(ring_.get());
    return std::exchange(batch_->events, {});
}

}  // namespace wglan
