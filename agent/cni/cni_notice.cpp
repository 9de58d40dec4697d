// SPDX-License-Identifier: Apache-2.0
#include "agent/cni/cni_notice.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace wglan {
namespace {

constexpr std::array<std::uint8_t, 5> kHead{'w', 'g', 'c', 'n', 1};
constexpr std::uint8_t kDown4 = 1, kDown6 = 2;
constexpr int kMostReads = 256;

sockaddr_in6 socket_address(const IpAddress& address) {
    sockaddr_in6 out{};
    out.sin6_family = AF_INET6;
    out.sin6_port = htons(kCniPort);
    const auto bytes = address.mapped();
    std::memcpy(&out.sin6_addr, bytes.data(), bytes.size());
    return out;
}

}  // namespace

std::array<std::uint8_t, kCniNoticeLength> encode_cni_notice(CniDown down) {
    std::array<std::uint8_t, kCniNoticeLength> bytes{};
    std::ranges::copy(kHead, bytes.begin());
    bytes[kHead.size()] = static_cast<std::uint8_t>((down.v4 ? kDown4 : 0) | (down.v6 ? kDown6 : 0));
    return bytes;
}

std::optional<CniDown> decode_cni_notice(std::span<const std::uint8_t> bytes) {
    if (bytes.size() != kCniNoticeLength || !std::equal(kHead.begin(), kHead.end(), bytes.begin()))
        return std::nullopt;
    const std::uint8_t flags = bytes[kHead.size()];
    if ((flags & ~(kDown4 | kDown6)) != 0 || bytes[6] != 0 || bytes[7] != 0) return std::nullopt;
    return CniDown{(flags & kDown4) != 0, (flags & kDown6) != 0};
}

Result<CniNoticeSocket> CniNoticeSocket::open(const IpAddress& overlay, const std::string& device) {
    UniqueFd fd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP));
    if (!fd.valid()) return fail_errno("open a socket for peers' notices");
    const int on = 1;
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, device.c_str(),
                     static_cast<socklen_t>(device.size())) != 0)
        return fail_errno("bind a socket to " + device);
    // The address may be on its way to the device.
    (void)::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof on);
    const auto where = socket_address(overlay);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0)
        return fail_errno("bind UDP port " + std::to_string(kCniPort) + " of " + overlay.to_string());
    return CniNoticeSocket(std::move(fd));
}

Result<> CniNoticeSocket::send(const IpAddress& to, CniDown down) {
    const auto bytes = encode_cni_notice(down);
    const auto where = socket_address(to);
    if (::sendto(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&where), sizeof where) < 0)
        return fail_errno("send to " + to.to_string());
    return {};
}

std::vector<CniNoticeSocket::Notice> CniNoticeSocket::read() {
    std::vector<Notice> notices;
    std::array<std::uint8_t, kCniNoticeLength + 1> buffer{};
    for (int i = 0; i < kMostReads; ++i) {
        sockaddr_in6 from{};
        socklen_t length = sizeof from;
        const ssize_t got = ::recvfrom(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT,
                                       reinterpret_cast<sockaddr*>(&from), &length);
        if (got < 0 && errno == EAGAIN) break;
        // Of what was sent before ICMPv6 errors are told once: that peer doesn't listen.
        if (got < 0 || from.sin6_port != htons(kCniPort)) continue;
        const auto down = decode_cni_notice(std::span(buffer).first(static_cast<std::size_t>(got)));
        std::array<std::uint8_t, 16> address{};
        std::memcpy(address.data(), &from.sin6_addr, address.size());
        if (down) notices.push_back({IpAddress::v6(address), *down});
    }
    return notices;
}

}  // namespace wglan
