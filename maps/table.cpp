// SPDX-License-Identifier: Apache-2.0
#include "maps/table.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

namespace wglan {

namespace {

constexpr std::size_t kBatch = 4096;
// Maps without preallocation take entries from a small reserve of each CPU, which many writes in a row
// exhaust; the kernel fills it up as soon as it is left alone (kernel/bpf/memalloc.c), where a CPU can't
// interrupt itself with the next tick, which may be 10 ms away.
constexpr int kAttempts = 60;
constexpr std::chrono::microseconds kRefill{500};
constexpr int kNotSupported = 524;  // ENOTSUPP: the kernel's own number, not in <errno.h>

// The map type has no batches, the kernel has none at all, or a hash bucket outgrew the buffer.
bool batches_refused(int error) {
    return error == EINVAL || error == kNotSupported || error == EOPNOTSUPP || error == ENOSPC;
}

const char* at(const void* bytes, std::size_t offset) { return static_cast<const char*>(bytes) + offset; }

}  // namespace

int possible_cpus() {
    static const int count = std::max(1, libbpf_num_possible_cpus());
    return count;
}

Result<> RawTable::put(const void* key, const void* value, std::uint64_t flags) const {
    int error = 0;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
        if (bpf_map_update_elem(fd(), key, value, flags) == 0) return {};
        error = errno;
        if (error != ENOMEM) break;
        std::this_thread::sleep_for(kRefill);
    }
    // E2BIG from hashes, ENOSPC from tries: both say that max_entries is reached.
    if (error == E2BIG || error == ENOSPC)
        return fail_errno("write to BPF map " + name_ + ": it is full", error);
    return fail_errno("write to BPF map " + name_, error);
}

Result<> RawTable::put_all(const void* keys, const void* values, std::size_t count) const {
    std::size_t done = 0;
    while (count - done > 1) {
        auto batch = static_cast<__u32>(std::min(count - done, kBatch));
        LIBBPF_OPTS(bpf_map_batch_opts, options);
        const int result = bpf_map_update_batch(fd(), at(keys, done * key_size_),
                                                at(values, done * value_size_), &batch, &options);
        if (result == 0) {
            done += batch;
            continue;
        }
        // The kernel may leave `batch` as it was when it refuses at once; single writes repeat what
        // was already done, which changes nothing, and find the entry that fails.
        break;
    }
    for (; done < count; ++done)
        if (auto written = put(at(keys, done * key_size_), at(values, done * value_size_), BPF_ANY); !written)
            return written;
    return {};
}

Result<> RawTable::get(const void* key, void* value) const {
    if (bpf_map_lookup_elem(fd(), key, value) == 0) return {};
    return fail_errno("read BPF map " + name_);
}

Result<> RawTable::remove(const void* key) const {
    if (bpf_map_delete_elem(fd(), key) == 0 || errno == ENOENT) return {};
    return fail_errno("delete from BPF map " + name_);
}

Result<> RawTable::dump(std::string& keys, std::string& values) const {
    const auto keys_before = keys.size(), values_before = values.size();
    auto read = dump_batches(keys, values);
    if (!read) return Failure(read.error());
    if (*read) return {};
    keys.resize(keys_before);
    values.resize(values_before);
    return dump_singly(keys, values);
}

Result<bool> RawTable::dump_batches(std::string& keys, std::string& values) const {
    // Hashes keep a bucket number in the cursor, tries a key.
    std::string cursor(std::max(key_size_, sizeof(__u64)), '\0');
    std::string next = cursor;
    bool first = true;
    for (;;) {
        const auto key_bytes = keys.size(), value_bytes = values.size();
        keys.resize(key_bytes + kBatch * key_size_);
        values.resize(value_bytes + kBatch * value_size_);
        __u32 count = kBatch;
        LIBBPF_OPTS(bpf_map_batch_opts, options);
        const int result =
            bpf_map_lookup_batch(fd(), first ? nullptr : cursor.data(), next.data(), keys.data() + key_bytes,
                                 values.data() + value_bytes, &count, &options);
        const int error = result == 0 ? 0 : errno;
        if (error != 0 && error != ENOENT) {
            if (batches_refused(error)) return false;
            return fail_errno("read BPF map " + name_, error);
        }
        keys.resize(key_bytes + count * key_size_);
        values.resize(value_bytes + count * value_size_);
        if (error == ENOENT) return true;
        cursor = next;
        first = false;
    }
}

Result<> RawTable::dump_singly(std::string& keys, std::string& values) const {
    std::string key(key_size_, '\0'), next(key_size_, '\0'), value(value_size_, '\0');
    bool first = true;
    while (bpf_map_get_next_key(fd(), first ? nullptr : key.data(), next.data()) == 0) {
        if (auto read = get(next.data(), value.data()); read) {
            keys += next;
            values += value;
        } else if (read.error().kind() != ErrorKind::not_found) {
            return read;
        }
        key = next;
        first = false;
    }
    if (errno != ENOENT) return fail_errno("read BPF map " + name_);
    return {};
}

}  // namespace wglan
