// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/carry.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include <bpf/bpf.h>
#include <bpf/btf.h>

#include "agent/base/unique_fd.h"
#include "maps/table.h"

namespace wglan {

namespace {

struct BtfFree {
    void operator()(btf* types) const noexcept { btf__free(types); }
};
using BtfPtr = std::unique_ptr<btf, BtfFree>;

struct MapLayout {
    Layout key, value;
};

Result<MapLayout> layout_of_map(int fd, const std::string& name) {
    bpf_map_info info{};
    __u32 length = sizeof info;
    if (bpf_obj_get_info_by_fd(fd, &info, &length) != 0) return fail_errno("look at BPF map " + name);
    if (info.btf_id == 0) return fail(ErrorKind::not_found, "BPF map " + name + " has no BTF");
    const BtfPtr types(btf__load_from_kernel_by_id(info.btf_id));
    if (!types) return fail_errno("load the BTF of BPF map " + name);
    auto key = layout_of(types.get(), info.btf_key_type_id);
    if (!key) return fail_with(key, "BPF map " + name);
    auto value = layout_of(types.get(), info.btf_value_type_id);
    if (!value) return fail_with(value, "BPF map " + name);
    if (key->size != info.key_size || value->size != info.value_size)
        return fail(ErrorKind::protocol, "BPF map " + name + " has BTF of another size");
    return MapLayout{std::move(*key), std::move(*value)};
}

}  // namespace

Result<Layout> layout_of(const ::btf* types, unsigned type_id) {
    const auto resolved = btf__resolve_type(types, type_id);
    const auto size = btf__resolve_size(types, type_id);
    if (resolved < 0 || size <= 0) return fail(ErrorKind::protocol, "a type of unknown size");
    Layout layout;
    layout.size = static_cast<std::size_t>(size);
    const btf_type* type = btf__type_by_id(types, static_cast<__u32>(resolved));
    if (!btf_is_struct(type)) {
        layout.fields.push_back({"", 0, layout.size});
        return layout;
    }
    const btf_member* members = btf_members(type);
    for (__u32 i = 0; i < btf_vlen(type); ++i) {
        const auto member_size = btf__resolve_size(types, members[i].type);
        const auto bits = btf_member_bit_offset(type, i);
        if (member_size <= 0 || bits % 8 != 0 || btf_member_bitfield_size(type, i) != 0)
            return fail(ErrorKind::protocol, "a field that isn't whole bytes");
        const Field field{btf__name_by_offset(types, members[i].name_off), bits / 8,
                          static_cast<std::size_t>(member_size)};
        if (field.offset + field.size > layout.size) return fail(ErrorKind::protocol, "a field past the end");
        layout.fields.push_back(field);
    }
    return layout;
}

std::vector<Move> plan_moves(const Layout& from, const Layout& to) {
    std::vector<Move> moves;
    for (const Field& target : to.fields) {
        const auto source = std::find_if(from.fields.begin(), from.fields.end(), [&](const Field& field) {
            return field.name == target.name && field.size == target.size;
        });
        if (source != from.fields.end()) moves.push_back({source->offset, target.offset, target.size});
    }
    return moves;
}

void apply_moves(const std::vector<Move>& moves, const char* from, char* to) {
    for (const Move& move : moves) std::memcpy(to + move.to, from + move.from, move.size);
}

Result<std::size_t> carry_map(int old_fd, int new_fd, const std::string& name) {
    const auto before = layout_of_map(old_fd, name);
    if (!before) return Failure(before.error());
    const auto after = layout_of_map(new_fd, name);
    if (!after) return Failure(after.error());
    const auto own = [](int fd) { return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0)); };
    const RawTable from(own(old_fd), name, before->key.size, before->value.size);
    const RawTable to(own(new_fd), name, after->key.size, after->value.size);

    std::string old_keys, old_values;
    if (auto read = from.dump(old_keys, old_values); !read) return Failure(read.error());
    const std::size_t count = old_keys.size() / before->key.size;
    std::string keys(count * after->key.size, '\0'), values(count * after->value.size, '\0');
    const auto key_moves = plan_moves(before->key, after->key);
    const auto value_moves = plan_moves(before->value, after->value);
    for (std::size_t i = 0; i < count; ++i) {
        apply_moves(key_moves, old_keys.data() + i * before->key.size, keys.data() + i * after->key.size);
        apply_moves(value_moves, old_values.data() + i * before->value.size,
                    values.data() + i * after->value.size);
    }
    if (auto written = to.put_all(keys.data(), values.data(), count); !written)
        return Failure(written.error());
    return count;
}

}  // namespace wglan
