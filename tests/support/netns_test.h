// SPDX-License-Identifier: Apache-2.0
// GoogleTest fixture for tests on the real kernel: each test runs in a network and mount namespace
// of its own, which is gone with the process. The programs' main() (netns_test.cpp) exits with 77
// and the reason where such namespaces can't be made.
#pragma once

#include <string>

#include <gtest/gtest.h>

namespace wglan::test {

class NetnsTest : public testing::Test {
protected:
    // A fresh namespace with `lo` up and its own /sys.
    void SetUp() override;

    // Runs a shell command; the test fails if it does.
    static void run(const std::string& command);
    // Its exit code; 127 or more where there is no such program.
    static int try_run(const std::string& command);
    // What it prints on stdout.
    static std::string output_of(const std::string& command);
};

}  // namespace wglan::test
