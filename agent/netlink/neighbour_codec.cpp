// SPDX-License-Identifier: Apache-2.0
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>

#include "agent/netlink/codec.h"

namespace wglan::rtnl {
namespace {

constexpr std::array<nla_policy, NDA_MAX + 1> kNeighbourPolicy{};
// include/net/neighbour.h, NUD_VALID.
constexpr unsigned kValid = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY;

std::optional<std::array<std::uint8_t, 6>> mac_of(const Attributes& attributes) {
    const Bytes bytes = attributes.bytes(NDA_LLADDR);
    std::array<std::uint8_t, 6> mac{};
    if (bytes.size() != mac.size()) return std::nullopt;
    std::ranges::copy(bytes, mac.begin());
    return mac;
}

}  // namespace

Result<std::optional<Neighbour>> parse_neighbour(Bytes message) {
    const auto info = family_header<ndmsg>(message);
    if (!info) return tl::unexpected(info.error());
    if (info->ndm_family != AF_INET && info->ndm_family != AF_INET6) return std::optional<Neighbour>();
    const auto attributes = Attributes::of_message(message, sizeof(ndmsg), kNeighbourPolicy);
    if (!attributes) return tl::unexpected(attributes.error());
    const auto address = attributes->address(NDA_DST);
    if (!address) return tl::unexpected(address.error());
    if (!*address || (*address)->is_v4() != (info->ndm_family == AF_INET))
        return fail(ErrorKind::protocol, "a netlink neighbour does not fit its family");
    Neighbour out;
    out.ifindex = info->ndm_ifindex;
    out.address = **address;
    out.failed = (info->ndm_state & NUD_FAILED) != 0;
    out.valid = (info->ndm_state & kValid) != 0;
    out.permanent = (info->ndm_state & NUD_PERMANENT) != 0;
    out.mac = mac_of(*attributes);
    return std::optional<Neighbour>(out);
}

int forwarding_device(Bytes message) {
    const auto info = family_header<ndmsg>(message);
    return info && info->ndm_family == AF_BRIDGE ? info->ndm_ifindex : 0;
}

Result<std::optional<ForwardingEntry>> parse_forwarding(Bytes message) {
    const auto info = family_header<ndmsg>(message);
    if (!info) return tl::unexpected(info.error());
    if (info->ndm_family != AF_BRIDGE) return std::optional<ForwardingEntry>();
    const auto attributes = Attributes::of_message(message, sizeof(ndmsg), kNeighbourPolicy);
    if (!attributes) return tl::unexpected(attributes.error());
    const auto mac = mac_of(*attributes);
    // A group of remote ends is a next-hop object.
    const bool remote = !attributes->bytes(NDA_DST).empty() || !attributes->bytes(NDA_NH_ID).empty();
    if (!mac || !remote) return std::optional<ForwardingEntry>();
    return std::optional<ForwardingEntry>({info->ndm_ifindex, *mac});
}

Request neighbours_request() {
    Request request(RTM_GETNEIGH, 0);
    request.header(ndmsg{});
    return request;
}

Request forwarding_request(int ifindex) {
    ndmsg info{};
    info.ndm_family = PF_BRIDGE;
    info.ndm_ifindex = ifindex;  // rtnl_fdb_dump(): of that device alone, where requests are checked strictly
    Request request(RTM_GETNEIGH, 0);
    request.header(info);
    return request;
}

Request probe_neighbour_request(int ifindex, const IpAddress& address) {
    ndmsg info{};
    info.ndm_family = address.is_v4() ? AF_INET : AF_INET6;
    info.ndm_ifindex = ifindex;
    info.ndm_flags = NTF_USE;  // neigh_add(): as if a packet went there
    Request request(RTM_NEWNEIGH, NLM_F_CREATE);
    request.header(info);
    request.address(NDA_DST, address);
    return request;
}

}  // namespace wglan::rtnl
