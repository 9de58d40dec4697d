// SPDX-License-Identifier: Apache-2.0
#include "tests/support/run_tests.h"

#include <cstdio>
#include <map>
#include <string>

#include <gtest/gtest.h>

namespace wglan::test {
namespace {

constexpr int kSkipped = 77;

class SkipCounter : public testing::EmptyTestEventListener {
public:
    // A skip in SetUp or in the test itself, and so no more than one a test.
    void OnTestPartResult(const testing::TestPartResult& part) override {
        if (!part.skipped()) return;
        std::string reason = part.message();
        while (reason.ends_with('\n')) reason.pop_back();
        ++reasons_[reason];
    }

    [[nodiscard]] const std::map<std::string, int>& reasons() const { return reasons_; }

private:
    std::map<std::string, int> reasons_;
};

}  // namespace

int run_tests() {
    auto* const counter = new SkipCounter;  // the list of listeners owns it
    testing::UnitTest& all = *testing::UnitTest::GetInstance();
    all.listeners().Append(counter);
    const int result = RUN_ALL_TESTS();
    if (testing::GTEST_FLAG(list_tests)) return result;
    const bool none_ran = all.skipped_test_count() == all.test_to_run_count();
    for (const auto& [reason, tests] : counter->reasons())
        std::printf("skipped%s: %d of %d tests: %s\n", none_ran ? "" : " in part", tests,
                    all.test_to_run_count(), reason.c_str());
    std::fflush(stdout);
    return result == 0 && none_ran ? kSkipped : result;
}

}  // namespace wglan::test
