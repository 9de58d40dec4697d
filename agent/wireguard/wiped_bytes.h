// SPDX-License-Identifier: Apache-2.0
// Bytes that may hold keys on their way to or from a WireGuard implementation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace wglan {

// A growing buffer, wiped when it is destroyed, moved into another block, or cleared. Aligned for
// netlink headers. Move-only; a moved-from one is empty.
class WipedBytes {
public:
    WipedBytes() = default;
    explicit WipedBytes(std::size_t capacity) { reserve(capacity); }
    WipedBytes(WipedBytes&& other) noexcept;
    WipedBytes& operator=(WipedBytes&& other) noexcept;
    WipedBytes(const WipedBytes&) = delete;
    WipedBytes& operator=(const WipedBytes&) = delete;
    ~WipedBytes() { wipe(); }

    std::uint8_t* data() { return data_.get(); }
    const std::uint8_t* data() const { return data_.get(); }
    std::size_t size() const { return size_; }
    std::size_t capacity() const { return capacity_; }
    bool empty() const { return size_ == 0; }
    std::span<const std::uint8_t> bytes() const { return {data_.get(), size_}; }
    std::string_view text() const { return {reinterpret_cast<const char*>(data_.get()), size_}; }

    // The old block is wiped when the content moves to a larger one.
    void reserve(std::size_t capacity);
    // New bytes are zero.
    void resize(std::size_t size);
    // Counts bytes that were written straight into the block; at most capacity().
    void claim(std::size_t size) { size_ = size; }
    void append(std::span<const std::uint8_t> more);
    void append(std::string_view more);
    void append_hex(std::span<const std::uint8_t> more);
    void wipe();  // overwrites all of the block; size becomes 0

private:
    std::unique_ptr<std::uint8_t[]> data_;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

}  // namespace wglan
