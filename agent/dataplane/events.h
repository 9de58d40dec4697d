// SPDX-License-Identifier: Apache-2.0
// The ring buffer wglan_events as values.
#pragma once

#include <memory>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/packet_event.h"
#include "maps/wglan_maps.h"

struct ring_buffer;

namespace wglan {

// False: of a kind that this version doesn't know. boot_us: when CLOCK_BOOTTIME was 0, in microseconds
// since 1970.
bool decode_event(const wglan_event& event, std::int64_t boot_us, PacketEvent& to);

// One a ring buffer: what one reader takes another doesn't see.
class EventReader {
public:
    static Result<EventReader> open(int map_fd);  // the descriptor stays the caller's
    EventReader(EventReader&&) noexcept;
    EventReader& operator=(EventReader&&) noexcept;
    ~EventReader();

    int fd() const;  // readable while there are events; not owned
    // All there are, oldest first.
    std::vector<PacketEvent> read();

private:
    struct Free {
        void operator()(ring_buffer* ring) const noexcept;
    };
    struct Batch;
    EventReader();
    static int take(void* batch, void* data, std::size_t size);

    std::unique_ptr<Batch> batch_;  // libbpf keeps its address
    std::unique_ptr<ring_buffer, Free> ring_;
};

}  // namespace wglan
