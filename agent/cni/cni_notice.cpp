// SPDX-License-Identifier: Apache-2.0
#include "agent/cni/cni_notice.h"

#include <algorithm>
#include <utility>

#include "agent/base/overlay_udp.h"

namespace wglan {
namespace {

constexpr std::array<std::uint8_t, 5> kHead{'w', 'g', 'c', 'n', 1};
constexpr std::uint8_t kDown4 = 1, kDown6 = 2;
constexpr int kMostReads = 256;

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
    auto fd = open_overlay_udp(overlay, device, kCniPort, "peers' notices");
    if (!fd) return Failure(fd.error());
    return CniNoticeSocket(std::move(*fd));
}

Result<> CniNoticeSocket::send(const IpAddress& to, CniDown down) {
    return send_overlay_udp(fd_.get(), to, kCniPort, encode_cni_notice(down));
}

std::vector<CniNoticeSocket::Notice> CniNoticeSocket::read() {
    std::vector<Notice> notices;
    read_overlay_udp(fd_.get(), kCniPort, kCniNoticeLength, kMostReads,
                     [&](const IpAddress& from, std::span<const std::uint8_t> bytes) {
                         if (const auto down = decode_cni_notice(bytes)) notices.push_back({from, *down});
                     });
    return notices;
}

}  // namespace wglan
