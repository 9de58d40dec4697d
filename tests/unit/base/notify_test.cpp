// SPDX-License-Identifier: Apache-2.0
#include "agent/base/notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include <gtest/gtest.h>

#include "agent/base/unique_fd.h"

namespace wglan {
namespace {

class Notify : public testing::Test {
protected:
    ~Notify() override { ::unsetenv("NOTIFY_SOCKET"); }
};

// A receiver under an abstract name, which leaves no file behind.
UniqueFd receive_at(const std::string& name) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name.data(), name.size());
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    return fd;
}

TEST_F(Notify, SendsTheStateToTheNamedSocket) {
    const std::string name = "wglan-notify-test-" + std::to_string(::getpid());
    auto receiver = receive_at(name);
    ::setenv("NOTIFY_SOCKET", ("@" + name).c_str(), 1);
    auto sent = notify_service_manager("READY=1");
    ASSERT_TRUE(sent) << sent.error().message();
    char buffer[64] = {};
    EXPECT_EQ(::recv(receiver.get(), buffer, sizeof buffer, 0), 7);
    EXPECT_STREQ(buffer, "READY=1");
}

TEST_F(Notify, DoesNothingWithoutASocketAndSaysWhatIsWrongWithOne) {
    ::unsetenv("NOTIFY_SOCKET");
    EXPECT_TRUE(notify_service_manager("READY=1"));
    for (const auto& path : {std::string("relative"), "/" + std::string(200, 'x')}) {
        ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
        EXPECT_EQ(notify_service_manager("READY=1").error().kind(), ErrorKind::invalid) << path;
    }
    ::setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
    EXPECT_EQ(notify_service_manager("READY=1").error().kind(), ErrorKind::not_found);
}

}  // namespace
}  // namespace wglan
