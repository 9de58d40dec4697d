// SPDX-License-Identifier: Apache-2.0
#include "tests/support/netns_test.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "tests/support/run_tests.h"

namespace wglan::test {
namespace {

constexpr int kSkipped = 77;

// nullptr, or what failed (errno says why).
const char* enter_namespaces() {
    if (::unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) return "unshare network and mount namespaces";
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return "make mounts private";
    // /sys/class/net shows the network namespace that /sys was mounted in.
    if (::mount("sysfs", "/sys", "sysfs", 0, nullptr) != 0) return "mount /sys";
    return nullptr;
}

int exit_code(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128; }

}  // namespace

void NetnsTest::SetUp() {
    const char* const failed = enter_namespaces();
    ASSERT_EQ(failed, nullptr) << failed << ": " << std::strerror(errno);
    run("ip link set lo up");
}

int NetnsTest::try_run(const std::string& command) {
    return exit_code(std::system((command + " >/dev/null 2>&1").c_str()));
}

void NetnsTest::run(const std::string& command) {
    ASSERT_EQ(exit_code(std::system(command.c_str())), 0) << command;
}

std::string NetnsTest::output_of(const std::string& command) {
    std::string text;
    FILE* const pipe = ::popen(command.c_str(), "r");
    if (pipe == nullptr) return text;
    std::array<char, 4096> buffer{};
    while (const std::size_t size = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
        text.append(buffer.data(), size);
    }
    EXPECT_EQ(exit_code(::pclose(pipe)), 0) << command;
    return text;
}

}  // namespace wglan::test

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    if (!testing::GTEST_FLAG(list_tests)) {
        if (const char* const failed = wglan::test::enter_namespaces()) {
            std::fprintf(stderr, "skipped: can't %s: %s (run as root)\n", failed, std::strerror(errno));
            return wglan::test::kSkipped;
        }
    }
    return wglan::test::run_tests();
}
