// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/datapath_worker/steering.h"

#include <algorithm>

#include <bpf/bpf.h>

#include "tools/bench/datapath_worker/direct.h"
#include "tools/bench/datapath_worker/host.h"
#include "tools/bench/datapath_worker/must.h"

namespace wglan::bench {

namespace {

constexpr std::uint16_t kListenPort = 51820;
constexpr std::uint16_t kTunnelMtu = 1420;
constexpr std::uint32_t kMark = 0x20;
constexpr std::uint32_t kMostPeers = 10000;
constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);  // linux/bpf.h of 6.6
constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);

std::string text_of(std::uint32_t number, Family family) {
    char text[64];
    if (family == Family::v4) {
        const __u32 address = bench_address4(number, 0);
        std::snprintf(text, sizeof text, "%u.%u.%u.0/24", address >> 24U, address >> 16U & 0xffU,
                      address >> 8U & 0xffU);
    } else {
        __u16 words[3];
        bench_address6(number, 0, words);
        std::snprintf(text, sizeof text, "fd20:%x:%x::/48", words[0], words[1]);
    }
    return text;
}

}  // namespace

Prefix prefix_of(std::uint32_t number, Family family) { return must(Prefix::parse(text_of(number, family))); }

std::string why_not_direct(const std::string& pin_path) {
    auto dataplane = must(make_dataplane({.pin_path = pin_path}));
    must(dataplane->load());
    auto reason = why_not_direct(*dataplane);
    dataplane.reset();
    must(remove_dataplane(pin_path));
    return reason.value_or("");
}

Steering::Steering(SteeringOptions options) : options_(std::move(options)) {
    dataplane_ = must(make_dataplane({.pin_path = options_.pin_path}));
    must(dataplane_->load());
    fill();
    const auto index = [](const std::string& device) { return static_cast<int>(ifindex_of(device)); };
    must(attach_tunnel(*dataplane_, index(options_.tunnel), options_.tunnel, !options_.pod.empty()));
    for (const std::string& uplink : options_.uplinks) must(dataplane_->attach_uplink(index(uplink), uplink));
    if (options_.pod.empty()) return;
    Pod pod{.ifindex = index(options_.pod), .device = options_.pod, .addresses = options_.pod_addresses};
    mac_of(options_.pod).copy(reinterpret_cast<char*>(pod.mac.data()), pod.mac.size());
    must(attach_pod(*dataplane_, pod));
}

Steering::~Steering() {
    dataplane_.reset();
    (void)remove_dataplane(options_.pin_path);
}

SteerRoute Steering::route(std::uint32_t number, Family family) const {
    const std::uint32_t peers = std::clamp(options_.prefixes / 2, 1U, kMostPeers);
    SteerRoute route{.prefix = prefix_of(number, family), .peer = number % peers + 1};
    mark_as_pods(route);
    return route;
}

std::vector<SteerRoute> Steering::routes(Family family) const {
    std::vector<SteerRoute> all;
    for (std::uint32_t i = 0; i < options_.prefixes; ++i) all.push_back(route(i, family));
    std::sort(all.begin(), all.end(),
              [](const SteerRoute& a, const SteerRoute& b) { return a.prefix < b.prefix; });
    return all;
}

// Two prefixes a peer in each family, and two endpoints, as in a cluster of dual-stack nodes.
void Steering::fill() {
    must(dataplane_->set_config({.interface_ifindex = static_cast<int>(ifindex_of(options_.tunnel)),
                                 .listen_port = kListenPort,
                                 .interface_mtu = kTunnelMtu,
                                 .firewall_mark = kMark,
                                 .firewall_mark_mask = kMark}));
    std::vector<SteerPeer> peers;
    std::vector<SteerEndpoint> endpoints;
    for (std::uint32_t i = 1; i <= std::clamp(options_.prefixes / 2, 1U, kMostPeers); ++i) {
        peers.push_back({.id = i, .key = {}, .state = PeerState::up, .name = "peer" + std::to_string(i)});
        const std::string low = std::to_string(i / 250) + "." + std::to_string(i % 250);
        char ipv6[40];
        std::snprintf(ipv6, sizeof ipv6, "[2001:db8:51::%x]:%u", i, unsigned{kListenPort});
        endpoints.push_back(
            {.endpoint = must(Endpoint::parse("198.18." + low + ":" + std::to_string(kListenPort)))});
        endpoints.push_back({.endpoint = must(Endpoint::parse(ipv6))});
    }
    std::vector<SteerRoute> routes;
    for (std::uint32_t i = 0; i < options_.prefixes; ++i)
        for (const Family family : {Family::v4, Family::v6}) routes.push_back(route(i, family));
    must(dataplane_->put_peers(peers));
    must(dataplane_->put_endpoints(endpoints));
    must(dataplane_->put_routes(routes));
    must(dataplane_->heartbeat());  // makes the tables beside the tries
}

Result<UniqueFd> Steering::program_at(const std::string& device, bool egress) {
    __u32 ids[16] = {}, count = 16;
    const auto hook = egress ? kTcxEgress : kTcxIngress;
    if (bpf_prog_query(static_cast<int>(ifindex_of(device)), hook, 0, nullptr, ids, &count) != 0)
        return fail_errno("ask for the programs on " + device);
    for (__u32 i = 0; i < count; ++i) {
        UniqueFd fd(bpf_prog_get_fd_by_id(ids[i]));
        bpf_prog_info info{};
        __u32 length = sizeof info;
        if (fd.valid() && bpf_obj_get_info_by_fd(fd.get(), &info, &length) == 0 &&
            std::string_view(info.name).starts_with("wglan_"))
            return fd;
    }
    return fail(ErrorKind::not_found, "no program of ours on " + device);
}

}  // namespace wglan::bench
