// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/exact.h"

#include <algorithm>
#include <cerrno>

#include <bpf/bpf.h>

#include "agent/dataplane/object.h"
#include "maps/convert.h"

namespace wglan {

namespace {

constexpr std::uint32_t kSlot = 0;  // of the outer map, and of the lengths

}  // namespace

Result<> ExactTable::publish() const {
    wglan_lengths lengths{};
    for (std::size_t length = kLengths; length-- > 0;) {
        if (counts_[length] == 0) continue;
        if (lengths.count == WGLAN_LENGTHS)
            return fail(ErrorKind::unsupported,
                        "more than " + std::to_string(WGLAN_LENGTHS) + " prefix lengths");
        lengths.lengths[lengths.count++] = static_cast<__u8>(length);
    }
    if (bpf_map_update_elem(lengths_, &kSlot, &lengths, BPF_ANY) == 0) return {};
    return fail_errno("write to BPF map wglan_lengths");
}

void ExactTable::add_own_hits(RouteHits& hits) const {
    if (!on()) return;
    const auto entries = inner_.dump();
    if (!entries) return;
    for (const auto& [key, value] : *entries)
        if (value.hits != 0) hits[to_prefix(key)] += value.hits;
}

// Look-ups go to the trie.
void ExactTable::publish_none() const {
    const wglan_lengths none{};
    (void)bpf_map_update_elem(lengths_, &kSlot, &none, BPF_ANY);
}

std::uint32_t& ExactTable::count_of(const Key& key) {
    return counts_[std::min<std::size_t>(key.prefix_len, kLengths - 1)];
}

void ExactTable::take_away() {
    publish_none();
    (void)bpf_map_delete_elem(outer_, &kSlot);
    add_own_hits(former());
    inner_ = {};
    counts_.fill(0);
    size_ = room_ = 0;
}

Result<> ExactTable::make(std::span<const Key> keys, std::span<const wglan_route> values) {
    // While one table takes the other's place: their lengths may differ.
    publish_none();
    // With the trie's types, so that a dump is readable, and because older kernels want them (6.1).
    bpf_map_info trie{};
    __u32 length = sizeof trie;
    if (bpf_obj_get_info_by_fd(trie_, &trie, &length) != 0) return fail_errno("look at a BPF map");
    const UniqueFd types(bpf_btf_get_fd_by_id(trie.btf_id));
    if (!types.valid()) return fail_errno("open the types of a BPF map");
    LIBBPF_OPTS(bpf_map_create_opts, options, .btf_fd = static_cast<__u32>(types.get()),
                .btf_key_type_id = trie.btf_key_type_id, .btf_value_type_id = trie.btf_value_type_id,
                .map_flags = BPF_F_NO_PREALLOC);
    const std::size_t room = room_for(keys.size());
    UniqueFd made(bpf_map_create(BPF_MAP_TYPE_HASH, "wglan_exact6", sizeof(Key), sizeof(wglan_route),
                                 static_cast<__u32>(room), &options));
    if (!made.valid()) return fail_errno("make a table of routes");
    Table<Key, wglan_route> table(std::move(made), "wglan_exact6");
    if (auto put = table.put_all(keys, values); !put) return put;
    const int fd = table.raw().fd();
    if (bpf_map_update_elem(outer_, &kSlot, &fd, BPF_ANY) != 0)
        return fail_errno("publish a table of routes");
    add_own_hits(former());
    inner_ = std::move(table);
    counts_.fill(0);
    for (const Key& key : keys) ++count_of(key);
    size_ = keys.size();
    room_ = room;
    return publish();
}

Result<bool> ExactTable::put_one(const Key& key, const wglan_route& value) {
    const auto changed = inner_.put(key, value, BPF_EXIST);
    if (changed) return true;
    if (changed.error().kind() != ErrorKind::not_found) return Failure(changed.error());
    if (size_ >= room_) return false;
    if (auto added = inner_.put(key, value, BPF_NOEXIST); !added) return Failure(added.error());
    ++size_;
    if (++count_of(key) > 1) return true;
    if (auto told = publish(); !told) return Failure(told.error());
    return true;
}

Result<bool> ExactTable::remove_one(const Key& key) {
    if (bpf_map_delete_elem(inner_.raw().fd(), &key) != 0) {
        if (errno == ENOENT) return false;
        return fail(ErrorKind::io, "an entry can't be removed");
    }
    --size_;
    if (--count_of(key) == 0) (void)publish();
    return true;
}

}  // namespace wglan
