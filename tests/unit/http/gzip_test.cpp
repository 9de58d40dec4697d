// SPDX-License-Identifier: Apache-2.0
#include "agent/http/gzip.h"

#include <gmock/gmock.h>

#include "tests/support/gzip.h"

namespace wglan {
namespace {

using test::gzip;
using testing::HasSubstr;

std::string text(std::size_t size) {
    std::string out;
    while (out.size() < size) out += std::to_string(out.size() * 2654435761U) + ",";
    out.resize(size);
    return out;
}

TEST(Gunzip, GivesBackWhatWasPacked) {
    for (const std::size_t size : {0U, 1U, 1000U, 262'143U, 262'144U, 262'145U, 3'000'000U}) {
        const auto plain = gunzip(gzip(text(size)), size);
        ASSERT_TRUE(plain) << size << ": " << plain.error().message();
        EXPECT_EQ(*plain, text(size));
    }
    EXPECT_EQ(gunzip(gzip("one ") + gzip("two"), 100).value(), "one two");
}

TEST(Gunzip, StopsAtTheLimit) {
    const auto bomb = gzip(std::string(50U << 20, 'x'));
    ASSERT_LT(bomb.size(), 100'000U);
    const auto plain = gunzip(bomb, 1U << 20);
    ASSERT_FALSE(plain);
    EXPECT_EQ(plain.error().kind(), ErrorKind::exhausted);
    EXPECT_EQ(gunzip(gzip(text(1000)), 999).error().kind(), ErrorKind::exhausted);
}

TEST(Gunzip, NamesWhatIsWrong) {
    const auto packed = gzip(text(5000));
    for (std::size_t size = 0; size < packed.size(); size += 7) {
        const auto plain = gunzip(packed.substr(0, size), 1U << 20);
        ASSERT_FALSE(plain) << size;
        EXPECT_EQ(plain.error().kind(), ErrorKind::protocol);
    }
    EXPECT_THAT(gunzip("plain text", 100).error().message(), HasSubstr("damaged"));
    EXPECT_FALSE(gunzip(packed + "x", 1U << 20));
    auto damaged = packed;
    damaged[damaged.size() - 6] = static_cast<char>(damaged[damaged.size() - 6] ^ 1);  // of the CRC
    EXPECT_FALSE(gunzip(damaged, 1U << 20));
}

}  // namespace
}  // namespace wglan
