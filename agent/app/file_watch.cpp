// SPDX-License-Identifier: Apache-2.0
#include "agent/app/file_watch.h"

#include <sys/inotify.h>

#include <filesystem>
#include <set>

#include "agent/base/file.h"

namespace wglan {

FileWatch::FileWatch(boost::asio::io_context& io, std::function<void()> on_change)
    : stream_(io), settle_(io), on_change_(std::move(on_change)) {}

Result<> FileWatch::watch(const std::vector<std::string>& files) {
    stop();
    files_ = files;
    digest_ = digest();
    if (files_.empty()) return {};
    const int fd = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0) return fail_errno("watch the configuration");
    stream_.assign(fd);
    std::set<std::string> folders;
    for (const std::string& file : files_) {
        auto folder = std::filesystem::path(file).parent_path();
        folders.insert(folder.empty() ? "." : folder.string());
    }
    for (const std::string& folder : folders)
        if (::inotify_add_watch(fd, folder.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE) < 0)
            return fail_errno("watch " + folder);
    read();
    return {};
}

void FileWatch::stop() {
    boost::system::error_code ignored;
    stream_.close(ignored);
    settle_.cancel();
}

void FileWatch::read() {
    stream_.async_read_some(boost::asio::buffer(buffer_),
                            [this](const boost::system::error_code& error, std::size_t) {
                                if (error) return;
                                settle();
                                read();
                            });
}

void FileWatch::settle() {
    settle_.expires_after(std::chrono::milliseconds(200));
    settle_.async_wait([this](const boost::system::error_code& error) {
        if (error) return;
        std::string now = digest();
        if (now == digest_) return;
        digest_ = std::move(now);
        on_change_();
    });
}

std::string FileWatch::digest() const {
    std::string all;
    for (const std::string& file : files_) {
        auto content = read_file(file);
        const auto hash = sha256(as_bytes(content ? *content : std::string()));
        all += content ? hex_encode(hash) : "-";
        if (content) wipe(*content);
    }
    return all;
}

}  // namespace wglan
