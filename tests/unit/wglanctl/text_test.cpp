// SPDX-License-Identifier: Apache-2.0
#include "tools/wglanctl/render/text.h"

#include <limits>

#include <gtest/gtest.h>

namespace wglan::ctl {
namespace {

TEST(Printable, KeepsOrdinaryTextOfAnyScript) {
    for (auto text : {"node-1.example", "Zürich", "東京", "👍", ""}) EXPECT_EQ(printable(text), text);
}

TEST(Printable, DisarmsWhatSteersTerminals) {
    EXPECT_EQ(printable("\x1b[2J\x1b]0;owned\x07"), "\\x1b[2J\\x1b]0;owned\\x07");
    EXPECT_EQ(printable("a\r\nb\tc\x7f"), "a\\x0d\\x0ab\\x09c\\x7f");
    EXPECT_EQ(printable("a\xc2\x9b"
                        "31m"),
              "a\\x9b31m");  // the one-byte CSI, U+009B
    EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a\\x00b");
}

TEST(Printable, ShowsWhatHidesOrReordersText) {
    EXPECT_EQ(printable("ab\u202ecd"), "ab\\u202ecd");
    EXPECT_EQ(printable("no\u200bde"), "no\\u200bde");
    EXPECT_EQ(printable("\ufeffx"), "\\ufeffx");
    EXPECT_EQ(printable("\u2066x\u2069"), "\\u2066x\\u2069");
    EXPECT_EQ(printable("\U000e0041"), "\\U000e0041");
}

TEST(Printable, ReplacesWhatIsNotUtf8) {
    EXPECT_EQ(printable("a\xff"
                        "b"),
              "a\ufffd"
              "b");
    EXPECT_EQ(printable("\xc0\x9b"), "\ufffd\ufffd");            // overlong ESC
    EXPECT_EQ(printable("\xe0\x80\x9b"), "\ufffd\ufffd\ufffd");  // the same in three bytes
    EXPECT_EQ(printable("\xed\xa0\x80"), "\ufffd\ufffd\ufffd");  // a surrogate
    EXPECT_EQ(printable("\xe2\x82"), "\ufffd\ufffd");            // cut off
    EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\ufffd\ufffd\ufffd\ufffd");
}

TEST(DisplayWidth, CountsColumnsNotBytes) {
    EXPECT_EQ(display_width("abc"), 3U);
    EXPECT_EQ(display_width("Zürich"), 6U);
    EXPECT_EQ(display_width("東京"), 4U);
    EXPECT_EQ(display_width("e\u0301"), 1U);
}

TEST(Truncate, NeverIsWiderThanAsked) {
    EXPECT_EQ(truncate("abcdef", 6), "abcdef");
    EXPECT_EQ(truncate("abcdef", 4), "abc…");
    EXPECT_EQ(truncate("東京都", 4), "東…");
    EXPECT_EQ(truncate("ab cdef", 4), "ab…");
    EXPECT_EQ(truncate("abc", 1), "…");
    EXPECT_EQ(truncate("abc", 0), "");
}

TEST(Pad, FillsToTheWidth) {
    EXPECT_EQ(pad("ü", 3), "ü  ");
    EXPECT_EQ(pad("ü", 3, true), "  ü");
    EXPECT_EQ(pad("long", 2), "long");
}

TEST(Wrap, BreaksAtSpaces) {
    EXPECT_EQ(wrap("one two three", 8), (std::vector<std::string>{"one two", "three"}));
    EXPECT_EQ(wrap("one two", 0), (std::vector<std::string>{"one two"}));
    EXPECT_EQ(wrap("unbreakable x", 4), (std::vector<std::string>{"unbreakable", "x"}));
    EXPECT_EQ(wrap("", 10), (std::vector<std::string>{""}));
}

TEST(Redraw, ClearsWhatWasThereBefore) {
    EXPECT_EQ(redraw("a\nb\n", 0), "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J");
    EXPECT_EQ(redraw("", 10), "\x1b[H\x1b[J");
}

TEST(Redraw, NeverScrolls) {
    EXPECT_EQ(redraw("a\nb\nc\n", 2), "\x1b[Ha\x1b[K\n…\x1b[K");
    EXPECT_EQ(redraw("a\nb\n", 2), "\x1b[Ha\x1b[K\nb\x1b[K");
    EXPECT_EQ(redraw("a\nb", 2), "\x1b[Ha\x1b[K\nb\x1b[K");
    EXPECT_EQ(redraw("a\nb\n", 3), "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J");
}

TEST(Human, Bytes) {
    EXPECT_EQ(human_bytes(0), "0 B");
    EXPECT_EQ(human_bytes(1023), "1023 B");
    EXPECT_EQ(human_bytes(1024), "1.0 KiB");
    EXPECT_EQ(human_bytes(1'258'291), "1.2 MiB");
    EXPECT_EQ(human_bytes((1U << 20) - 1), "1.0 MiB");
    EXPECT_EQ(human_bytes(std::numeric_limits<std::uint64_t>::max()), "16.0 EiB");
}

TEST(Human, Counts) {
    EXPECT_EQ(human_count(0), "0");
    EXPECT_EQ(human_count(999), "999");
    EXPECT_EQ(human_count(1000), "1,000");
    EXPECT_EQ(human_count(1234567), "1,234,567");
}

TEST(Human, Durations) {
    EXPECT_EQ(human_duration(-3), "0s");
    EXPECT_EQ(human_duration(59), "59s");
    EXPECT_EQ(human_duration(60), "1m");
    EXPECT_EQ(human_duration(192), "3m12s");
    EXPECT_EQ(human_duration(4 * 3600 + 5 * 60 + 59), "4h5m");
    EXPECT_EQ(human_duration(12 * 86400 + 3 * 3600), "12d3h");
}

TEST(Human, RttAndPlurals) {
    EXPECT_EQ(human_rtt(0.421), "0.42 ms");
    EXPECT_EQ(human_rtt(12.3), "12 ms");
    EXPECT_EQ(plural(1, "record"), "1 record");
    EXPECT_EQ(plural(0, "record"), "0 records");
    EXPECT_EQ(plural(1500, "record"), "1,500 records");
}

}  // namespace
}  // namespace wglan::ctl
