// SPDX-License-Identifier: Apache-2.0
// steering.order at an uplink where somebody else comes later and takes our place.
#include <algorithm>
#include <string>
#include <vector>

#include <bpf/bpf.h>
#include <gtest/gtest.h>

#include "tests/bpf/dataplane_fixture.h"

namespace wglan::test {
namespace {

using namespace std::chrono_literals;

constexpr __u32 kBefore = 1U << 3, kAfter = 1U << 4;
constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);

// By TCX alone: a filter's place is its priority.
class PlaceTest : public DataplaneTest {
protected:
    void SetUp() override {
        DataplaneTest::SetUp();
        if (!IsSkipped()) stranger_ = foreign_program();
    }
    std::unique_ptr<Dataplane> plane(bool first, Seconds every) const {
        auto made = make_dataplane(
            {.pin_path = pin_path_, .order_first = first, .win_back_every = every, .max_routes = 1024});
        EXPECT_EQ(text_of((*made)->load()), "");
        fill(**made);
        attach(**made);
        return std::move(*made);
    }
    UniqueFd come(__u32 where) const {
        LIBBPF_OPTS(bpf_link_create_opts, options, .flags = where);
        return UniqueFd(bpf_link_create(stranger_.get(), uplink_, kTcxEgress, &options));
    }
    std::vector<std::string> order() const {
        std::vector<std::string> names;
        const auto ids = tcx_program_ids(uplink_, Attachment::Hook::tc_egress);
        for (const std::uint32_t id : ids.value()) names.push_back(program_name(id));
        return names;
    }

    UniqueFd stranger_;
    const std::vector<std::string> ours_first_ = {"wglan_egress", "foreign"},
                                   ours_last_ = {"foreign", "wglan_egress"};
};

TEST_P(PlaceTest, IsWonBackFromWhoComesBeforeOurs) {
    auto plane = this->plane(true, 0s);
    for (int round = 0; round < 3; ++round) {
        const UniqueFd link = come(kBefore);
        ASSERT_TRUE(link.valid());
        EXPECT_EQ(order(), ours_last_);
        EXPECT_EQ(attachments(*plane).size(), 2U) << "a lost place must be seen as drift";
        ASSERT_TRUE(plane->attach_uplink(uplink_, "uplink"));
        EXPECT_EQ(order(), ours_first_);
        EXPECT_EQ(attachments(*plane).size(), 3U);
        EXPECT_TRUE(steers());
    }
    EXPECT_EQ(order(), std::vector<std::string>{"wglan_egress"});
    EXPECT_EQ(plane->counters()->steered4, 3U);
}

TEST_P(PlaceTest, BehindAllOthersIsWonBackToo) {
    auto plane = this->plane(false, 0s);
    const UniqueFd link = come(kAfter);
    ASSERT_TRUE(link.valid());
    EXPECT_EQ(attachments(*plane).size(), 2U);
    ASSERT_TRUE(plane->attach_uplink(uplink_, "uplink"));
    EXPECT_EQ(order(), ours_last_);
    EXPECT_EQ(attachments(*plane).size(), 3U);
}

TEST_P(PlaceTest, IsNotFoughtForWithoutEnd) {
    auto plane = this->plane(true, 300s);
    UniqueFd first = come(kBefore);
    ASSERT_TRUE(plane->attach_uplink(uplink_, "uplink"));
    EXPECT_EQ(order(), ours_first_);
    first.reset();
    const UniqueFd again = come(kBefore);
    ASSERT_TRUE(again.valid());
    EXPECT_EQ(attachments(*plane).size(), 3U) << "no drift: it is somebody's will";
    ASSERT_TRUE(plane->attach_uplink(uplink_, "uplink"));
    EXPECT_EQ(order(), ours_last_);
}

TEST_P(PlaceTest, IsWonBackByASuccessor) {
    auto plane = this->plane(true, 300s);
    const UniqueFd link = come(kBefore);
    plane.reset();
    plane = this->plane(true, 300s);
    EXPECT_TRUE(plane->adopted());
    EXPECT_EQ(order(), ours_first_);
    EXPECT_TRUE(steers());
    EXPECT_EQ(attachments(*plane).size(), 3U);
}

// As left by an agent that was killed while it moved.
TEST_P(PlaceTest, TwoOfOursBecomeOne) {
    auto plane = this->plane(true, 0s);
    const UniqueFd link = come(kBefore);
    ASSERT_TRUE(plane->attach_uplink(uplink_, "uplink"));
    const std::string pin = pin_path_ + "/links/tc-egress-first-" + std::to_string(uplink_);
    ASSERT_EQ(std::rename(pin.c_str(), (pin + "-next").c_str()), 0);
    plane.reset();
    plane = this->plane(true, 300s);
    EXPECT_EQ(order(), ours_first_);
    EXPECT_TRUE(steers());
    EXPECT_EQ(attachments(*plane).size(), 3U);
}

INSTANTIATE_TEST_SUITE_P(Kind, PlaceTest, ::testing::Values(false), kind_name);

}  // namespace
}  // namespace wglan::test
