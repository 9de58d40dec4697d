// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/datapath_worker/updates.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/rtnetlink.h>

#include <array>
#include <chrono>

#include <bpf/bpf.h>

#include "agent/dataplane/codec.h"
#include "maps/convert.h"
#include "tools/bench/datapath_worker/host.h"
#include "tools/bench/datapath_worker/must.h"
#include "tools/bench/datapath_worker/netlink.h"

namespace wglan::bench {

namespace {

// Calls change(true), change(false) and so on, and times each.
template <class Change>
std::vector<double> time_changes(unsigned count, Change change) {
    std::vector<double> times;
    for (unsigned i = 0; i < count + count % 2; ++i) {
        const auto start = std::chrono::steady_clock::now();
        change(i % 2 == 0);
        times.push_back(
            std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count());
    }
    return times;
}

// `rounds` times of load(), with the map of that family empty before and full afterwards.
template <class Load>
std::vector<double> time_loads(Steering& steering, Family family, unsigned rounds, Load load) {
    std::vector<Prefix> prefixes;
    for (const SteerRoute& route : steering.routes(family)) prefixes.push_back(route.prefix);
    std::vector<double> times;
    for (unsigned i = 0; i < rounds; ++i) {
        must(steering.dataplane().remove_routes(prefixes));
        const auto start = std::chrono::steady_clock::now();
        load();
        times.push_back(
            std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count());
    }
    return times;
}

template <class Key>
std::vector<double> put_singly(Steering& steering, Family family, unsigned rounds, const char* map,
                               Key (*key_of)(const Prefix&)) {
    const UniqueFd fd(must_call(bpf_obj_get((steering.pin_path() + "/maps/" + map).c_str()), "open a map"));
    std::vector<std::pair<Key, wglan_route>> entries;
    for (const SteerRoute& route : steering.routes(family))
        entries.emplace_back(key_of(route.prefix), encode_route(route));
    return time_loads(steering, family, rounds, [&] {
        for (const auto& [key, value] : entries)
            must_call(bpf_map_update_elem(fd.get(), &key, &value, BPF_ANY), "write to a map");
    });
}

nfgenmsg* put_nfgen(nlmsghdr* header, std::uint8_t family, std::uint16_t resource) {
    auto* extra = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
    extra->nfgen_family = family;
    extra->version = NFNETLINK_V0;
    extra->res_id = htons(resource);
    return extra;
}

void append(std::string& batch, const nlmsghdr* header) {
    batch.append(reinterpret_cast<const char*>(header), NLMSG_ALIGN(header->nlmsg_len));
}

void put_element(nlmsghdr* header, const std::vector<std::uint8_t>& key, bool end) {
    nlattr* element = mnl_attr_nest_start(header, NFTA_LIST_ELEM);
    if (end) mnl_attr_put_u32(header, NFTA_SET_ELEM_FLAGS, htonl(NFT_SET_ELEM_INTERVAL_END));
    nlattr* value = mnl_attr_nest_start(header, NFTA_SET_ELEM_KEY);
    mnl_attr_put(header, NFTA_DATA_VALUE, key.size(), key.data());
    mnl_attr_nest_end(header, value);
    mnl_attr_nest_end(header, element);
}

// The first address behind the prefix. The benchmark's prefixes end on a byte, and none is the last.
std::vector<std::uint8_t> end_of(const Prefix& prefix) {
    const auto bytes = prefix.address().bytes();
    std::vector<std::uint8_t> end(bytes.begin(), bytes.end());
    for (std::size_t i = prefix.length() / 8U; i-- > 0;)
        if (++end[i] != 0) break;
    return end;
}

std::string element_batch(const std::string& table, const std::string& set, const Prefix& prefix, bool add) {
    std::vector<char> buffer;
    std::string batch;
    nlmsghdr* header = Netlink::message(buffer, NFNL_MSG_BATCH_BEGIN, 0);
    put_nfgen(header, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    append(batch, header);

    const int type = NFNL_SUBSYS_NFTABLES << 8 | (add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM);
    header = Netlink::message(buffer, static_cast<std::uint16_t>(type),
                              static_cast<std::uint16_t>(NLM_F_ACK | (add ? NLM_F_CREATE : 0)));
    put_nfgen(header, NFPROTO_INET, 0);
    mnl_attr_put_strz(header, NFTA_SET_ELEM_LIST_TABLE, table.c_str());
    mnl_attr_put_strz(header, NFTA_SET_ELEM_LIST_SET, set.c_str());
    nlattr* elements = mnl_attr_nest_start(header, NFTA_SET_ELEM_LIST_ELEMENTS);
    const auto bytes = prefix.address().bytes();
    put_element(header, {bytes.begin(), bytes.end()}, false);
    put_element(header, end_of(prefix), true);
    mnl_attr_nest_end(header, elements);
    append(batch, header);

    header = Netlink::message(buffer, NFNL_MSG_BATCH_END, 0);
    put_nfgen(header, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    append(batch, header);
    return batch;
}

std::string route_request(unsigned ifindex, const Prefix& prefix, bool add) {
    std::vector<char> buffer;
    nlmsghdr* header =
        Netlink::message(buffer, add ? RTM_NEWROUTE : RTM_DELROUTE,
                         static_cast<std::uint16_t>(NLM_F_ACK | (add ? NLM_F_CREATE | NLM_F_EXCL : 0)));
    auto* route = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(rtmsg)));
    route->rtm_family = prefix.family() == Family::v4 ? AF_INET : AF_INET6;
    route->rtm_dst_len = prefix.length();
    route->rtm_table = RT_TABLE_MAIN;
    route->rtm_protocol = RTPROT_STATIC;
    route->rtm_scope = prefix.family() == Family::v4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
    route->rtm_type = RTN_UNICAST;
    mnl_attr_put(header, RTA_DST, prefix.address().bytes().size(), prefix.address().bytes().data());
    mnl_attr_put_u32(header, RTA_OIF, ifindex);
    std::string request;
    append(request, header);
    return request;
}

}  // namespace

std::vector<double> change_map(Steering& steering, std::uint32_t number, Family family, unsigned count) {
    const std::vector<SteerRoute> routes = {steering.route(number, family)};
    const std::vector<Prefix> prefixes = {routes[0].prefix};
    return time_changes(count, [&](bool add) {
        if (add)
            must(steering.dataplane().put_routes(routes));
        else
            must(steering.dataplane().remove_routes(prefixes));
    });
}

std::vector<double> load_map(Steering& steering, Family family, unsigned rounds) {
    const std::vector<SteerRoute> routes = steering.routes(family);
    return time_loads(steering, family, rounds, [&] { must(steering.dataplane().put_routes(routes)); });
}

std::vector<double> load_map_singly(Steering& steering, Family family, unsigned rounds) {
    return family == Family::v4 ? put_singly(steering, family, rounds, "wglan_route4", to_key4)
                                : put_singly(steering, family, rounds, "wglan_route6", to_key6);
}

std::vector<double> change_route(const std::string& device, std::uint32_t number, Family family,
                                 unsigned count) {
    Netlink netlink(NETLINK_ROUTE);
    const unsigned ifindex = ifindex_of(device);
    const Prefix prefix = prefix_of(number, family);
    const std::array requests = {route_request(ifindex, prefix, false), route_request(ifindex, prefix, true)};
    return time_changes(count, [&](bool add) {
        netlink.request(requests[add].data(), requests[add].size(), 1, "change a route");
    });
}

std::vector<double> change_nft_element(const std::string& table, const std::string& set, std::uint32_t number,
                                       Family family, unsigned count) {
    Netlink netlink(NETLINK_NETFILTER);
    const Prefix prefix = prefix_of(number, family);
    const std::array batches = {element_batch(table, set, prefix, false),
                                element_batch(table, set, prefix, true)};
    return time_changes(count, [&](bool add) {
        netlink.request(batches[add].data(), batches[add].size(), 1, "change a set's element");
    });
}

void flush_conntrack() {
    Netlink netlink(NETLINK_NETFILTER);
    std::vector<char> buffer;
    nlmsghdr* header = Netlink::message(buffer, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, NLM_F_ACK);
    put_nfgen(header, AF_UNSPEC, 0);
    netlink.request(buffer.data(), header->nlmsg_len, 1, "flush conntrack");
}

}  // namespace wglan::bench
