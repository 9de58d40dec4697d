// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/strides.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include <bpf/bpf.h>

#include "maps/convert.h"

namespace wglan {

namespace {

constexpr std::uint32_t kSlot = 0;  // of the outer map
constexpr std::size_t kSpareBlocks = 256;
constexpr std::size_t kMostBlocks = 65536;  // 64 MB

}  // namespace

std::size_t StrideTable::NetHash::operator()(const Net& net) const noexcept {
    return std::hash<std::uint64_t>()(std::uint64_t{net.address} << 6U | net.length);
}

StrideTable::Net StrideTable::net_of(const wglan_key4& key) {
    std::uint32_t address = 0;
    std::memcpy(&address, key.address, sizeof address);
    const std::uint32_t length = std::min<std::uint32_t>(key.prefix_len, 32);
    const std::uint32_t mask = length == 0 ? 0 : ~std::uint32_t{0} << (32 - length);
    return {ntohl(address) & mask, length};
}

wglan_route& StrideTable::route_in(const MapMemory& memory, Entry number) {
    return memory.values<wglan_line>()[number / 2].routes[number % 2].route;
}

std::size_t StrideTable::block_at(std::size_t place, bool make) {
    const Entry now = entry(place);
    if ((now & WGLAN_BLOCK) != 0) return std::size_t{now & ~WGLAN_BLOCK} * WGLAN_LINE_ENTRIES;
    if (!make || next_block_ + WGLAN_BLOCK_LINES > end_of_blocks_) return 0;
    const std::size_t first = next_block_ * WGLAN_LINE_ENTRIES;
    std::fill_n(&entry(first), 256, now);
    publish(entry(place), WGLAN_BLOCK | static_cast<Entry>(next_block_));
    next_block_ += WGLAN_BLOCK_LINES;
    return first;
}

std::optional<StrideTable::Range> StrideTable::range_of(const Net& net, bool make_blocks) {
    std::size_t first = net.address >> 16U;
    if (net.length <= 16) return Range{first, std::size_t{1} << (16 - net.length)};
    std::size_t block = block_at(first, make_blocks);
    if (block == 0) return std::nullopt;
    first = block + (net.address >> 8U & 0xffU);
    if (net.length <= 24) return Range{first, std::size_t{1} << (24 - net.length)};
    block = block_at(first, make_blocks);
    if (block == 0) return std::nullopt;
    return Range{block + (net.address & 0xffU), std::size_t{1} << (32 - net.length)};
}

// A longer route keeps what it has.
void StrideTable::cover(const Range& range, Entry with, std::uint32_t length) {
    for (std::size_t place = range.first; place < range.first + range.count; ++place) {
        const Entry now = entry(place);
        if ((now & WGLAN_BLOCK) != 0)
            cover({block_at(place, false), 256}, with, length);
        else if (now == 0 || route(now).prefix_len <= length)
            publish(entry(place), with);
    }
}

void StrideTable::uncover(const Range& range, Entry gone, Entry with) {
    for (std::size_t place = range.first; place < range.first + range.count; ++place) {
        const Entry now = entry(place);
        if ((now & WGLAN_BLOCK) != 0)
            uncover({block_at(place, false), 256}, gone, with);
        else if (now == gone)
            publish(entry(place), with);
    }
}

// The next wider route; 0: there is none.
StrideTable::Entry StrideTable::around(const Net& net) const {
    for (std::uint32_t length = net.length; length-- > 0;) {
        const std::uint32_t mask = length == 0 ? 0 : ~std::uint32_t{0} << (32 - length);
        if (const auto it = routes_.find({net.address & mask, length}); it != routes_.end())
            return it->second;
    }
    return 0;
}

bool StrideTable::insert_new(const Net& net, const wglan_route& value) {
    if (next_route_ == end_of_routes_) return false;
    const auto range = range_of(net, true);
    if (!range) return false;
    const Entry number = next_route_++;
    route(number) = value;
    route(number).prefix_len = net.length;
    routes_.emplace(net, number);
    cover(*range, number, net.length);
    return true;
}

// False: there is no room for it.
bool StrideTable::insert(const Net& net, const wglan_route& value) {
    const auto found = routes_.find(net);
    if (found == routes_.end()) return insert_new(net, value);
    // A program reads the first half at once.
    static_assert(sizeof(wglan_answer) == sizeof(std::uint64_t) && offsetof(wglan_route, prefix_len) == 8);
    wglan_route& there = route(found->second);
    std::uint64_t answer = 0;
    std::memcpy(&answer, &value, sizeof answer);
    publish(*reinterpret_cast<std::uint64_t*>(&there), answer);
    publish(there.hits, value.hits);
    return true;
}

void StrideTable::add_hits_of(const MapMemory& memory, const Routes& routes, RouteHits& hits) {
    for (const auto& [net, number] : routes) {
        const std::uint64_t count =
            std::atomic_ref(route_in(memory, number).hits).load(std::memory_order_relaxed);
        if (count == 0) continue;
        wglan_key4 key{.prefix_len = net.length, .address = {}};
        const std::uint32_t address = htonl(net.address);
        std::memcpy(key.address, &address, sizeof address);
        hits[to_prefix(key)] += count;
    }
}

void StrideTable::take_away() {
    (void)bpf_map_delete_elem(outer_, &kSlot);
    add_hits_of(memory_, routes_, former());
    routes_.clear();
    memory_ = {};
    inner_.reset();
}

Result<> StrideTable::make(std::span<const wglan_key4> keys, std::span<const wglan_route> values) {
    std::set<std::uint32_t> by16, by24;
    for (const wglan_key4& key : keys) {
        const Net net = net_of(key);
        if (net.length > 16) by16.insert(net.address >> 16U);
        if (net.length > 24) by24.insert(net.address >> 8U);
    }
    const std::size_t blocks = room_for(by16.size() + by24.size()) + kSpareBlocks;
    if (blocks > kMostBlocks + kSpareBlocks)
        return fail(ErrorKind::unsupported, "the prefixes lie too far from each other");
    const std::size_t first_route = WGLAN_FIRST_STRIDE_LINES + blocks * WGLAN_BLOCK_LINES;
    const std::size_t lines = first_route + room_for(keys.size()) / 2;
    LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE | BPF_F_INNER_MAP);
    UniqueFd made(bpf_map_create(BPF_MAP_TYPE_ARRAY, "wglan_strides4", sizeof(__u32), sizeof(wglan_line),
                                 static_cast<__u32>(lines), &options));
    if (!made.valid()) return fail_errno("make a table of routes");
    auto memory = MapMemory::open(made.get(), "wglan_strides4");
    if (!memory) return Failure(memory.error());

    const MapMemory before = std::exchange(memory_, std::move(*memory));
    const Routes routes_before = std::exchange(routes_, {});
    next_block_ = WGLAN_FIRST_STRIDE_LINES;
    end_of_blocks_ = first_route;
    next_route_ = static_cast<Entry>(first_route * 2);
    end_of_routes_ = static_cast<Entry>(lines * 2);
    routes_.reserve(keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i)
        if (!insert(net_of(keys[i]), values[i])) return fail(ErrorKind::internal, "it was made too small");
    const int fd = made.get();
    if (bpf_map_update_elem(outer_, &kSlot, &fd, BPF_ANY) != 0)
        return fail_errno("publish a table of routes");
    add_hits_of(before, routes_before, former());
    inner_ = std::move(made);
    return {};
}

Result<bool> StrideTable::put_one(const wglan_key4& key, const wglan_route& value) {
    return insert(net_of(key), value);
}

Result<bool> StrideTable::remove_one(const wglan_key4& key) {
    const Net net = net_of(key);
    const auto found = routes_.find(net);
    if (found == routes_.end()) return false;
    const Entry gone = found->second;
    routes_.erase(found);
    if (const auto range = range_of(net, false)) uncover(*range, gone, around(net));
    return true;
}

}  // namespace wglan
