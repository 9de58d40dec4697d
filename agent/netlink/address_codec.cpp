// SPDX-License-Identifier: Apache-2.0
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "agent/netlink/codec.h"

namespace wglan::rtnl {
namespace {

constexpr auto kAddressPolicy = [] {
    std::array<nla_policy, IFA_MAX + 1> policy{};
    policy[IFA_FLAGS] = {.type = NLA_U32, .minlen = 0, .maxlen = 0};
    return policy;
}();

Request address_request(std::uint16_t type, unsigned flags, const InterfaceAddress& address) {
    ifaddrmsg info{};
    info.ifa_family = address.address.is_v4() ? AF_INET : AF_INET6;
    info.ifa_prefixlen = address.prefix_length;
    info.ifa_scope = address.scope;
    info.ifa_index = static_cast<unsigned>(address.ifindex);
    Request request(type, flags);
    request.header(info);
    request.address(IFA_LOCAL, address.address);
    request.address(IFA_ADDRESS, address.address);
    return request;
}

}  // namespace

Result<std::optional<InterfaceAddress>> parse_address(Bytes message) {
    const auto info = family_header<ifaddrmsg>(message);
    if (!info) return tl::unexpected(info.error());
    if (info->ifa_family != AF_INET && info->ifa_family != AF_INET6) {
        return std::optional<InterfaceAddress>();
    }
    const auto attributes = Attributes::of_message(message, sizeof(ifaddrmsg), kAddressPolicy);
    if (!attributes) return tl::unexpected(attributes.error());
    // On a point-to-point device IFA_ADDRESS is the other end's.
    const auto address = attributes->address((*attributes)[IFA_LOCAL] != nullptr ? IFA_LOCAL : IFA_ADDRESS);
    if (!address) return tl::unexpected(address.error());
    if (!*address || (*address)->is_v4() != (info->ifa_family == AF_INET) ||
        info->ifa_prefixlen > (*address)->bit_length()) {
        return fail(ErrorKind::protocol, "a netlink address does not fit its family");
    }
    InterfaceAddress out;
    out.ifindex = static_cast<int>(info->ifa_index);
    out.address = **address;
    out.prefix_length = info->ifa_prefixlen;
    out.scope = info->ifa_scope;
    out.flags = attributes->u32(IFA_FLAGS).value_or(info->ifa_flags);
    return std::optional<InterfaceAddress>(out);
}

Request addresses_request() {
    Request request(RTM_GETADDR, 0);
    request.header(ifaddrmsg{});
    return request;
}

Request add_address_request(const InterfaceAddress& address) {
    // Replace: one that is there takes the wanted flags.
    Request request = address_request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, address);
    request.u32(IFA_FLAGS, address.flags);
    return request;
}

Request remove_address_request(const InterfaceAddress& address) {
    return address_request(RTM_DELADDR, 0, address);
}

}  // namespace wglan::rtnl
