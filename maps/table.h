// SPDX-License-Identifier: Apache-2.0
// Typed access to one BPF map by file descriptor. Errors carry the map's name and the kernel's errno.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/result.h"
#include "agent/base/unique_fd.h"

namespace wglan {

// The same without types: keys and values are bytes, one after the other, of the map's sizes.
class RawTable {
public:
    RawTable() = default;
    // Owns the descriptor. Sizes are those of one key and of one value as the kernel hands it out
    // (for per-CPU maps: rounded up to 8 and times the possible CPUs).
    RawTable(UniqueFd fd, std::string name, std::size_t key_size, std::size_t value_size)
        : fd_(std::move(fd)), name_(std::move(name)), key_size_(key_size), value_size_(value_size) {}

    int fd() const { return fd_.get(); }
    const std::string& name() const { return name_; }
    std::size_t key_size() const { return key_size_; }
    std::size_t value_size() const { return value_size_; }

    Result<> put(const void* key, const void* value, std::uint64_t flags) const;
    // In batches where the kernel has them for this kind of map, else one by one. `count` of each.
    Result<> put_all(const void* keys, const void* values, std::size_t count) const;
    Result<> get(const void* key, void* value) const;  // not_found when it isn't there
    Result<> remove(const void* key) const;            // fine when it isn't there
    // All entries, appended. There must be no other writer meanwhile.
    Result<> dump(std::string& keys, std::string& values) const;

private:
    Result<bool> dump_batches(std::string& keys, std::string& values) const;  // false: not supported
    Result<> dump_singly(std::string& keys, std::string& values) const;

    UniqueFd fd_;
    std::string name_;
    std::size_t key_size_ = 0;
    std::size_t value_size_ = 0;
};

int possible_cpus();

// A map of trivially copyable keys and values (not per CPU).
template <class Key, class Value>
class Table {
public:
    Table() = default;
    Table(UniqueFd fd, std::string name) : raw_(std::move(fd), std::move(name), sizeof(Key), sizeof(Value)) {}

    const RawTable& raw() const { return raw_; }
    Result<> put(const Key& key, const Value& value, std::uint64_t flags = 0) const {
        return raw_.put(&key, &value, flags);
    }
    Result<> put_all(std::span<const Key> keys, std::span<const Value> values) const {
        return raw_.put_all(keys.data(), values.data(), keys.size());
    }
    Result<Value> get(const Key& key) const {
        Value value{};
        if (auto got = raw_.get(&key, &value); !got) return Failure(got.error());
        return value;
    }
    Result<> remove(const Key& key) const { return raw_.remove(&key); }
    Result<std::vector<std::pair<Key, Value>>> dump() const {
        std::string keys, values;
        if (auto read = raw_.dump(keys, values); !read) return Failure(read.error());
        std::vector<std::pair<Key, Value>> entries(keys.size() / sizeof(Key));
        for (std::size_t i = 0; i < entries.size(); ++i) {
            keys.copy(reinterpret_cast<char*>(&entries[i].first), sizeof(Key), i * sizeof(Key));
            values.copy(reinterpret_cast<char*>(&entries[i].second), sizeof(Value), i * sizeof(Value));
        }
        return entries;
    }

private:
    RawTable raw_;
};

// A per-CPU map; a value is one struct per possible CPU.
template <class Key, class Value>
class PerCpuTable {
    static_assert(sizeof(Value) % 8 == 0, "the kernel rounds per-CPU values up to 8 bytes");

public:
    PerCpuTable() = default;
    PerCpuTable(UniqueFd fd, std::string name)
        : raw_(std::move(fd), std::move(name), sizeof(Key),
               sizeof(Value) * static_cast<std::size_t>(possible_cpus())) {}

    const RawTable& raw() const { return raw_; }
    Result<std::vector<Value>> get(const Key& key) const {
        std::vector<Value> values(static_cast<std::size_t>(possible_cpus()));
        if (auto got = raw_.get(&key, values.data()); !got) return Failure(got.error());
        return values;
    }
    // Every CPU's values of all entries, in no order.
    Result<std::vector<Value>> dump_values() const {
        std::string keys, values;
        if (auto read = raw_.dump(keys, values); !read) return Failure(read.error());
        std::vector<Value> entries(values.size() / sizeof(Value));
        values.copy(reinterpret_cast<char*>(entries.data()), entries.size() * sizeof(Value));
        return entries;
    }
    // Makes the entry with zeros if there is none.
    Result<> ensure(const Key& key) const {
        const std::vector<Value> zeros(static_cast<std::size_t>(possible_cpus()));
        auto put = raw_.put(&key, zeros.data(), kNoExist);
        if (!put && put.error().kind() == ErrorKind::exists) return {};
        return put;
    }
    Result<> remove(const Key& key) const { return raw_.remove(&key); }

private:
    static constexpr std::uint64_t kNoExist = 1;  // BPF_NOEXIST
    RawTable raw_;
};

}  // namespace wglan
