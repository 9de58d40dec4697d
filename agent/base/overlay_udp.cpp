// SPDX-License-Identifier: Apache-2.0
#include "agent/base/overlay_udp.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

namespace wglan {
namespace {

sockaddr_in6 socket_address(const IpAddress& address, std::uint16_t port) {
    sockaddr_in6 out{};
    out.sin6_family = AF_INET6;
    out.sin6_port = htons(port);
    const auto bytes = address.mapped();
    std::memcpy(&out.sin6_addr, bytes.data(), bytes.size());
    return out;
}

}  // namespace

Result<UniqueFd> open_overlay_udp(const IpAddress& overlay, const std::string& device, std::uint16_t port,
                                  const std::string& what) {
    UniqueFd fd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP));
    if (!fd.valid()) return fail_errno("open a socket for " + what);
    const int on = 1;
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, device.c_str(),
                     static_cast<socklen_t>(device.size())) != 0)
        return fail_errno("bind a socket to " + device);
    (void)::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    // The address may be on its way to the device.
    (void)::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof on);
    const auto where = socket_address(overlay, port);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0)
        return fail_errno("bind UDP port " + std::to_string(port) + " of " + overlay.to_string());
    return fd;
}

Result<> send_overlay_udp(int fd, const IpAddress& to, std::uint16_t port,
                          std::span<const std::uint8_t> bytes) {
    const auto where = socket_address(to, port);
    if (::sendto(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&where), sizeof where) < 0)
        return fail_errno("send to " + to.to_string());
    return {};
}

void read_overlay_udp(int fd, std::uint16_t port, std::size_t longest, int most,
                      const std::function<void(const IpAddress& from, std::span<const std::uint8_t>)>& take) {
    std::vector<std::uint8_t> buffer(longest + 1);
    for (int i = 0; i < most; ++i) {
        sockaddr_in6 from{};
        socklen_t length = sizeof from;
        const ssize_t got = ::recvfrom(fd, buffer.data(), buffer.size(), MSG_DONTWAIT,
                                       reinterpret_cast<sockaddr*>(&from), &length);
        if (got < 0 && errno == EAGAIN) break;
        // An ICMPv6 error about what was sent before is told once: that peer doesn't listen.
        if (got < 0 || from.sin6_port != htons(port)) continue;
        std::array<std::uint8_t, 16> address{};
        std::memcpy(address.data(), &from.sin6_addr, address.size());
        take(IpAddress::v6(address), std::span(buffer).first(static_cast<std::size_t>(got)));
    }
}

}  // namespace wglan
