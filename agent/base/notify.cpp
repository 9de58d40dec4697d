// SPDX-License-Identifier: Apache-2.0
#include "agent/base/notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "agent/base/unique_fd.h"

namespace wglan {

Result<> notify_service_manager(std::string_view state) {
    const char* path = std::getenv("NOTIFY_SOCKET");
    if (path == nullptr || *path == '\0') return {};
    const std::size_t length = std::strlen(path);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if ((*path != '/' && *path != '@') || length >= sizeof address.sun_path)
        return fail(ErrorKind::invalid,
                    "NOTIFY_SOCKET: an absolute path or an abstract name (@) is accepted");
    std::memcpy(address.sun_path, path, length);
    if (*path == '@') address.sun_path[0] = '\0';
    UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.valid()) return fail_errno("NOTIFY_SOCKET: socket", errno);
    auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
    if (::sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&address),
                 size) < 0)
        return fail_errno("NOTIFY_SOCKET: send", errno);
    return {};
}

}  // namespace wglan
