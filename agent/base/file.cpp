// SPDX-License-Identifier: Apache-2.0
#include "agent/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <span>

#include "agent/base/unique_fd.h"

namespace wglan {
namespace {

std::string doing(std::string_view what, const std::filesystem::path& path) {
    return std::string(what) + ' ' + path.string();
}

Result<UniqueFd> open_for_reading(const std::filesystem::path& path) {
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return fail_errno(doing("read", path));
    return fd;
}

// Fills `room` as far as the file reaches; the number of bytes read.
Result<std::size_t> read_into(int fd, std::span<char> room, const std::filesystem::path& path) {
    std::size_t have = 0;
    while (have < room.size()) {
        const ssize_t got = ::read(fd, room.data() + have, room.size() - have);
        if (got == 0) break;
        if (got < 0) {
            if (errno == EINTR) continue;
            return fail_errno(doing("read", path));
        }
        have += static_cast<std::size_t>(got);
    }
    return have;
}

Failure too_long(const std::filesystem::path& path, std::size_t limit) {
    return fail(ErrorKind::exhausted,
                doing("read", path) + ": longer than " + std::to_string(limit) + " bytes");
}

Result<> write_all(int fd, std::string_view content) {
    while (!content.empty()) {
        const ssize_t put = ::write(fd, content.data(), content.size());
        if (put < 0) {
            if (errno == EINTR) continue;
            return fail_errno("write");
        }
        content.remove_prefix(static_cast<std::size_t>(put));
    }
    return {};
}

std::filesystem::path directory_of(const std::filesystem::path& path) {
    auto directory = path.parent_path();
    return directory.empty() ? std::filesystem::path(".") : directory;
}

Result<> sync_directory(const std::filesystem::path& directory) {
    UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid()) return fail_errno("open directory");
    // EINVAL: a file system that can't fsync a directory has nothing to lose there.
    if (::fsync(fd.get()) != 0 && errno != EINVAL) return fail_errno("fsync directory");
    return {};
}

// A file beside the target; unlinked by the destructor unless it was renamed away.
class TemporaryFile {
public:
    explicit TemporaryFile(const std::filesystem::path& target)
        : path_((directory_of(target) / ("." + target.filename().string() + ".XXXXXX")).string()) {}
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    ~TemporaryFile() {
        if (exists_) ::unlink(path_.c_str());
    }

    Result<> fill(std::string_view content, mode_t mode) {
        UniqueFd fd(::mkostemp(path_.data(), O_CLOEXEC));
        if (!fd.valid()) return fail_errno("make temporary file");
        exists_ = true;
        if (::fchmod(fd.get(), mode) != 0) return fail_errno("fchmod");
        if (auto done = write_all(fd.get(), content); !done) return done;
        if (::fsync(fd.get()) != 0) return fail_errno("fsync");
        // A network file system may report a full disk only here.
        if (::close(fd.release()) != 0) return fail_errno("close");
        return {};
    }
    Result<> rename_to(const std::filesystem::path& target) {
        if (::rename(path_.c_str(), target.c_str()) != 0) return fail_errno("rename");
        exists_ = false;
        return {};
    }
    Result<> link_to(const std::filesystem::path& target) {
        if (::link(path_.c_str(), target.c_str()) != 0) return fail_errno("link");
        return {};
    }

private:
    std::string path_;
    bool exists_ = false;
};

enum class Replace { yes, no };

Result<> write_atomic(const std::filesystem::path& path, std::string_view content, mode_t mode,
                      Replace replace) {
    TemporaryFile temporary(path);
    if (auto done = temporary.fill(content, mode); !done) return fail_with(done, doing("write", path));
    auto placed = replace == Replace::yes ? temporary.rename_to(path) : temporary.link_to(path);
    if (!placed) return fail_with(placed, doing("write", path));
    if (auto done = sync_directory(directory_of(path)); !done) return fail_with(done, doing("write", path));
    return {};
}

}  // namespace

Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit) {
    auto fd = open_for_reading(path);
    if (!fd) return Failure(fd.error());
    std::string content;
    std::size_t have = 0;
    // Grows with what is there rather than with the limit; /proc files have no size to ask for.
    for (;;) {
        const std::size_t room = std::min(limit + 1, std::max<std::size_t>(4096, have * 2));
        content.resize(room);
        auto got = read_into(fd->get(), std::span(content).subspan(have), path);
        if (!got) return Failure(got.error());
        have += *got;
        if (have < room) break;
        if (have > limit) return too_long(path, limit);
    }
    content.resize(have);
    return content;
}

Result<Secret> read_secret_file(const std::filesystem::path& path, std::size_t limit) {
    auto fd = open_for_reading(path);
    if (!fd) return Failure(fd.error());
    Secret buffer(limit + 1);
    const auto room = buffer.mutable_bytes();
    auto got = read_into(fd->get(), {reinterpret_cast<char*>(room.data()), room.size()}, path);
    if (!got) return Failure(got.error());
    if (*got > limit) return too_long(path, limit);
    std::string_view text = buffer.text().substr(0, *got);
    const auto last = text.find_last_not_of(" \t\r\n\v\f");
    text = last == std::string_view::npos ? std::string_view() : text.substr(0, last + 1);
    return Secret::copy_of(as_bytes(text));
}

Result<> write_file_atomic(const std::filesystem::path& path, std::string_view content, mode_t mode) {
    return write_atomic(path, content, mode, Replace::yes);
}

Result<> create_file_atomic(const std::filesystem::path& path, std::string_view content, mode_t mode) {
    return write_atomic(path, content, mode, Replace::no);
}

Result<> make_directories(const std::filesystem::path& path, mode_t mode) {
    std::filesystem::path so_far;
    for (const auto& part : path) {
        so_far /= part;
        if (::mkdir(so_far.c_str(), mode) == 0) {
            // mkdir(2) takes the umask away; the mode asked for is what counts.
            if (::chmod(so_far.c_str(), mode) != 0) return fail_errno(doing("make directory", so_far));
            continue;
        }
        const int code = errno;
        struct stat status{};
        if (::stat(so_far.c_str(), &status) == 0) {
            if (S_ISDIR(status.st_mode)) continue;
            return fail_errno(doing("make directory", so_far), ENOTDIR);
        }
        return fail_errno(doing("make directory", so_far), code);
    }
    return {};
}

}  // namespace wglan
