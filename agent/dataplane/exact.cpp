// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/exact.h"

#include <algorithm>
#include <cerrno>

#include <bpf/bpf.h>

#include "agent/base/log.h"
#include "agent/dataplane/object.h"
#include "maps/convert.h"
#include "maps/table.h"

namespace wglan {

namespace {

constexpr std::uint32_t kSlot = 0;  // of the outer map, and of the lengths

// Room for as many again, so that it is seldom made anew.
std::size_t room_for(std::size_t count) { return count * 2; }

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
    auto copy = duplicate(inner_.get());
    if (!copy) return;
    const auto entries = Table<Key, wglan_route>(std::move(*copy), "wglan_exact6").dump();
    if (!entries) return;
    for (const auto& [key, value] : *entries)
        if (value.hits != 0) hits[to_prefix(key)] += value.hits;
}

void ExactTable::add_hits(RouteHits& hits) const {
    RouteHits counted = former_;
    add_own_hits(counted);
    for (const auto& [prefix, count] : counted)
        if (const auto it = hits.find(prefix); it != hits.end()) it->second += count;
}

// A table goes, its counts stay.
void ExactTable::retire() {
    add_own_hits(former_);
    inner_.reset();
}

void ExactTable::turn_off(const char* why) {
    if (on()) spdlog::debug("IPv6 routes are looked up in the trie alone from now on: {}", why);
    const wglan_lengths none{};
    (void)bpf_map_update_elem(lengths_, &kSlot, &none, BPF_ANY);
    (void)bpf_map_delete_elem(outer_, &kSlot);
    retire();
    counts_.fill(0);
    size_ = room_ = 0;
    refill_ = false;
}

Result<> ExactTable::make(std::span<const Key> keys, std::span<const wglan_route> values) {
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
    auto copy = duplicate(made.get());
    if (!copy) return Failure(copy.error());
    const Table<Key, wglan_route> table(std::move(*copy), "wglan_exact6");
    if (auto put = table.put_all(keys, values); !put) return put;
    const int fd = made.get();
    if (bpf_map_update_elem(outer_, &kSlot, &fd, BPF_ANY) != 0)
        return fail_errno("publish a table of routes");
    retire();
    inner_ = std::move(made);
    counts_.fill(0);
    for (const Key& key : keys) ++counts_[std::min<std::size_t>(key.prefix_len, kLengths - 1)];
    size_ = keys.size();
    room_ = room;
    refill_ = false;
    return publish();
}

void ExactTable::fill(std::span<const Key> keys, std::span<const wglan_route> values) {
    if (keys.size() <= (on() ? from_ / 2 : from_)) {
        turn_off("they are few");
        return;
    }
    // Look-ups go to the trie while one table takes the other's place: their lengths may differ.
    const wglan_lengths none{};
    (void)bpf_map_update_elem(lengths_, &kSlot, &none, BPF_ANY);
    if (auto made = make(keys, values); !made) {
        spdlog::info("look-ups among {} IPv6 routes are left to the trie: {}", keys.size(),
                     made.error().message());
        turn_off("the tables can't be made");
        refused_ = true;
    }
}

Result<> ExactTable::put_one(const Key& key, const wglan_route& value) {
    if (bpf_map_update_elem(inner_.get(), &key, &value, BPF_EXIST) == 0) return {};
    if (errno != ENOENT) return fail_errno("write to a table of routes");
    if (size_ >= room_) {
        refill_ = true;
        return fail(ErrorKind::unsupported, "it is full");
    }
    if (bpf_map_update_elem(inner_.get(), &key, &value, BPF_NOEXIST) != 0)
        return fail_errno("write to a table of routes");
    ++size_;
    if (++counts_[std::min<std::size_t>(key.prefix_len, kLengths - 1)] == 1) return publish();
    return {};
}

void ExactTable::put(std::span<const Key> keys, std::span<const wglan_route> values) {
    if (!former_.empty())
        for (const Key& key : keys) former_.erase(to_prefix(key));
    for (std::size_t i = 0; i < keys.size() && on(); ++i) {
        const auto done = put_one(keys[i], values[i]);
        if (done) continue;
        const bool again = refill_;
        turn_off(done.error().message().c_str());
        refill_ = again;
        refused_ = !again;
    }
}

void ExactTable::doubt() {
    if (!on()) return;
    turn_off("a write to the trie failed");
    refill_ = true;
}

void ExactTable::remove(const Key& key) {
    if (!former_.empty()) former_.erase(to_prefix(key));
    if (!on()) return;
    if (bpf_map_delete_elem(inner_.get(), &key) != 0) {
        if (errno != ENOENT) turn_off("an entry can't be removed");
        return;
    }
    --size_;
    if (--counts_[std::min<std::size_t>(key.prefix_len, kLengths - 1)] == 0) (void)publish();
    if (size_ < from_ / 2) turn_off("they are few");
}

}  // namespace wglan
