// SPDX-License-Identifier: Apache-2.0
#include "agent/http/listener.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "agent/base/file.h"

namespace wglan::http {
namespace {

socklen_t fill(sockaddr_storage& storage, const Endpoint& where) {
    auto bytes = where.address.bytes();
    if (where.address.is_v4()) {
        auto& address = reinterpret_cast<sockaddr_in&>(storage);
        address.sin_family = AF_INET;
        address.sin_port = htons(where.port);
        std::memcpy(&address.sin_addr, bytes.data(), 4);
        return sizeof address;
    }
    auto& address = reinterpret_cast<sockaddr_in6&>(storage);
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(where.port);
    std::memcpy(&address.sin6_addr, bytes.data(), 16);
    return sizeof address;
}

Result<sockaddr_un> unix_address(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path)
        return fail(ErrorKind::invalid, "socket path '" + path + "': 1 to 107 characters are accepted");
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

// Makes way: a file that nobody listens on goes, anything else stays.
Result<> remove_stale(const std::string& path, const sockaddr_un& address) {
    struct stat info{};
    if (::lstat(path.c_str(), &info) != 0) {
        if (errno == ENOENT) return {};
        return fail_errno("listen on " + path, errno);
    }
    if (!S_ISSOCK(info.st_mode))
        return fail(ErrorKind::exists, "listen on " + path + ": there is a file of another kind; remove it");
    UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!probe.valid()) return fail_errno("socket", errno);
    int code =
        ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
    if (code == 0 || code == EAGAIN)
        return fail(ErrorKind::exists, "listen on " + path + ": another process is listening there");
    if (code != ECONNREFUSED && code != ENOENT) return fail_errno("listen on " + path, code);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno("remove stale " + path, errno);
    return {};
}

}  // namespace

Result<UniqueFd> bind_tcp(const Endpoint& where) {
    const std::string what = "listen on " + where.to_string();
    int family = where.address.is_v4() ? AF_INET : AF_INET6;
    UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.valid()) return fail_errno(what, errno);
    int on = 1;
    int off = 0;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (family == AF_INET6) ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    sockaddr_storage storage{};
    auto length = fill(storage, where);
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&storage), length) != 0) return fail_errno(what, errno);
    if (::listen(fd.get(), SOMAXCONN) != 0) return fail_errno(what, errno);
    return fd;
}

Result<Endpoint> local_endpoint(int fd) {
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0)
        return fail_errno("getsockname", errno);
    Endpoint out;
    if (storage.ss_family == AF_INET) {
        const auto& address = reinterpret_cast<const sockaddr_in&>(storage);
        std::array<std::uint8_t, 4> bytes{};
        std::memcpy(bytes.data(), &address.sin_addr, 4);
        out = {IpAddress::v4(bytes), ntohs(address.sin_port)};
    } else if (storage.ss_family == AF_INET6) {
        const auto& address = reinterpret_cast<const sockaddr_in6&>(storage);
        std::array<std::uint8_t, 16> bytes{};
        std::memcpy(bytes.data(), &address.sin6_addr, 16);
        out = {IpAddress::v6(bytes), ntohs(address.sin6_port)};
    }
    return out;
}

void SocketFile::remove() noexcept {
    struct stat info{};
    if (!path_.empty() && ::lstat(path_.c_str(), &info) == 0 && info.st_dev == device_ &&
        info.st_ino == inode_)
        ::unlink(path_.c_str());
    path_.clear();
}

Result<> remove_stale_socket(const std::string& path) {
    const auto address = unix_address(path);
    if (!address) return Failure(address.error());
    return remove_stale(path, *address);
}

Result<UnixListener> bind_unix(const std::string& path, unsigned mode, int gid) {
    const std::string what = "listen on " + path;
    auto address = unix_address(path);
    if (!address) return Failure(address.error());
    if (auto folder = std::filesystem::path(path).parent_path(); !folder.empty())
        if (auto made = make_directories(folder, 0755); !made) return fail_with(made, what);
    if (auto free = remove_stale(path, *address); !free) return Failure(free.error());
    UnixListener out;
    out.fd = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!out.fd.valid()) return fail_errno(what, errno);
    // bind(2) takes the new file's mode from the socket's inode, less the umask (net/unix/af_unix.c,
    // unix_bind_bsd): there is no moment in which the file is open to more than `mode` says.
    ::fchmod(out.fd.get(), mode);
    if (::bind(out.fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0)
        return fail_errno(what, errno);
    struct stat info{};
    if (::lstat(path.c_str(), &info) != 0) return fail_errno(what, errno);
    out.file = SocketFile(path, info.st_dev, info.st_ino);
    if (gid >= 0 && ::lchown(path.c_str(), static_cast<uid_t>(-1), static_cast<gid_t>(gid)) != 0)
        return fail_errno(what + ": set group " + std::to_string(gid), errno);
    if (::chmod(path.c_str(), mode) != 0) return fail_errno(what + ": set mode", errno);
    if (::listen(out.fd.get(), SOMAXCONN) != 0) return fail_errno(what, errno);
    return out;
}

}  // namespace wglan::http
