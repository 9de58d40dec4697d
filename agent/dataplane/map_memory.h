// SPDX-License-Identifier: Apache-2.0
// A BPF array that was made with BPF_F_MMAPABLE, as memory that the agent shares with the programs: a change
// is a store, no system call.
#pragma once

#include <atomic>
#include <cstddef>
#include <string>
#include <utility>

#include "agent/base/result.h"

namespace wglan {

class MapMemory {
public:
    MapMemory() = default;
    // All of the map behind `fd`, which may be closed afterwards.
    static Result<MapMemory> open(int fd, const std::string& name);
    MapMemory(MapMemory&& other) noexcept { swap(other); }
    MapMemory& operator=(MapMemory&& other) noexcept {
        MapMemory(std::move(other)).swap(*this);
        return *this;
    }
    ~MapMemory();

    bool valid() const { return start_ != nullptr; }
    // The map's values, if they are of a multiple of 8 bytes.
    template <class Value>
    Value* values() const {
        return static_cast<Value*>(start_);
    }

private:
    void swap(MapMemory& other) noexcept {
        std::swap(start_, other.start_);
        std::swap(size_, other.size_);
    }

    void* start_ = nullptr;
    std::size_t size_ = 0;
};

// Seen by a program after all that was written to any map before it.
template <class Number>
void publish(Number& number, Number value) {
    std::atomic_ref(number).store(value, std::memory_order_release);
}

}  // namespace wglan
