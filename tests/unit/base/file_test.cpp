// SPDX-License-Identifier: Apache-2.0
#include "agent/base/file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include <gmock/gmock.h>

namespace wglan {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Files : public testing::Test {
protected:
    void SetUp() override {
        std::string name = (fs::temp_directory_path() / "wglan-file-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        dir_ = name;
    }
    void TearDown() override { fs::remove_all(dir_); }
    void put(const fs::path& path, const std::string& content) { std::ofstream(path) << content; }
    static mode_t mode_of(const fs::path& path) {
        struct stat status{};
        EXPECT_EQ(::stat(path.c_str(), &status), 0);
        return status.st_mode & 07777U;
    }
    std::size_t entries() const {
        return static_cast<std::size_t>(
            std::distance(fs::directory_iterator(dir_), fs::directory_iterator()));
    }

    fs::path dir_;
};

TEST_F(Files, ReadsUpToTheLimit) {
    put(dir_ / "a", std::string(10000, 'x'));
    EXPECT_EQ(read_file(dir_ / "a")->size(), 10000U);
    EXPECT_EQ(read_file(dir_ / "a", 10000)->size(), 10000U);
    const auto error = read_file(dir_ / "a", 9999).error();
    EXPECT_EQ(error.kind(), ErrorKind::exhausted);
    EXPECT_THAT(error.message(), HasSubstr("longer than 9999 bytes"));
    put(dir_ / "empty", "");
    EXPECT_EQ(read_file(dir_ / "empty").value(), "");
    EXPECT_FALSE(read_file("/dev/zero", 100000));
    EXPECT_THAT(read_file("/proc/self/status").value(), HasSubstr("Name:"));  // its size is unknown
}

TEST_F(Files, ReadErrorsNameTheFile) {
    const auto error = read_file(dir_ / "none").error();
    EXPECT_EQ(error.kind(), ErrorKind::not_found);
    EXPECT_EQ(error.message(), "read " + (dir_ / "none").string() + ": No such file or directory (ENOENT)");
    EXPECT_FALSE(read_file(dir_));
}

TEST_F(Files, SecretLosesTrailingWhiteSpaceOnly) {
    put(dir_ / "s", "  two words \r\n\n");
    EXPECT_EQ(read_secret_file(dir_ / "s")->text(), "  two words");
    put(dir_ / "s", "\n \n");
    EXPECT_TRUE(read_secret_file(dir_ / "s")->empty());
    put(dir_ / "s", std::string(101, 'x'));
    EXPECT_EQ(read_secret_file(dir_ / "s", 100).error().kind(), ErrorKind::exhausted);
    EXPECT_EQ(read_secret_file(dir_ / "none").error().kind(), ErrorKind::not_found);
}

TEST_F(Files, WritesAtomicallyWithItsMode) {
    const mode_t before = ::umask(0077);
    EXPECT_TRUE(write_file_atomic(dir_ / "f", "one", 0640));
    EXPECT_TRUE(write_file_atomic(dir_ / "f", "two", 0600));
    ::umask(before);
    EXPECT_EQ(read_file(dir_ / "f").value(), "two");
    EXPECT_EQ(mode_of(dir_ / "f"), 0600U);
    EXPECT_EQ(entries(), 1U);
}

TEST_F(Files, FailedWriteLeavesTheOldFileAndNoTemporary) {
    fs::create_directory(dir_ / "f");  // rename onto a directory fails
    put(dir_ / "f" / "inner", "x");
    EXPECT_FALSE(write_file_atomic(dir_ / "f", "new", 0600));
    EXPECT_EQ(entries(), 1U);
    EXPECT_EQ(read_file(dir_ / "f" / "inner").value(), "x");
    const auto error = write_file_atomic(dir_ / "none" / "f", "x", 0600).error();
    EXPECT_EQ(error.kind(), ErrorKind::not_found);
    EXPECT_THAT(error.message(), HasSubstr((dir_ / "none" / "f").string()));
}

TEST_F(Files, CreateNeverReplaces) {
    EXPECT_TRUE(create_file_atomic(dir_ / "key", "first", 0600));
    const auto again = create_file_atomic(dir_ / "key", "second", 0600);
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().kind(), ErrorKind::exists);
    EXPECT_EQ(read_file(dir_ / "key").value(), "first");
    EXPECT_EQ(mode_of(dir_ / "key"), 0600U);
    EXPECT_EQ(entries(), 1U);
    struct stat status{};
    ASSERT_EQ(::stat((dir_ / "key").c_str(), &status), 0);
    EXPECT_EQ(status.st_nlink, 1U);
}

TEST_F(Files, CreateDoesNotFollowADanglingLink) {
    fs::create_symlink(dir_ / "elsewhere", dir_ / "key");
    EXPECT_EQ(create_file_atomic(dir_ / "key", "x", 0600).error().kind(), ErrorKind::exists);
    EXPECT_FALSE(fs::exists(dir_ / "elsewhere"));
}

TEST_F(Files, MakesDirectoriesWithTheMode) {
    const mode_t before = ::umask(0077);
    EXPECT_TRUE(make_directories(dir_ / "a" / "b", 0755));
    ::umask(before);
    EXPECT_EQ(mode_of(dir_ / "a"), 0755U);
    EXPECT_EQ(mode_of(dir_ / "a" / "b"), 0755U);
    EXPECT_TRUE(make_directories(dir_ / "a" / "b", 0700));
    EXPECT_EQ(mode_of(dir_ / "a" / "b"), 0755U);  // what is there stays as it is
    put(dir_ / "file", "");
    const auto error = make_directories(dir_ / "file" / "x", 0700).error();
    EXPECT_THAT(error.message(), HasSubstr("ENOTDIR"));
}

TEST_F(Files, MakesRelativeDirectories) {
    const fs::path before = fs::current_path();
    fs::current_path(dir_);
    EXPECT_TRUE(make_directories("x/y/", 0700));
    EXPECT_TRUE(write_file_atomic("plain", "1", 0600));
    fs::current_path(before);
    EXPECT_TRUE(fs::is_directory(dir_ / "x" / "y"));
    EXPECT_TRUE(fs::exists(dir_ / "plain"));
}

}  // namespace
}  // namespace wglan
