// SPDX-License-Identifier: Apache-2.0
// Inner header of agent/http: listening sockets.
#pragma once

#include <string>

#include "agent/base/ip.h"
#include "agent/base/result.h"
#include "agent/base/unique_fd.h"

namespace wglan::http {

// A bound and listening TCP socket. [::] takes IPv4 too.
Result<UniqueFd> bind_tcp(const Endpoint& where);
Result<Endpoint> local_endpoint(int fd);

// A UNIX socket's file, removed with its owner if it is still the same file.
class SocketFile {
public:
    SocketFile() = default;
    SocketFile(std::string path, std::uint64_t device, std::uint64_t inode)
        : path_(std::move(path)), device_(device), inode_(inode) {}
    SocketFile(SocketFile&& other) noexcept : SocketFile() { *this = std::move(other); }
    SocketFile& operator=(SocketFile&& other) noexcept {
        std::swap(path_, other.path_);
        std::swap(device_, other.device_);
        std::swap(inode_, other.inode_);
        return *this;
    }
    ~SocketFile() { remove(); }
    void remove() noexcept;

private:
    std::string path_;
    std::uint64_t device_ = 0, inode_ = 0;
};

struct UnixListener {
    UniqueFd fd;
    SocketFile file;
};
// As in server.h.
Result<> remove_stale_socket(const std::string& path);
// As listen_unix in server.h.
Result<UnixListener> bind_unix(const std::string& path, unsigned mode, int gid);

}  // namespace wglan::http
