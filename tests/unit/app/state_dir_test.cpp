// SPDX-License-Identifier: Apache-2.0
#include "agent/app/state_dir.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include <gtest/gtest.h>

#include "agent/base/file.h"

namespace wglan {
namespace {

class StateDirTest : public testing::Test {
protected:
    StateDirTest() {
        char name[] = "/tmp/wglan-state-XXXXXX";
        folder = ::mkdtemp(name);
    }
    ~StateDirTest() override { std::filesystem::remove_all(folder); }
    std::string key_file() const { return folder + "/state/private.key"; }
    StateDir state() const { return StateDir(key_file()); }
    static void write(const std::string& file, std::string_view text) { std::ofstream(file) << text; }

    std::string folder;
};

TEST_F(StateDirTest, MakesKeysOnceAndOnlyForTheirOwner) {
    const auto first = state().identity(nullptr);
    ASSERT_TRUE(first) << first.error().message();
    for (const char* name : {"private.key", "identity.key"}) {
        struct stat info{};
        ASSERT_EQ(::stat((folder + "/state/" + name).c_str(), &info), 0);
        EXPECT_EQ(info.st_mode & 0777, 0600U) << name;
    }
    const auto second = state().identity(nullptr);
    ASSERT_TRUE(second);
    EXPECT_EQ(second->public_key, first->public_key);
    EXPECT_EQ(second->identity, first->identity);
    EXPECT_NE(to_string(first->public_key), "");
}

TEST_F(StateDirTest, DamageIsAnErrorThatSaysWhatToDoAndTouchesNothing) {
    ASSERT_TRUE(state().identity(nullptr));
    for (const char* bad : {"", "short", "////////////////////////////////////////////extra"}) {
        write(key_file(), bad);
        const auto identity = state().identity(nullptr);
        ASSERT_FALSE(identity) << bad;
        EXPECT_NE(identity.error().message().find("never made anew"), std::string::npos);
        EXPECT_EQ(read_file(key_file()).value(), bad);
    }
}

TEST_F(StateDirTest, WhatIsNoFileIsAnErrorToo) {
    ASSERT_TRUE(state().identity(nullptr));
    const auto refused = [&](const char* what) {
        const auto identity = state().identity(nullptr);
        ASSERT_FALSE(identity) << what;
        EXPECT_NE(identity.error().message().find("never made anew"), std::string::npos)
            << identity.error().message();
    };
    ::unlink(key_file().c_str());
    ASSERT_EQ(::mkfifo(key_file().c_str(), 0600), 0);
    refused("a FIFO");
    ::unlink(key_file().c_str());
    ASSERT_EQ(::mkdir(key_file().c_str(), 0700), 0);
    refused("a folder");
    ::rmdir(key_file().c_str());
    ASSERT_EQ(::symlink("/nonexistent/key", key_file().c_str()), 0);
    refused("a dangling link");
}

TEST_F(StateDirTest, ALookMakesNothing) {
    EXPECT_FALSE(state().existing_identity(nullptr));
    EXPECT_FALSE(std::filesystem::exists(folder + "/state"));
}

TEST_F(StateDirTest, AGivenKeyIsHonouredAndNotStored) {
    const Secret given = make_private_key();
    const auto identity = state().identity(&given);
    ASSERT_TRUE(identity);
    EXPECT_EQ(identity->public_key, public_key_of(given.bytes()).value());
    EXPECT_FALSE(std::filesystem::exists(key_file()));
    EXPECT_TRUE(std::filesystem::exists(folder + "/state/identity.key"));
}

TEST_F(StateDirTest, KeepsAddressAndSequence) {
    ASSERT_TRUE(state().identity(nullptr));
    EXPECT_FALSE(state().address());
    EXPECT_EQ(state().sequence(), 0U);
    const IpAddress address = IpAddress::parse("200:1001::5").value();
    ASSERT_TRUE(state().store_address(address));
    ASSERT_TRUE(state().store_sequence(77));
    EXPECT_EQ(state().address(), address);
    EXPECT_EQ(state().sequence(), 77U);
    write(folder + "/state/sequence", "77x\n");
    write(folder + "/state/address", "192.0.2.1\n");
    EXPECT_EQ(state().sequence(), 0U);
    EXPECT_FALSE(state().address());
}

}  // namespace
}  // namespace wglan
