// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/carry.h"

#include <memory>

#include <bpf/btf.h>
#include <gtest/gtest.h>

namespace wglan {

namespace {

struct BtfFree {
    void operator()(btf* types) const noexcept { btf__free(types); }
};
using BtfPtr = std::unique_ptr<btf, BtfFree>;

}  // namespace

TEST(Carry, ReadsFieldsOfAStruct) {
    const BtfPtr types(btf__new_empty());
    const int byte = btf__add_int(types.get(), "__u8", 1, 0);
    const int word = btf__add_int(types.get(), "__u32", 4, 0);
    const int alias = btf__add_typedef(types.get(), "number", word);
    const int bytes = btf__add_array(types.get(), word, byte, 16);
    const int structure = btf__add_struct(types.get(), "key", 24);
    ASSERT_EQ(btf__add_field(types.get(), "prefix_len", alias, 0, 0), 0);
    ASSERT_EQ(btf__add_field(types.get(), "address", bytes, 32, 0), 0);
    ASSERT_EQ(btf__add_field(types.get(), "kind", byte, 160, 0), 0);
    const auto layout = layout_of(types.get(), static_cast<unsigned>(structure));
    ASSERT_TRUE(layout);
    EXPECT_EQ(layout->size, 24U);
    EXPECT_EQ(layout->fields,
              (std::vector<Field>{{"prefix_len", 0, 4}, {"address", 4, 16}, {"kind", 20, 1}}));
    const auto number = layout_of(types.get(), static_cast<unsigned>(alias));
    ASSERT_TRUE(number);
    EXPECT_EQ(number->fields, (std::vector<Field>{{"", 0, 4}}));
    EXPECT_FALSE(layout_of(types.get(), 999));
}

TEST(Carry, RefusesBitFieldsAndFieldsPastTheEnd) {
    const BtfPtr types(btf__new_empty());
    const int word = btf__add_int(types.get(), "__u32", 4, 0);
    const int bits = btf__add_struct(types.get(), "bits", 4);
    ASSERT_EQ(btf__add_field(types.get(), "few", word, 0, 3), 0);
    EXPECT_FALSE(layout_of(types.get(), static_cast<unsigned>(bits)));
    const int past = btf__add_struct(types.get(), "past", 4);
    ASSERT_EQ(btf__add_field(types.get(), "far", word, 32, 0), 0);
    EXPECT_FALSE(layout_of(types.get(), static_cast<unsigned>(past)));
}

TEST(Carry, MovesFieldsOfEqualNameAndSize) {
    const Layout before{12, {{"peer", 0, 4}, {"action", 4, 1}, {"mtu", 6, 2}, {"gone", 8, 4}}};
    const Layout after{16, {{"action", 0, 1}, {"mtu", 4, 4}, {"peer", 8, 4}, {"fresh", 12, 4}}};
    const auto moves = plan_moves(before, after);
    EXPECT_EQ(moves, (std::vector<Move>{{4, 0, 1}, {0, 8, 4}}));  // mtu grew: it starts anew

    const std::string old = {'P', 'E', 'E', 'R', 'a', 0, 'm', 't', 'g', 'o', 'n', 'e'};
    std::string fresh(16, '.');
    apply_moves(moves, old.data(), fresh.data());
    EXPECT_EQ(fresh, "a.......PEER....");
}

}  // namespace wglan
