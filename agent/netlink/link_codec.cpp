// SPDX-License-Identifier: Apache-2.0
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "agent/netlink/codec.h"

namespace wglan::rtnl {
namespace {

// DEVCONF_FORWARDING of linux/ipv6.h, whose enum clashes with netinet/in.h's structs.
constexpr std::size_t kInet6ConfForwarding = 0;

constexpr auto kLinkPolicy = [] {
    std::array<nla_policy, IFLA_MAX + 1> policy{};
    policy[IFLA_MTU] = {.type = NLA_U32, .minlen = 0, .maxlen = 0};
    policy[IFLA_MASTER] = {.type = NLA_U32, .minlen = 0, .maxlen = 0};
    policy[IFLA_LINK] = {.type = NLA_U32, .minlen = 0, .maxlen = 0};
    policy[IFLA_LINK_NETNSID] = {.type = NLA_S32, .minlen = 0, .maxlen = 0};
    return policy;
}();
constexpr std::array<nla_policy, IFLA_INFO_MAX + 1> kInfoPolicy{};
constexpr std::array<nla_policy, AF_INET6 + 1> kFamilyPolicy{};
constexpr std::array<nla_policy, IFLA_INET6_MAX + 1> kInetPolicy{};

// Both families report their settings as one array of 32-bit numbers.
std::optional<std::uint32_t> conf_value(Bytes values, std::size_t index) {
    std::uint32_t value = 0;
    if (values.size() < (index + 1) * sizeof(value)) return std::nullopt;
    std::memcpy(&value, values.data() + index * sizeof(value), sizeof(value));
    return value;
}

Result<> parse_settings(const Attributes& attributes, LinkMessage& out) {
    const auto families = Attributes::nested(attributes[IFLA_AF_SPEC], kFamilyPolicy);
    if (!families) return tl::unexpected(families.error());
    const auto inet = Attributes::nested((*families)[AF_INET], kInetPolicy);
    if (!inet) return tl::unexpected(inet.error());
    const auto inet6 = Attributes::nested((*families)[AF_INET6], kInetPolicy);
    if (!inet6) return tl::unexpected(inet6.error());

    const Bytes conf = inet->bytes(IFLA_INET_CONF);
    if (const auto value = conf_value(conf, IPV4_DEVCONF_RP_FILTER - 1)) {
        out.rp_filter = static_cast<int>(*value);
    }
    if (const auto value = conf_value(conf, IPV4_DEVCONF_FORWARDING - 1)) out.forwarding_v4 = *value != 0;
    if (const auto value = conf_value(inet6->bytes(IFLA_INET6_CONF), kInet6ConfForwarding)) {
        out.forwarding_v6 = *value != 0;
    }
    return {};
}

void parse_mac(const Attributes& attributes, const ifinfomsg& info, Link& link) {
    const Bytes mac = attributes.bytes(IFLA_ADDRESS);
    if (info.ifi_type != ARPHRD_ETHER || mac.size() != link.mac.size()) return;
    std::copy(mac.begin(), mac.end(), link.mac.begin());
    link.has_mac = std::any_of(mac.begin(), mac.end(), [](std::uint8_t byte) { return byte != 0; });
    // Only a device whose address type is NET_ADDR_PERM has one (register_netdevice()).
    const Bytes permanent = attributes.bytes(IFLA_PERM_ADDRESS);
    link.mac_stable = link.has_mac && std::ranges::equal(mac, permanent);
}

Request set_link(int ifindex, std::uint16_t type = RTM_NEWLINK) {
    ifinfomsg info{};
    info.ifi_index = ifindex;
    Request request(type, 0);
    request.header(info);
    return request;
}

}  // namespace

Result<LinkMessage> parse_link(Bytes message) {
    const auto info = family_header<ifinfomsg>(message);
    if (!info) return tl::unexpected(info.error());
    const auto attributes = Attributes::of_message(message, sizeof(ifinfomsg), kLinkPolicy);
    if (!attributes) return tl::unexpected(attributes.error());
    const auto detail = Attributes::nested((*attributes)[IFLA_LINKINFO], kInfoPolicy);
    if (!detail) return tl::unexpected(detail.error());

    LinkMessage out;
    out.family = info->ifi_family;
    Link& link = out.link;
    link.ifindex = info->ifi_index;
    link.name = attributes->text(IFLA_IFNAME);
    link.kind = detail->text(IFLA_INFO_KIND);
    link.alias = attributes->text(IFLA_IFALIAS);
    link.mtu = attributes->u32(IFLA_MTU).value_or(0);
    link.physical = (*attributes)[IFLA_PARENT_DEV_NAME] != nullptr;
    link.up = (info->ifi_flags & IFF_UP) != 0;
    link.running = (info->ifi_flags & IFF_RUNNING) != 0;
    link.loopback = (info->ifi_flags & IFF_LOOPBACK) != 0;
    link.master = static_cast<int>(attributes->u32(IFLA_MASTER).value_or(0));
    link.master_kind = detail->text(IFLA_INFO_SLAVE_KIND);
    link.peer_ifindex = static_cast<int>(attributes->u32(IFLA_LINK).value_or(0));
    link.peer_in_other_netns = (*attributes)[IFLA_LINK_NETNSID] != nullptr;
    parse_mac(*attributes, *info, link);
    if (auto done = parse_settings(*attributes, out); !done) return tl::unexpected(done.error());
    if (link.ifindex <= 0 || link.name.empty()) {
        return fail(ErrorKind::protocol, "a netlink link has no index or no name");
    }
    return out;
}

Request links_request() {
    Request request(RTM_GETLINK, 0);
    request.header(ifinfomsg{});
    request.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    return request;
}

Request link_request(const std::string& name) {
    Request request = links_request();
    request.text(IFLA_IFNAME, name);
    return request;
}

Request link_request(int ifindex) {
    Request request = set_link(ifindex, RTM_GETLINK);
    request.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    return request;
}

Request create_link_request(const std::string& name, const std::string& kind) {
    Request request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    request.header(ifinfomsg{});
    request.text(IFLA_IFNAME, name);
    request.nested(IFLA_LINKINFO, [&] { request.text(IFLA_INFO_KIND, kind); });
    return request;
}

Request remove_link_request(const std::string& name) {
    Request request = set_link(0, RTM_DELLINK);
    request.text(IFLA_IFNAME, name);
    return request;
}

Request alias_request(int ifindex, const std::string& alias) {
    Request request = set_link(ifindex);
    request.text(IFLA_IFALIAS, alias);
    return request;
}

Request mtu_request(int ifindex, std::uint32_t mtu) {
    Request request = set_link(ifindex);
    request.u32(IFLA_MTU, mtu);
    return request;
}

Request up_request(int ifindex, bool up) {
    ifinfomsg info{};
    info.ifi_index = ifindex;
    info.ifi_flags = up ? IFF_UP : 0;
    info.ifi_change = IFF_UP;
    Request request(RTM_NEWLINK, 0);
    request.header(info);
    return request;
}

Request inet_conf_request(int ifindex, int id, std::uint32_t value) {
    Request request = set_link(ifindex);
    request.nested(IFLA_AF_SPEC, [&] {
        request.nested(AF_INET, [&] { request.nested(IFLA_INET_CONF, [&] { request.u32(id, value); }); });
    });
    return request;
}

Request addr_gen_mode_request(int ifindex, std::uint8_t mode) {
    Request request = set_link(ifindex);
    request.nested(IFLA_AF_SPEC,
                   [&] { request.nested(AF_INET6, [&] { request.u8(IFLA_INET6_ADDR_GEN_MODE, mode); }); });
    return request;
}

}  // namespace wglan::rtnl
