// SPDX-License-Identifier: Apache-2.0
#include "agent/wireguard/wiped_bytes.h"

#include <sodium.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace wglan {

WipedBytes::WipedBytes(WipedBytes&& other) noexcept
    : data_(std::move(other.data_)),
      size_(std::exchange(other.size_, 0)),
      capacity_(std::exchange(other.capacity_, 0)) {}

WipedBytes& WipedBytes::operator=(WipedBytes&& other) noexcept {
    if (this != &other) {
        wipe();
        data_ = std::move(other.data_);
        size_ = std::exchange(other.size_, 0);
        capacity_ = std::exchange(other.capacity_, 0);
    }
    return *this;
}

void WipedBytes::reserve(std::size_t capacity) {
    if (capacity <= capacity_) return;
    auto larger = std::make_unique<std::uint8_t[]>(capacity);
    if (size_ != 0) std::memcpy(larger.get(), data_.get(), size_);
    if (data_) sodium_memzero(data_.get(), capacity_);
    data_ = std::move(larger);
    capacity_ = capacity;
}

void WipedBytes::resize(std::size_t size) {
    if (size > capacity_) reserve(std::max(size, capacity_ * 2));
    if (size > size_) std::memset(data_.get() + size_, 0, size - size_);
    size_ = size;
}

void WipedBytes::append(std::span<const std::uint8_t> more) {
    if (more.empty()) return;
    const std::size_t at = size_;
    resize(size_ + more.size());
    std::memcpy(data_.get() + at, more.data(), more.size());
}

void WipedBytes::append(std::string_view more) {
    append(std::span{reinterpret_cast<const std::uint8_t*>(more.data()), more.size()});
}

void WipedBytes::append_hex(std::span<const std::uint8_t> more) {
    const std::size_t at = size_;
    // sodium_bin2hex ends its output with a NUL, which then goes again.
    resize(size_ + more.size() * 2 + 1);
    sodium_bin2hex(reinterpret_cast<char*>(data_.get() + at), more.size() * 2 + 1, more.data(), more.size());
    --size_;
}

void WipedBytes::wipe() {
    if (data_) sodium_memzero(data_.get(), capacity_);
    size_ = 0;
}

}  // namespace wglan
