// SPDX-License-Identifier: Apache-2.0
// Carries entries of a map from one layout to another: each map's own BTF names its fields, and
// those of equal name and size are copied.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"

struct btf;

namespace wglan {

struct Field {
    std::string name;
    std::size_t offset = 0;
    std::size_t size = 0;
    bool operator==(const Field&) const = default;
};

// One key or value type. A plain number is one field without a name.
struct Layout {
    std::size_t size = 0;
    std::vector<Field> fields;
};

Result<Layout> layout_of(const ::btf* types, unsigned type_id);

struct Move {
    std::size_t from = 0, to = 0, size = 0;
    bool operator==(const Move&) const = default;
};
std::vector<Move> plan_moves(const Layout& from, const Layout& to);
// `from` and `to` hold at least the sizes of their layouts; what no move covers stays.
void apply_moves(const std::vector<Move>& moves, const char* from, char* to);

// Copies every entry of the old map into the new one (both hashes, tries or arrays, not per CPU).
// not_found: one of them has no BTF.
Result<std::size_t> carry_map(int old_fd, int new_fd, const std::string& name);

}  // namespace wglan
