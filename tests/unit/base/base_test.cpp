// SPDX-License-Identifier: Apache-2.0
#include <cerrno>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "agent/base/backoff.h"
#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/result.h"
#include "agent/base/text.h"
#include "agent/base/unique_fd.h"

namespace wglan {
namespace {

using testing::HasSubstr;

TEST(Result, MessageNamesTheErrno) {
    const auto failure = fail_errno("add route 10.2.0.0/16", EEXIST);
    EXPECT_EQ(failure.value().message(), "add route 10.2.0.0/16: File exists (EEXIST)");
    EXPECT_EQ(failure.value().wrap("apply").message(), "apply: add route 10.2.0.0/16: File exists (EEXIST)");
    EXPECT_EQ(failure.value().code(), EEXIST);
    EXPECT_EQ(fail_errno("x", 99999).value().message(), "x: errno 99999");
    EXPECT_EQ(fail(ErrorKind::invalid, "plain").value().message(), "plain");
}

TEST(Result, KindFollowsErrno) {
    const std::vector<std::pair<int, ErrorKind>> table = {
        {EPERM, ErrorKind::permission},   {EACCES, ErrorKind::permission},
        {ENOENT, ErrorKind::not_found},   {ENODEV, ErrorKind::not_found},
        {ESRCH, ErrorKind::not_found},    {EEXIST, ErrorKind::exists},
        {EBUSY, ErrorKind::exists},       {EOPNOTSUPP, ErrorKind::unsupported},
        {ENOSYS, ErrorKind::unsupported}, {EPROTONOSUPPORT, ErrorKind::unsupported},
        {ETIMEDOUT, ErrorKind::timeout},  {ENOSPC, ErrorKind::exhausted},
        {ENOMEM, ErrorKind::exhausted},   {E2BIG, ErrorKind::exhausted},
        {EMFILE, ErrorKind::exhausted},   {EINVAL, ErrorKind::invalid},
        {ECONNREFUSED, ErrorKind::io},
    };
    for (const auto& [code, kind] : table) EXPECT_EQ(fail_errno("", code).value().kind(), kind) << code;
    errno = EACCES;
    EXPECT_EQ(fail_errno("x").value().kind(), ErrorKind::permission);
}

TEST(Result, WrapKeepsKindAndCode) {
    const Result<int> result = fail_errno("open", ENOENT);
    const Error wrapped = fail_with(result, "load").value();
    EXPECT_EQ(wrapped.kind(), ErrorKind::not_found);
    EXPECT_EQ(wrapped.code(), ENOENT);
    EXPECT_EQ(wrapped.message(), "load: open: No such file or directory (ENOENT)");
    EXPECT_EQ(to_string(ErrorKind::not_found), "not_found");
}

TEST(Backoff, GrowsToTheCapWithinItsBand) {
    double random = 0.0;
    Backoff low(Milliseconds(100), Milliseconds(1000), [&] { return random; });
    const std::vector<int> expected_low = {50, 100, 200, 400, 500, 500};
    for (const int ms : expected_low) EXPECT_EQ(low.next().count(), ms);
    EXPECT_EQ(low.attempts(), 6U);

    random = 0.999999999;
    Backoff high(Milliseconds(100), Milliseconds(1000), [&] { return random; });
    const std::vector<int> expected_high = {100, 200, 400, 800, 1000, 1000};
    for (const int ms : expected_high) EXPECT_EQ(high.next().count(), ms);
    high.reset();
    EXPECT_EQ(high.attempts(), 0U);
    EXPECT_EQ(high.next().count(), 100);
}

TEST(Backoff, SurvivesExtremes) {
    const auto most = Milliseconds(std::numeric_limits<Milliseconds::rep>::max() / 4);
    Backoff endless(Milliseconds(1), most, [] { return 0.5; });
    Milliseconds last{};
    for (int i = 0; i < 200; ++i) {
        last = endless.next();
        EXPECT_GE(last.count(), 0);
    }
    EXPECT_GE(last, most / 2);
    EXPECT_LE(last, most);

    Backoff zero(Milliseconds(0), Milliseconds(100), [] { return 0.5; });
    for (int i = 0; i < 10; ++i) EXPECT_EQ(zero.next().count(), 0);
    Backoff first_above(Milliseconds(500), Milliseconds(100), [] { return 0.999999999; });
    EXPECT_EQ(first_above.next().count(), 100);
}

TEST(Random, UnitIsInRangeAndVaries) {
    double first = random_unit();
    bool varies = false;
    for (int i = 0; i < 64; ++i) {
        const double value = random_unit();
        EXPECT_GE(value, 0.0);
        EXPECT_LT(value, 1.0);
        varies = varies || value != first;
    }
    EXPECT_TRUE(varies);
}

TEST(Clock, FormatsRfc3339) {
    EXPECT_EQ(rfc3339(0), "");
    EXPECT_EQ(rfc3339(1767323045), "2026-01-02T03:04:05Z");
    EXPECT_EQ(rfc3339(951782400), "2000-02-29T00:00:00Z");
    EXPECT_EQ(rfc3339(std::numeric_limits<UnixTime>::max()), "");
}

TEST(Clock, SystemClockRunsForward) {
    const SteadyTime before = system_clock().now();
    EXPECT_GE(system_clock().now(), before);
    EXPECT_GT(system_clock().unix_now(), 1577836800);  // 2020
}

TEST(UniqueFd, ClosesOnceAndMoves) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    UniqueFd read_end(ends[0]);
    {
        UniqueFd write_end(ends[1]);
        UniqueFd moved = std::move(write_end);
        EXPECT_FALSE(write_end.valid());  // NOLINT(bugprone-use-after-move): the contract says so
        EXPECT_TRUE(moved.valid());
    }
    char byte = 0;
    EXPECT_EQ(::read(read_end.get(), &byte, 1), 0);  // the write end is closed
    const int raw = read_end.release();
    EXPECT_FALSE(read_end.valid());
    EXPECT_EQ(::close(raw), 0);
}

TEST(Text, QuoteEscapesAndCuts) {
    EXPECT_EQ(quote("plain"), R"("plain")");
    EXPECT_EQ(quote("a\"b\\c"), R"("a\"b\\c")");
    EXPECT_EQ(quote("\n\r\t\x01\x7f\xff"), R"("\n\r\t\x01\x7f\xff")");
    EXPECT_EQ(quote(std::string(100, 'x'), 5), "\"xxxxx...\"");
    EXPECT_EQ(quote(std::string_view("\0", 1)), R"("\x00")");
}

TEST(Text, EscapeControlsKeepsUtf8) {
    EXPECT_EQ(escape_controls("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"),
              "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
    EXPECT_EQ(escape_controls("a\nb\x1b[0m"), R"(a\nb\x1b[0m)");
    EXPECT_EQ(escape_controls("\xc3"), R"(\xc3)");
    EXPECT_EQ(escape_controls("\xc0\x80"), R"(\xc0\x80)");                  // overlong
    EXPECT_EQ(escape_controls("\xed\xa0\x80"), R"(\xed\xa0\x80)");          // surrogate
    EXPECT_EQ(escape_controls("\xf4\x90\x80\x80"), R"(\xf4\x90\x80\x80)");  // above U+10FFFF
}

TEST(Text, JsonStringIsAlwaysValid) {
    EXPECT_EQ(json_string("a\"b\\\n\x01"), R"("a\"b\\\n\u0001")");
    EXPECT_EQ(json_string("\xc3\xbc\xff"), "\"\xc3\xbc\xef\xbf\xbd\"");
}

class Logging : public testing::Test {
protected:
    ~Logging() override { EXPECT_TRUE(setup_logging(LogFormat::text, "info")); }
};

TEST_F(Logging, JsonLinesAreEscaped) {
    ASSERT_TRUE(setup_logging(LogFormat::json, "info"));
    testing::internal::CaptureStderr();
    spdlog::warn("bad \"name\"\n{}", "{\"level\":\"error\"}");
    spdlog::debug("below the level");
    const std::string out = testing::internal::GetCapturedStderr();
    EXPECT_THAT(out, testing::ContainsRegex("^\\{\"time\":\"[0-9T:.-]+Z\",\"level\":\"warn\",\"message\":"));
    EXPECT_THAT(out, HasSubstr(R"(bad \"name\"\n{\"level\":\"error\"}"})"));
    EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 1);
}

TEST_F(Logging, TextLinesCannotBeForged) {
    ASSERT_TRUE(setup_logging(LogFormat::text, "debug"));
    testing::internal::CaptureStderr();
    spdlog::error("first\n2026-01-01T00:00:00.000Z info forged");
    const std::string out = testing::internal::GetCapturedStderr();
    EXPECT_THAT(out, HasSubstr("Z error first\\n2026"));
    EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 1);
}

TEST_F(Logging, RefusesUnknownFormatAndLevel) {
    EXPECT_EQ(parse_log_format("json").value(), LogFormat::json);
    EXPECT_EQ(parse_log_format("text").value(), LogFormat::text);
    EXPECT_THAT(parse_log_format("xml").error().message(), HasSubstr("accepted: text, json"));
    EXPECT_EQ(setup_logging(LogFormat::text, "loud").error().kind(), ErrorKind::invalid);
    EXPECT_THAT(setup_logging(LogFormat::text, "").error().message(), HasSubstr("trace, debug"));
}

}  // namespace
}  // namespace wglan
