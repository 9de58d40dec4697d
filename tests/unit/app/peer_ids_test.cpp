// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "agent/app/desired.h"
#include "tests/support/samples.h"

namespace wglan {
namespace {

using namespace samples;

TEST(PeerIdsTest, AreStableAdoptedAndHandedOutLateAgain) {
    PeerIds ids;
    SteerPeer known;
    known.id = 7;
    known.key = key(9);
    ids.adopt({{7, known}});
    EXPECT_EQ(ids.id_of(key(9)), 7U);
    const PeerId first = ids.id_of(key(1));
    EXPECT_EQ(first, 8U);
    EXPECT_EQ(ids.id_of(key(1)), first);
    ids.keep_only({});
    EXPECT_EQ(ids.id_of(key(2)), 9U) << "a freed id rests";
}

TEST(PeerIdsTest, RunOutWithoutHandingOneOutTwice) {
    PeerIds ids;
    std::set<PeerId> seen;
    for (PeerId i = 0; i < kMaxPeers; ++i) {
        PublicKey k;
        k.bytes[0] = static_cast<std::uint8_t>(i);
        k.bytes[1] = static_cast<std::uint8_t>(i >> 8);
        k.bytes[5] = 1;
        ASSERT_TRUE(seen.insert(ids.id_of(k)).second);
    }
    EXPECT_FALSE(seen.contains(0));
    EXPECT_EQ(ids.id_of(key(77)), 0U);
}

}  // namespace
}  // namespace wglan
