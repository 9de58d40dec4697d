// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/map_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

namespace wglan {

Result<MapMemory> MapMemory::open(int fd, const std::string& name) {
    bpf_map_info info{};
    __u32 length = sizeof info;
    if (bpf_obj_get_info_by_fd(fd, &info, &length) != 0) return fail_errno("look at BPF map " + name);
    // As the kernel lays values out (kernel/bpf/arraymap.c).
    const std::size_t value = (std::size_t{info.value_size} + 7) / 8 * 8;
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    MapMemory memory;
    memory.size_ = (value * info.max_entries + page - 1) / page * page;
    void* const start = ::mmap(nullptr, memory.size_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (start == MAP_FAILED) return fail_errno("map BPF map " + name + " into memory");  // NOLINT: its cast
    memory.start_ = start;
    return memory;
}

MapMemory::~MapMemory() {
    if (start_ != nullptr) ::munmap(start_, size_);
}

}  // namespace wglan
